"""Secrets in files of their own, as containers and systemd hand them out."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlsplit


def read_secret(name: str, path: str | Path) -> str:
    """Return what is in a file, without white space around it.

    Raises ValueError naming the setting ``name`` where it cannot be read or is empty.
    """
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} {path} cannot be read: {error}") from None
    if not secret:
        raise ValueError(f"{name} {path} is empty")
    return secret


def with_password(url: str, path: str | Path) -> str:
    """Return ``url`` with the password in a file, where it names a user and no password."""
    parts = urlsplit(url)
    password = read_secret("password_file", path)
    if parts.password is not None or not parts.username:
        return url
    _user, _at, host = parts.netloc.rpartition("@")
    place = f"{parts.username}:{quote(password, safe='')}@{host}"
    return parts._replace(netloc=place).geturl()
