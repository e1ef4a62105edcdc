"""A real MQTT broker, and a tracker that tells it of events."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from posewire.shared.settings import Settings
from posewire.tracker.service import run
from tests.e2e.test_page_system import free_port
from tests.memory_bus import MemoryBus

NewSettings = Callable[..., Settings]


class Broker:
    """A real mosquitto with one user."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("no mosquitto (apt-get install mosquitto)")
        self.port = free_port()
        passwords = folder / "passwords"
        subprocess.run(
            ["mosquitto_passwd", "-b", "-c", str(passwords), "posewire", "se/cret"], check=True
        )
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n"
            # Retained messages and what waits for sessions outlive a restart, as on real brokers.
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\nuser root\n"
        )
        self._folder = folder
        self._command = [program, "-c", str(self._config)]
        self._process: subprocess.Popen[bytes] | None = None
        self.password = folder / "password"
        self.password.write_text("se/cret\n")

    def secure(self) -> tuple[int, Path]:
        """Serve TLS, too, from the next start on; return the port, and whom to trust."""
        port, certificate, key = free_port(), self._folder / "cert.pem", self._folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
             "-keyout", str(key), "-out", str(certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
        with self._config.open("a") as config:
            config.write(f"listener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\n")
        return port, certificate

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.asynccontextmanager
    async def listening(self, name: str = "listener") -> AsyncIterator[list[aiomqtt.Message]]:
        """Note all messages; what was retained before comes first."""
        heard: list[aiomqtt.Message] = []
        subscribed = asyncio.Event()

        async def listen() -> None:
            while True:
                try:
                    async with aiomqtt.Client(
                        "127.0.0.1", self.port, username="posewire", password="se/cret",
                        identifier=name, clean_session=False,
                    ) as client:  # fmt: skip
                        await client.subscribe("#", qos=1)
                        subscribed.set()
                        async for message in client.messages:
                            heard.append(message)
                except aiomqtt.MqttError:
                    await asyncio.sleep(0.05)

        task = asyncio.create_task(listen())
        try:
            # What is told before is not kept for somebody whom the broker does not know.
            await asyncio.wait_for(subscribed.wait(), 20)
            yield heard
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def say(self, topic: str, payload: str) -> None:
        async with aiomqtt.Client(
            "127.0.0.1", self.port, username="posewire", password="se/cret"
        ) as client:
            await client.publish(topic, payload, qos=1)


def mqtt(broker: Broker, **more: Any) -> dict[str, Any]:
    return {
        "mqtt": {
            "url": f"mqtt://posewire@127.0.0.1:{broker.port}",
            "password_file": str(broker.password),
        }
        | more
    }


@contextlib.asynccontextmanager
async def tracking(settings: Settings, bus: MemoryBus) -> AsyncIterator[None]:
    task = asyncio.create_task(run(settings, bus))
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.02)
