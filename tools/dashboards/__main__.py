"""Writes deploy/grafana/dashboards/*.json: make dashboards."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from people import people
from pipeline import pipeline

_ROOT = Path(__file__).resolve().parents[2]


def render() -> dict[str, str]:
    """Return the dashboards' JSON by file name."""
    boards: dict[str, Any] = {"people.json": people(), "pipeline.json": pipeline()}
    return {name: _json(builder.build()) for name, builder in boards.items()}


def _json(board: Dashboard) -> str:
    for number, panel in enumerate(board.panels or [], start=1):
        panel.id_val = number  # links to a panel name it by that
    return json.dumps(board, cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files, or with --check say which are not up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where they differ"
    )
    check = parser.parse_args().check
    folder = _ROOT / "deploy" / "grafana" / "dashboards"
    folder.mkdir(parents=True, exist_ok=True)
    stale = []
    for name, text in render().items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        sys.exit(f"not up to date: {', '.join(stale)}; run make dashboards")
    print("written:" if stale else "up to date", ", ".join(stale))


if __name__ == "__main__":
    main()
