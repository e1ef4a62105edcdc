"""What redis-py's errors mean for people: what is wrong with the bus, and what to do about it."""

from __future__ import annotations

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterError,
    InvalidResponse,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from posewire.shared.bus.identity import AnotherServerError
from posewire.shared.errors import BusUnavailable
from posewire.shared.redact import redact

PASSING = (
    RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError, InvalidResponse,
    ResponseError, ClusterError, RedisClusterException,
)  # fmt: skip
"""Whatever a server, a network or an operator may cause; all of it is waited for."""


def explain(url: str, error: Exception) -> BusUnavailable:
    """Return the error to raise for one of ``PASSING``; ``url`` is where the bus is."""
    bus, said = f"the bus at {redact(url)}", redact(str(error))
    if isinstance(error, AnotherServerError):
        text = (
            f"another server process answers at {redact(url)} than before; it may lack what was "
            "published last"
        )
    elif isinstance(error, AuthenticationError):
        text = f"{bus} does not let us in: {said}; check user and password in bus.url"
    elif isinstance(error, NoPermissionError):
        text = f"{bus} forbids it: {said}; give its user what docs/bus.md lists"
    elif isinstance(error, OutOfMemoryError):
        text = (
            f"{bus} is full: {said}; raise its maxmemory, lower bus.frames_maxlen, or see what "
            "else is stored there"
        )
    elif isinstance(error, ReadOnlyError):
        text = f"{bus} is a replica now and takes no writes: {said}; waiting for the primary"
    elif isinstance(error, InvalidResponse):
        # A proxy's excuse, while the server behind it restarts; or a wrong port.
        text = f"what answers at {redact(url)} is neither Redis nor Valkey: {said}"
    elif isinstance(error, ResponseError):
        # MASTERDOWN, MISCONF, CLUSTERDOWN: the server lives but cannot serve now.
        text = f"{bus} refuses: {said}"
    elif isinstance(error, ClusterError):
        # What redis-py says where it follows no redirect is about its own counting.
        text = f"{bus} has moved this key to another of its servers"
    elif isinstance(error, RedisClusterException):
        text = f"{bus} is no whole cluster now: {said}"
    elif "SSL" in said or "certificate" in said:
        text = (
            f"TLS with {bus} fails: {said}; rediss is for servers with TLS, and "
            "?ssl_ca_certs=/path names the authority of their certificates"
        )
    else:
        with_tls = " with TLS" if url.startswith("rediss") else ""
        text = f"{bus} does not answer: {said}; is Redis or Valkey{with_tls} running there?"
    return BusUnavailable(text)
