"""A folder with files of the names that Posewire and the standard library use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAMES = (
    "services/__init__.py", "shared/__init__.py", "calendar.py", "posewire.py", "typing.py",
    "redis/__init__.py", "asyncpg.py", "runpy.py", "numpy.py",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Traps:
    """Tells which of the files were executed."""

    folder: Path

    def sprung(self) -> list[str]:
        marks = self.folder.rglob("*.sprung")
        return sorted(str(m.relative_to(self.folder)).removesuffix(".sprung") for m in marks)


def set_traps(folder: Path) -> Traps:
    """Write the files into ``folder``; each leaves a mark when it is executed."""
    for name in NAMES:
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"open({str(file) + '.sprung'!r}, 'w').close()\n")
    return Traps(folder)
