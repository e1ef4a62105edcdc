"""redis-py's clients for an address: one server, a cluster, or what Sentinels point to.

redis-py's own retries are off, and no redirect of a cluster is followed: a call that failed may
have been carried out or not, and another server may lack what was written last, so the worker
above has to look before it goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, TypeAlias

import redis.asyncio as aioredis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError, SlotNotCoveredError

from posewire.shared.bus.address import Address
from posewire.shared.bus.identity import Identity

_CONNECT_S, _ANSWER_S = 2.0, 5.0
"""The longest read blocks for 2 s."""
_MOST_CONNECTIONS = 10_000
"""Every camera of a service has reads that block, each on a connection; redis-py stops at 100."""


class SingleServer:
    """One server, or the primary that Sentinels name: all keys live in one place."""

    def __init__(self, address: Address, identity: Identity) -> None:
        self._identity = identity
        self._sentinel: Sentinel | None = None
        common = _common(address) | {"db": address.db, "redis_connect_func": identity.on_connect}
        if address.kind == "sentinel":
            self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
                address.hosts, sentinel_kwargs=_sentinels(address), **common
            )
            self.client: Any = self._sentinel.master_for(address.service or "")
        elif address.socket is not None:
            self.client = aioredis.Redis(unix_socket_path=address.socket, **common)
        else:
            ((host, port),) = address.hosts
            self.client = aioredis.Redis(host=host, port=port, **common)

    async def ready(self) -> None:
        """Nothing has to be known before a call."""

    def epoch(self, key: str) -> int:
        """Return the epoch of what serves ``key``."""
        return self._identity.epoch(0, "")

    async def info(self, section: str) -> list[dict[str, Any]]:
        """Return a section of INFO of every server that holds data."""
        return [await self.client.info(section)]

    async def forget(self) -> None:
        """Connect anew: the name may stand for another server by now, or the Sentinels know."""
        await self.client.connection_pool.disconnect()

    async def close(self) -> None:
        """Close all connections."""
        with contextlib.suppress(RedisError, OSError):
            await self.client.aclose()
        for sentinel in self._sentinel.sentinels if self._sentinel is not None else ():
            with contextlib.suppress(RedisError, OSError):
                await sentinel.aclose()


class _NoRedirects(RedisCluster):
    """A cluster's client that tells of a redirect, and keeps it in mind, but does not follow it."""

    RedisClusterRequestTTL = 1

    async def script_load(self, script: Any) -> Any:
        """Give a script to the shards that answer: one that is away must not hold up the others."""
        loads = (node.execute_command("SCRIPT LOAD", script) for node in self.get_primaries())
        answers = await asyncio.gather(*loads, return_exceptions=True)
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        if len(failed) == len(answers):
            raise failed[0]
        return next(answer for answer in answers if answer not in failed)


class Cluster:
    """A cluster: a key lives on the node that serves its slot."""

    def __init__(self, address: Address, identity: Identity) -> None:
        self._address, self._identity = address, identity
        common = _common(address)
        # redis-py has no argument for it here; its nodes share these arguments.
        hook = {"redis_connect_func": identity.on_connect}
        self.client: Any = _NoRedirects(
            startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
            # Some cameras go on where another shard is away.
            require_full_coverage=False,
            # Else every fifth redirect would close the connections to all shards.
            reinitialize_steps=0,
            **common,
        )
        self.client.connection_kwargs.update(hook)
        self._seeds = list(self.client.nodes_manager.startup_nodes.values())
        for node in self._seeds:
            node.connection_kwargs.update(hook)

    async def ready(self) -> None:
        """Learn who serves which slots, where that is not known. Raises redis-py's exceptions."""
        try:
            await self.client.initialize()
        except RedisClusterException:
            # None of the nodes that were found answers, as when all have come back elsewhere:
            # the names in the address may know more.
            self.client.nodes_manager.startup_nodes = {node.name: node for node in self._seeds}
            raise

    def epoch(self, key: str) -> int:
        """Return the epoch of what serves ``key``."""
        slot = self.client.keyslot(key)
        try:
            node = self.client.get_node_from_key(key)
        except SlotNotCoveredError:
            return self._identity.known(slot)
        return self._identity.epoch(slot, node.name)

    async def info(self, section: str) -> list[dict[str, Any]]:
        """Return a section of INFO of every server that holds data."""
        nodes = self.client.get_primaries()
        return list((await self.client.info(section, target_nodes=nodes)).values())

    async def forget(self) -> None:
        """A redirect or an error makes redis-py look by itself."""

    async def close(self) -> None:
        """Close all connections."""
        with contextlib.suppress(RedisError, RedisClusterException, OSError):
            await self.client.aclose()
            # Where it was about to look anew who is there, that has closed nothing.
            await self.client.nodes_manager.aclose()
            await self.client.nodes_manager.aclose("startup_nodes")


Servers: TypeAlias = "SingleServer | Cluster"


def connect(address: Address, url: str) -> Servers:
    """Return a client of ``address``, which connects when it is first used.

    ``url``: for the log, without password.
    """
    identity = Identity(url, per_node=address.kind == "cluster")
    kind = Cluster if address.kind == "cluster" else SingleServer
    return kind(address, identity)


def _common(address: Address) -> dict[str, Any]:
    """Return the arguments that all of redis-py's clients take."""
    return {
        "username": address.username,
        "password": address.password,
        "socket_connect_timeout": _CONNECT_S,
        "socket_timeout": _ANSWER_S,
        "max_connections": _MOST_CONNECTIONS,
        "retry": Retry(NoBackoff(), 0),
        **({"ssl": True} if address.tls else {}),
        **address.options,
    }


def _sentinels(address: Address) -> dict[str, Any]:
    """Return the arguments for the connections to the Sentinels."""
    return _common(address) | {
        "username": address.sentinel_username,
        "password": address.sentinel_password,
    }
