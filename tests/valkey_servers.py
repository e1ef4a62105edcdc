"""Valkey as it is run in earnest: on ports, with TLS, in clusters, watched by Sentinels."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import redis.asyncio as aioredis

from posewire.launcher.embedded import EmbeddedValkey

NODE_TIMEOUT_MS = 1000


def free_port() -> int:
    """Return a port of the loopback device that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TcpValkey(EmbeddedValkey):
    """A Valkey that listens on a port of 127.0.0.1, with further arguments."""

    def __init__(self, data: Path, *arguments: str) -> None:
        super().__init__(data)
        self.port = free_port()
        self.arguments = arguments

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def client(self, **options: str) -> aioredis.Redis:
        """Return a client for the test itself."""
        return aioredis.Redis(port=self.port, decode_responses=True, **options)  # type: ignore[arg-type]

    async def follows(self) -> None:
        """Wait until a replica has its primary's data."""
        client = self.client()
        while (await client.info("replication"))["master_link_status"] != "up":
            await asyncio.sleep(0.05)
        await client.aclose()

    async def kill(self) -> None:
        """kill -9, as a crash does."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGKILL)
        await self.stop()

    def _command(self) -> list[str]:
        return [*super()._command(), "--port", str(self.port), *self.arguments]


class Sentinel(TcpValkey):
    """A Sentinel that watches the primary ``main`` and decides alone that it is down."""

    name = "sentinel"

    def __init__(self, data: Path, primary: TcpValkey) -> None:
        super().__init__(data)
        self._config = data / "sentinel.conf"
        self._config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {data}\n"
            f"unixsocket {self.sockets / 'valkey.sock'}\n"
            f"sentinel monitor main 127.0.0.1 {primary.port} 1\n"
            f"sentinel down-after-milliseconds main {NODE_TIMEOUT_MS}\n"
            "sentinel failover-timeout main 3000\n"
        )

    async def finds_a_replica(self) -> None:
        """Wait until it knows of one."""
        client = self.client()
        while int((await client.sentinel_master("main"))["num-slaves"]) < 1:
            await asyncio.sleep(0.05)
        await client.aclose()

    def _command(self) -> list[str]:
        return [str(self.binary()), str(self._config), "--sentinel"]


class WatchedPair:
    """A primary with a replica, and a Sentinel, which decides alone: elections take long."""

    def __init__(self, folder: Path) -> None:
        self.primary = TcpValkey(folder / "primary")
        self.replica = TcpValkey(
            folder / "replica", "--replicaof", "127.0.0.1", str(self.primary.port),
            "--repl-diskless-sync-delay", "0",
        )  # fmt: skip
        self.sentinel = Sentinel(folder / "sentinel", self.primary)

    @property
    def url(self) -> str:
        """bus.url. The Sentinel that is asked first is not there: the others know as well."""
        places = f"127.0.0.1:{free_port()},127.0.0.1:{self.sentinel.port}"
        return f"redis+sentinel://{places}/main?db=1"

    async def start(self) -> None:
        """Start the three; the Sentinel knows of the replica then."""
        await self.primary.start()
        await self.replica.start()
        await self.replica.follows()
        await self.sentinel.start()
        await self.sentinel.finds_a_replica()

    async def stop(self) -> None:
        """Stop the three."""
        servers = (self.primary, self.replica, self.sentinel)
        await asyncio.gather(*(server.stop() for server in servers))


class ValkeyCluster:
    """Three primaries; ``nodes[n + 3]`` begins as the replica of ``nodes[n]``."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [
            TcpValkey(
                folder / f"node{number}",
                "--cluster-enabled", "yes", "--cluster-port", str(free_port()),
                "--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--bind", "127.0.0.1",
                # The others go on where one shard is away.
                "--cluster-require-full-coverage", "no",
                "--repl-diskless-sync-delay", "0",
            )
            for number in range(6)
        ]  # fmt: skip

    @property
    def url(self) -> str:
        """bus.url: two of the nodes, one of each kind."""
        return f"redis+cluster://127.0.0.1:{self.nodes[1].port},127.0.0.1:{self.nodes[5].port}"

    async def start(self) -> None:
        """Start the nodes and make a cluster of them."""
        await asyncio.gather(*(node.start() for node in self.nodes))
        clients = [node.client() for node in self.nodes]
        try:
            for number, client in enumerate(clients):
                await client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                if number:
                    first = self.nodes[0]
                    bus_port = first.arguments[3]
                    await client.execute_command(
                        "CLUSTER", "MEET", "127.0.0.1", first.port, bus_port
                    )
            for number, client in enumerate(clients[:3]):
                ends = [round(16384 * n / 3) for n in range(4)]
                await client.execute_command(
                    "CLUSTER", "ADDSLOTSRANGE", ends[number], ends[number + 1] - 1
                )
            ids = [await client.execute_command("CLUSTER", "MYID") for client in clients]
            for number, client in enumerate(clients[3:]):
                await _until_known(client, ids[number])
                await client.execute_command("CLUSTER", "REPLICATE", ids[number])
            for client in clients:
                while not await _whole(client):
                    await asyncio.sleep(0.05)
            for node in self.nodes[3:]:
                await node.follows()
        finally:
            for client in clients:
                await client.aclose()

    async def stop(self) -> None:
        """Stop all nodes."""
        await asyncio.gather(*(node.stop() for node in self.nodes))

    async def move(self, key: str, to: TcpValkey) -> None:
        """Move the slot of ``key`` to another primary, as valkey-cli --cluster reshard does."""
        origin = await self.primary(key)
        clients = {node: node.client() for node in self.nodes}
        source, target = clients[origin], clients[to]
        slot = await source.execute_command("CLUSTER", "KEYSLOT", key)
        ids = {
            node: await clients[node].execute_command("CLUSTER", "MYID") for node in (origin, to)
        }
        await target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[origin])
        await source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
        await asyncio.sleep(0.2)
        while names := await source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 2):
            await source.execute_command(
                "MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *names
            )
            await asyncio.sleep(0.2)  # as large keys take
        for node in (to, origin, *(set(self.nodes[:3]) - {to, origin})):
            await clients[node].execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[to])
        for client in clients.values():
            await client.aclose()

    async def flush(self) -> None:
        """Forget all data."""
        for node in self.nodes[:3]:
            client = node.client()
            await client.flushall()
            await client.aclose()

    def replica_of(self, primary: TcpValkey) -> TcpValkey:
        """Return the node that began as the replica of ``primary``, or the other way round."""
        return self.nodes[(self.nodes.index(primary) + 3) % 6]

    async def cut_off(self, primary: TcpValkey) -> None:
        """Let the replica of ``primary`` fall behind: it is thrown out and cannot log in again."""
        replica = self.replica_of(primary).client()
        await replica.config_set("masteruser", "nobody")
        await replica.config_set("masterauth", "nothing")
        await replica.aclose()
        client = primary.client()
        await client.execute_command("CLIENT", "KILL", "TYPE", "replica")
        await client.aclose()

    async def primary(self, key: str) -> TcpValkey:
        """Return the node that serves ``key`` now."""
        for node in self.nodes:
            if not node.alive:
                continue
            client = node.client()
            try:
                slot = await client.execute_command("CLUSTER", "KEYSLOT", key)
                for first, last, (_host, port, *_rest), *_replicas in await _slots(client):
                    if first <= slot <= last:
                        return next(n for n in self.nodes if n.port == port)
            finally:
                await client.aclose()
        raise AssertionError(f"nobody serves {key}")


async def _slots(client: aioredis.Redis) -> list[list[object]]:
    answer = await client.execute_command("CLUSTER SLOTS")
    return list(answer)


async def _until_known(client: aioredis.Redis, node_id: str) -> None:
    while node_id not in str(await client.execute_command("CLUSTER", "NODES")):
        await asyncio.sleep(0.05)


async def _whole(client: aioredis.Redis) -> bool:
    info = str(await client.execute_command("CLUSTER", "INFO"))
    return "cluster_state:ok" in info and "cluster_known_nodes:6" in info
