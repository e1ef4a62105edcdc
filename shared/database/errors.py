"""What an error of the database means: one mapping, for everybody who asks it something.

| verdict | raised as        | what follows                                                 |
|---------|------------------|--------------------------------------------------------------|
| wait    | StoreUnavailable | a service tries again after a pause; the gateway answers 503 |
| refuse  | StoreRefused     | these values will never be taken; the gateway answers 422    |
| bug     | StoreError       | the statement itself is wrong; the gateway answers 500       |

Waiting is right for whatever passes by itself or is put right on the database's side while we run:
a server that is away, starting, full or read-only, a wrong password, a missing right, no schema
yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Iterator

import asyncpg

from posewire.shared.errors import StoreError, StoreRefused, StoreUnavailable
from posewire.shared.redact import redact


class Verdict(enum.Enum):
    """What to do about an error."""

    WAIT = "wait"
    REFUSE = "refuse"
    BUG = "bug"


_WAIT = (
    "08",  # connection
    "25006",  # a standby, or a primary that was made read-only
    "25P03",  # idle in a transaction for too long
    "25P04",  # a transaction for too long
    "28",  # login: users and passwords are changed while we run
    "3D",  # no such database: a server that has just started may not have made it yet
    "3F",  # no such schema
    "40",  # deadlock, serialization
    "42501",  # a right that somebody has to grant
    "42703",  # no such column: an older schema
    "42P01",  # no such table: no schema yet
    "53",  # disk full, out of memory, too many connections
    "55006",  # object in use
    "55P03",  # a lock that was not to be had in time
    "57",  # shutting down, starting up, cancelled by statement_timeout
    "58",  # the server's own system
)
"""Beginnings of SQLSTATEs, https://www.postgresql.org/docs/current/errcodes-appendix.html."""
_REFUSE = (
    "22",  # data: out of range, no such time zone, no text
    "23",  # constraints
)
_REMEDIES = {
    "28": "check user and password in database.url or database.password_file, and pg_hba.conf",
    "3D": "create it, e.g. with createdb",
    "25006": "database.url has to lead to the primary",
    "42703": "its schema is older than this program: 'posewire db upgrade' brings it up to date",
    "42P01": "it has no schema yet: the tracker makes it when it starts, or 'posewire db upgrade'",
    "42501": "grant the right that is missing; the tables must belong to the user in database.url",
    "53100": "make room on its disk",
    "53300": "raise max_connections there, or lower database.pool_size",
}
ERRORS = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""Everything that connecting and asking may raise."""


def verdict(error: BaseException) -> Verdict:
    """Return what an error of ``ERRORS`` means."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        if state.startswith(_WAIT):
            return Verdict.WAIT
        return Verdict.REFUSE if state.startswith(_REFUSE) else Verdict.BUG
    if isinstance(error, asyncpg.DataError):  # the client's own
        return Verdict.REFUSE
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return Verdict.BUG
    return Verdict.WAIT


@contextlib.contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise what the body raises of ``ERRORS`` as StoreUnavailable, StoreRefused or StoreError."""
    try:
        yield
    except ERRORS as error:
        raise explained(error, url) from error


def explained(error: BaseException, url: str) -> StoreError | StoreUnavailable:
    """Return one of ``ERRORS`` as one of ours, in words; no password is in it."""
    where = f"the database at {redact(url)}"
    reason = redact(str(error)) or type(error).__name__
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return StoreError(f"database.url {redact(url)} cannot be used: {reason}")
    state = getattr(error, "sqlstate", None) or ""
    remedy = next((text for key, text in _REMEDIES.items() if state.startswith(key)), "")
    advice = f"; {remedy}" if remedy else ""
    judged = verdict(error)
    if judged is Verdict.REFUSE:
        return StoreRefused(f"{where} refuses: {reason}")
    if judged is Verdict.BUG:
        return StoreError(f"{where} refuses: {reason}{advice}")
    does = "refuses for now" if state and not state.startswith(("08", "57")) else "does not answer"
    return StoreUnavailable(f"{where} {does}: {reason}{advice}")
