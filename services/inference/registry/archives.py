"""Unpacking models that come in a zip, and comparing what is unpacked with the zip."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from posewire.shared.errors import ModelError


def unpack(archive: Path, members: Sequence[str], folder: Path) -> Path:
    """Have ``members`` of a zip in ``folder``; return the path of the first one.

    They may lie in any folder of the zip. Files that are there already are compared with the
    zip's checksums, and replaced where they differ: the zip is what has a known digest.

    Raises ModelError where the zip is none, lacks a member, or the folder cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in members:
                _unpack(opened, _find(opened, archive, member), folder / member)
    except (zipfile.BadZipFile, zlib.error, OSError) as error:
        raise ModelError(f"{archive} cannot be unpacked into {folder}: {error}") from None
    return folder / members[0]


def _find(opened: zipfile.ZipFile, archive: Path, member: str) -> zipfile.ZipInfo:
    found = [info for info in opened.infolist() if PurePosixPath(info.filename).name == member]
    if len(found) != 1:
        raise ModelError(f"{archive} holds {len(found)} files called {member}, expected one")
    return found[0]


def _unpack(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    if target.is_file() and zlib.crc32(target.read_bytes()) == info.CRC:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.write_bytes(opened.read(info))
    part.rename(target)
