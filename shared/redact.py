"""Credentials in URLs never reach a log, an error or the API."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/?#\s]*@", re.IGNORECASE)
_SECRET_QUERY = re.compile(
    r"(?P<key>[?&](?:[a-z]+_)?(?:user|usr|username|pwd|pass|passwd|password|token|key|api_?key|secret|auth)=)"
    r"[^&#\s]*",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Replace user names and passwords in every URL within ``text`` by ``***``."""
    text = _USERINFO.sub(r"\g<scheme>***@", text)
    return _SECRET_QUERY.sub(r"\g<key>***", text)
