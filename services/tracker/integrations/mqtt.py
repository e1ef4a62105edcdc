"""Events and counts on an MQTT broker, with QoS 1: told until the broker has acknowledged them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Collection, Sequence
from importlib import metadata
from urllib.parse import unquote, urlsplit

import aiomqtt

from posewire.shared.errors import StoreUnavailable
from posewire.shared.settings import MqttSettings
from posewire.shared.tasks import cancel
from posewire.tracker.integrations.destination import Undelivered
from posewire.tracker.integrations.home_assistant import Topics, device
from posewire.tracker.integrations.payload import event_data
from posewire.tracker.store.outbox import Delivery, Outbox

_TIMEOUT_S = 10.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class MqttBroker:
    """The broker; ``connected`` has to be entered before ``tell``."""

    name = "mqtt"

    def __init__(
        self, settings: MqttSettings, cameras: Sequence[str], announced: Sequence[str] = ()
    ) -> None:
        """One tracker tells the events of all, and so announces all cameras.

        Args:
            settings: where the broker is.
            cameras: those whose events are queued here.
            announced: those that are announced at once. Any other, of a tracker with another
                configuration, is announced before its first event.
        """
        self._settings, self._cameras = settings, frozenset(cameras)
        self._announced = dict.fromkeys(announced or cameras)
        self._topics = Topics(settings.topic, settings.discovery_topic)
        self._client: aiomqtt.Client | None = None
        self._reborn = asyncio.Event()
        """Home Assistant has started and knows nothing."""

    def wants(self, camera: str, kind: str) -> bool:
        return camera in self._cameras

    @contextlib.asynccontextmanager
    async def connected(self, outbox: Outbox) -> AsyncIterator[None]:
        place = urlsplit(self._settings.url)
        gone = aiomqtt.Will(self._topics.status, "offline", qos=1, retain=True)
        try:
            async with aiomqtt.Client(
                place.hostname or "localhost",
                place.port or _PORTS[place.scheme],
                username=unquote(place.username) if place.username else None,
                password=unquote(place.password) if place.password else None,
                will=gone,
                tls_context=self._tls(place.scheme),
                timeout=_TIMEOUT_S,
                keepalive=20,
            ) as self._client:
                if self._settings.discovery:
                    await self._client.subscribe(self._topics.birth, qos=1)
                listening = asyncio.create_task(self._listen(self._client), name="mqtt listens")
                try:
                    await self._introduce(outbox)
                    yield
                finally:
                    await cancel([listening])
                    # The broker says so by itself only where the connection breaks.
                    with contextlib.suppress(aiomqtt.MqttError):
                        await self._client.publish(
                            self._topics.status, "offline", qos=1, retain=True, timeout=1.0
                        )
        except aiomqtt.MqttError as error:
            raise Undelivered(f"{self._settings.url}: {error}") from None

    def _tls(self, scheme: str) -> ssl.SSLContext | None:
        if scheme != "mqtts":
            return None
        try:
            return ssl.create_default_context(cafile=self._settings.ca_file)
        except OSError as error:
            path = self._settings.ca_file
            raise Undelivered(f"integrations.mqtt.ca_file {path} cannot be used: {error}") from None

    async def tell(self, delivery: Delivery) -> None:
        if delivery.camera not in self._announced:
            await self._announce(delivery.camera)
            self._announced[delivery.camera] = None
        # Home Assistant reads event_type; the rest becomes the event's attributes.
        data = {"event_type": delivery.kind} | event_data(delivery)
        await self._publish(self._topics.event(delivery.camera), json.dumps(data))

    async def settle(self, deliveries: Sequence[Delivery], outbox: Outbox) -> None:
        """Publish how many people there are now: late events must not count back in time."""
        if self._reborn.is_set():
            self._reborn.clear()
            await self._introduce(outbox)
        elif deliveries:
            await self._count({delivery.camera for delivery in deliveries}, outbox)

    async def _introduce(self, outbox: Outbox) -> None:
        for camera in self._announced:
            await self._announce(camera)
        await self._count(self._announced, outbox)
        await self._publish(self._topics.status, "online", retain=True)

    async def _announce(self, camera: str) -> None:
        if self._settings.discovery:
            text = json.dumps(device(self._topics, camera, _version()))
            await self._publish(self._topics.device(camera), text, retain=True)

    async def _count(self, cameras: Collection[str], outbox: Outbox) -> None:
        for camera, people in (await outbox.people(sorted(cameras))).items():
            await self._publish(self._topics.people(camera), str(people), retain=True)
            occupied = "ON" if people else "OFF"
            await self._publish(self._topics.occupancy(camera), occupied, retain=True)

    async def _publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        assert self._client is not None
        try:
            await self._client.publish(topic, payload, qos=1, retain=retain, timeout=_TIMEOUT_S)
        except aiomqtt.MqttError as error:
            raise Undelivered(f"{self._settings.url}: {error}") from None

    async def _listen(self, client: aiomqtt.Client) -> None:
        with contextlib.suppress(aiomqtt.MqttError, StoreUnavailable):
            async for message in client.messages:
                if message.topic.matches(self._topics.birth) and message.payload == b"online":
                    self._reborn.set()


def _version() -> str:
    try:
        return metadata.version("posewire")
    except metadata.PackageNotFoundError:
        return "0"
