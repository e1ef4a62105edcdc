"""Prints the people of pictures, found in whatever environment runs it: JSON in, JSON out.

In:  {"settings": {...}, "pictures": [paths], "as_on_stick": bool}
Out: {"engine": "...", "people": [[[score, [box], [[x, y, score], ...18]], ...], ...]}, pixels
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from posewire.inference.engines.choice import MYRIAD
from posewire.inference.finder import Finder
from posewire.inference.imaging import decode_jpeg
from posewire.inference.people import in_pixels
from posewire.inference.pipeline import PersonPipeline, _open_finder
from posewire.inference.registry import resolve
from posewire.shared.settings import InferenceSettings


async def main() -> None:
    task = json.load(sys.stdin)
    settings = InferenceSettings(**task["settings"])
    selection = await resolve(settings, allow_download=False)
    pipeline = await PersonPipeline.open(settings, selection)
    finder = pipeline._finder
    if task["as_on_stick"]:
        # One shape for each network, and still on the CPU.
        finder = _open_finder(settings, selection, MYRIAD)
    people = [await people_of(finder, Path(path)) for path in task["pictures"]]
    json.dump({"engine": pipeline.describe(), "people": people}, sys.stdout)
    await pipeline.close()


async def people_of(finder: Finder, path: Path) -> list[Any]:
    image = decode_jpeg(path.read_bytes())
    assert image is not None, path
    frame = await finder.prepare(image, 0.0, None)
    found = []
    for person in (await frame.find(None)).persons:
        box, points = in_pixels(person, image.shape[:2])
        found.append([person.score, box.tolist(), [] if points is None else points.tolist()])
    return found


if __name__ == "__main__":
    asyncio.run(main())
