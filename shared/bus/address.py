"""Where the bus is: the forms of ``bus.url`` and what they mean. Opens no connection.

::

    redis://[user:password@]host[:6379][/db]           one server; rediss:// with TLS
    unix:///path/to/socket[?db=0]                      one server on this machine
    redis+cluster://[user:password@]host[:6379],...    Redis or Valkey Cluster; rediss+cluster://
    redis+sentinel://[user:password@]host[:26379],.../service[/db]
                                                       found by Sentinels; rediss+sentinel://

The forms with ``+`` are those of limits (Flask-Limiter), docket and Prefect. User and password are
those of the data servers; ``sentinel_username`` and ``sentinel_password`` are the Sentinels' own.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote

Kind = Literal["single", "cluster", "sentinel"]
_KINDS: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
}
_FORMS = (
    "redis://host:6379/0, rediss://host:6379/0, unix:///path/to/socket, "
    "redis+cluster://host1:6379,host2:6379 or redis+sentinel://host1:26379,host2:26379/service"
)
_ESCAPES = "in a user or password write % as %25, # as %23, ? as %3F, / as %2F, @ as %40, : as %3A"


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "yes", "no", "1", "0"):
        raise ValueError("not true or false")
    return text.lower() in ("true", "yes", "1")


_OPTIONS: dict[str, Callable[[str], object]] = {
    "client_name": str,
    "health_check_interval": int,
    "protocol": int,
    "socket_connect_timeout": float,
    "socket_keepalive": _flag,
    "socket_timeout": float,
    "ssl_ca_certs": str,
    "ssl_cert_reqs": str,
    "ssl_certfile": str,
    "ssl_check_hostname": _flag,
    "ssl_keyfile": str,
}
"""Options of redis-py's connections that may stand after ``?``, and what reads them."""
_OWN = ("db", "username", "password", "sentinel_username", "sentinel_password")


@dataclass(frozen=True, slots=True)
class Address:
    """What a ``bus.url`` says. Its repr holds no password."""

    kind: Kind
    tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    """One server; some nodes of the cluster; or the Sentinels. Empty for a socket."""
    socket: str | None = None
    db: int = 0
    service: str | None = None
    """Name of the primary that the Sentinels watch."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    options: dict[str, object] = field(default_factory=dict)
    """Further options for redis-py's connections."""


def parse(url: str) -> Address:
    """Return what ``url`` says.

    Raises ValueError, which says how to write it. Nothing of ``url`` but its scheme is shown, for
    where it is malformed nobody can tell what in it is a password.
    """
    if not url.strip():
        raise ValueError(f"is empty; write {_FORMS}, or leave it out for a server of its own")
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError(f"has no scheme; write {_FORMS}")
    if scheme.lower() not in _KINDS:
        raise ValueError(f"begins with an unknown scheme; write {_FORMS}")
    try:
        return _parse(scheme.lower(), rest)
    except ValueError as error:
        hint = f" ({_ESCAPES})" if "@" in rest else ""
        raise ValueError(f"{error}{hint}; write {_FORMS}") from None


def _parse(scheme: str, rest: str) -> Address:
    kind, tls = _KINDS[scheme]
    if "#" in rest or any(character.isspace() for character in rest):
        raise ValueError("has a # or white space in it")
    before, _mark, query = rest.partition("?")
    own, options = _options(query)
    if scheme == "unix":
        user, _at, path = before.rpartition("@")
        if not path.startswith("/"):
            raise ValueError("names no socket by its whole path")
        hosts: tuple[tuple[str, int], ...] = ()
        socket, path = unquote(path), ""
    else:
        place, _slash, path = before.partition("/")
        user, _at, names = place.rpartition("@")
        port = 26379 if kind == "sentinel" else 6379
        hosts = tuple(_host(name, port) for name in names.split(","))
        socket = None
        if kind == "single" and len(hosts) > 1:
            raise ValueError("names several hosts, which only a cluster or Sentinels have")
    service = None
    if kind == "sentinel":
        service, _slash, path = path.partition("/")
        service = unquote(service)
        if not service:
            raise ValueError("does not name the service that the Sentinels watch")
    elif own.keys() & {"sentinel_username", "sentinel_password"}:
        raise ValueError("has an account for Sentinels, but names none")
    if kind == "cluster" and (path or "db" in own):
        raise ValueError("names a database by number, of which a cluster has only one")
    username, _colon, password = user.partition(":")
    return Address(
        kind=kind,
        tls=tls,
        hosts=hosts,
        socket=socket,
        db=_db(own.get("db", path)),
        service=service,
        username=unquote(username) or own.get("username"),
        password=unquote(password) or own.get("password"),
        sentinel_username=own.get("sentinel_username"),
        sentinel_password=own.get("sentinel_password"),
        options=options,
    )


def _host(text: str, port: int) -> tuple[str, int]:
    """Return host and port; an IPv6 address stands in brackets."""
    if text.startswith("["):
        host, closed, behind = text[1:].partition("]")
        if not closed or (behind and not behind.startswith(":")):
            raise ValueError("has an IPv6 address whose brackets are not closed")
        number = behind[1:]
    else:
        host, _colon, number = text.partition(":")
    if not host:
        raise ValueError("does not name a host")
    if not number:
        return host, port
    if not (number.isascii() and number.isdigit() and 0 < int(number) < 65536):
        raise ValueError("has a port that is no number from 1 to 65535")
    return host, int(number)


def _db(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError("has a database index, after the last / or db=, that is no number")
    return int(text)


def _options(query: str) -> tuple[dict[str, str], dict[str, object]]:
    own: dict[str, str] = {}
    options: dict[str, object] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _OWN:
            own[name] = value
        elif name in _OPTIONS:
            try:
                options[name] = _OPTIONS[name](value)
            except ValueError:
                raise ValueError(f"has a value of {name} that does not fit it") from None
        else:
            near = difflib.get_close_matches(name, [*_OWN, *_OPTIONS], n=1, cutoff=0.7)
            known = near[0] if near else ", ".join(sorted([*_OWN, *_OPTIONS]))
            raise ValueError(f"has an unknown option after the ?; known: {known}")
    return own, options
