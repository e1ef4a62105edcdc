"""Events reach an MQTT broker and webhooks once each, in order, whatever fails in between."""

from __future__ import annotations

import asyncio
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiomqtt
import asyncpg
import pytest
from prometheus_client import REGISTRY
from standardwebhooks.webhooks import Webhook as Verifier

from posewire.launcher.options import only_cameras
from posewire.shared.bus import keys
from posewire.shared.settings import Settings
from tests.integration.tracker.integrating import Broker, NewSettings, mqtt, tracking, until
from tests.integration.tracker.test_store import END, EXPECTED, SCENE, feed
from tests.memory_bus import MemoryBus
from tests.unit.tracker.scenes import events_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KINDS = [event.kind for event in events_of(SCENE)]
Answer = tuple[int, dict[str, str]]


class Receiver:
    """A web server that notes what is posted and answers as it is told."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.answer: Callable[[int], Answer] = lambda _number: (204, {})
        self.tries = 0
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.tries += 1
                status, headers = receiver.answer(receiver.tries)
                if 200 <= status < 300:
                    message = Verifier(SECRET).verify(body, dict(self.headers.items()))
                    receiver.posts.append(message | {"webhook-id": self.headers["webhook-id"]})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def ids(self) -> list[str]:
        return [post["webhook-id"] for post in self.posts]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


def hook(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"webhooks": {"shop": {"url": receiver.url, "secret": SECRET} | more}}


async def waiting(settings: Settings) -> int:
    connection = await asyncpg.connect(settings.database.url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM outbox"))
    finally:
        await connection.close()


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"posewire_integration_{name}", labels) or 0.0


async def test_every_event_is_posted_once_in_order(
    new_settings: NewSettings, receiver: Receiver
) -> None:
    bus, settings = MemoryBus(), new_settings(**hook(receiver))
    await feed(bus, [*SCENE, END])
    async with tracking(settings, bus):
        await until(lambda: len(receiver.posts) >= len(EXPECTED), "all events come")
        await asyncio.sleep(0.3)
    assert receiver.ids == EXPECTED
    assert [post["type"] for post in receiver.posts] == [f"posewire.{kind}" for kind in KINDS]
    assert receiver.posts[0]["data"]["camera"] == "door"
    assert await waiting(settings) == 0


async def test_kinds_and_cameras_are_chosen(new_settings: NewSettings, receiver: Receiver) -> None:
    bus = MemoryBus()
    settings = new_settings(**hook(receiver, kinds=["exited"], cameras=["door"]))
    await feed(bus, [*SCENE, END])
    async with tracking(settings, bus):
        await until(lambda: len(receiver.posts) >= KINDS.count("exited"), "the exits come")
    assert {post["type"] for post in receiver.posts} == {"posewire.exited"}


async def test_failures_pass_and_nothing_doubles(
    new_settings: NewSettings, receiver: Receiver
) -> None:
    """Every other answer is an error, of all the kinds that pass."""
    statuses = [500, 503, 429, 408]

    def answer(number: int) -> Answer:
        if number % 2:
            return statuses[number // 2 % 4], {"retry-after": "0"}
        return 200, {}

    receiver.answer = answer
    bus, settings = MemoryBus(), new_settings(**hook(receiver))
    failed = counted("failed_total", integration="webhook:shop")
    await feed(bus, [*SCENE, END])
    async with tracking(settings, bus):
        await until(lambda: len(receiver.posts) >= len(EXPECTED), "all events come", 40)
    assert receiver.ids == EXPECTED
    assert counted("failed_total", integration="webhook:shop") >= failed + len(EXPECTED)


async def test_an_event_that_is_refused_does_not_hold_up_the_others(
    new_settings: NewSettings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posewire.tracker.integrations import delivery

    monkeypatch.setattr(delivery, "_MOST_REFUSALS", 2)
    receiver.answer = lambda number: (400, {}) if number <= 2 else (200, {})
    bus, settings = MemoryBus(), new_settings(**hook(receiver))
    dropped = counted("dropped_total", integration="webhook:shop", reason="refused")
    await feed(bus, [*SCENE, END])
    async with tracking(settings, bus):
        await until(lambda: len(receiver.posts) >= len(EXPECTED) - 1, "the others come")
    assert receiver.ids == EXPECTED[1:]
    assert counted("dropped_total", integration="webhook:shop", reason="refused") == dropped + 1


async def test_who_is_gone_is_told_no_more(new_settings: NewSettings, receiver: Receiver) -> None:
    receiver.answer = lambda _number: (410, {})
    bus, settings = MemoryBus(), new_settings(**hook(receiver))
    await feed(bus, [*SCENE, END])
    async with tracking(settings, bus):
        await until(lambda: receiver.tries == 1, "one try")
        await asyncio.sleep(0.5)
        assert receiver.tries == 1


async def test_a_receiver_that_hangs_holds_up_nothing(
    new_settings: NewSettings, receiver: Receiver, postgres_url: str
) -> None:
    """The tracker commits all while the first POST is not answered; then all are delivered."""
    go_on = threading.Event()

    def answer(_number: int) -> Answer:
        go_on.wait(30)
        return 200, {}

    receiver.answer = answer
    bus, settings = MemoryBus(), new_settings(**hook(receiver, timeout_s=30))
    await feed(bus, [*SCENE, END])
    async with tracking(settings, bus):
        connection = await asyncpg.connect(postgres_url)

        async def committed() -> int:
            try:
                return int(await connection.fetchval("SELECT count(*) FROM event"))
            except asyncpg.UndefinedTableError:
                return 0

        for _ in range(1000):
            if await committed() == len(EXPECTED):
                break
            await asyncio.sleep(0.01)
        assert await committed() == len(EXPECTED)
        await connection.close()
        assert receiver.posts == []
        go_on.set()
        await until(lambda: len(receiver.posts) >= len(EXPECTED), "all events come")
    assert receiver.ids == EXPECTED


async def test_what_was_not_told_is_told_after_a_restart(
    new_settings: NewSettings, receiver: Receiver
) -> None:
    bus, settings = MemoryBus(), new_settings(**hook(receiver))
    receiver.answer = lambda number: (200, {}) if number == 1 else (503, {})
    await feed(bus, [*SCENE, END])
    async with tracking(settings, bus):
        await until(lambda: receiver.tries >= 2, "the second fails")
    receiver.answer = lambda _number: (200, {})
    # Another process: nothing new comes, but the queue is there.
    async with tracking(settings, bus):
        await until(lambda: len(receiver.posts) >= len(EXPECTED), "the rest comes")
    assert receiver.ids == EXPECTED


async def test_two_trackers_tell_each_event_once(
    new_settings: NewSettings, receiver: Receiver
) -> None:
    bus, settings = MemoryBus(), new_settings(**hook(receiver))
    async with tracking(settings, bus), tracking(settings, bus):
        await feed(bus, [*SCENE, END])
        await until(lambda: len(receiver.posts) >= len(EXPECTED), "all events come")
        await asyncio.sleep(0.5)
    assert receiver.ids == EXPECTED


async def test_what_is_too_old_is_given_up(new_settings: NewSettings, receiver: Receiver) -> None:
    bus = MemoryBus()
    receiver.answer = lambda _number: (503, {})
    settings = new_settings(**hook(receiver))
    await feed(bus, [*SCENE, END])
    async with tracking(settings, bus):
        await until(lambda: receiver.tries >= 1, "a try fails")
    assert await waiting(settings) == len(EXPECTED)
    settings = new_settings(**hook(receiver), keep_days=1e-6)
    dropped = counted("dropped_total", integration="webhook:shop", reason="old")
    async with tracking(settings, bus):
        for _ in range(500):
            if await waiting(settings) == 0:
                break
            await asyncio.sleep(0.02)
    assert await waiting(settings) == 0
    now = counted("dropped_total", integration="webhook:shop", reason="old")
    assert now == dropped + len(EXPECTED)


def events(heard: list[aiomqtt.Message]) -> list[str]:
    return [json.loads(m.payload)["id"] for m in heard if m.topic.value.endswith("/event")]


def last(heard: list[aiomqtt.Message], topic: str) -> Any:
    found = [m.payload for m in heard if m.topic.value == topic]
    return found[-1].decode() if found else None


async def test_the_broker_hears_of_cameras_counts_and_events(
    new_settings: NewSettings, broker: Broker
) -> None:
    bus, settings = MemoryBus(), new_settings(**mqtt(broker))
    async with broker.listening() as heard:
        async with tracking(settings, bus):
            await until(lambda: last(heard, "posewire/status") == "online", "it says hello")
            assert last(heard, "posewire/door/people") == "0"
            assert last(heard, "posewire/door/occupancy") == "OFF"
            config = json.loads(last(heard, "homeassistant/device/posewire_door/config"))
            assert len(config["components"]) == 3
            half = next(n for n, r in enumerate(SCENE) if r.frame.t > 2.5)
            await feed(bus, SCENE[:half])
            await until(lambda: last(heard, "posewire/door/occupancy") == "ON", "somebody is there")
            await feed(bus, [*SCENE[half:], END])
            await until(lambda: len(events(heard)) >= len(EXPECTED), "all events come")
            await until(lambda: last(heard, "posewire/door/people") == "0", "all have left")
            await until(lambda: last(heard, "posewire/door/occupancy") == "OFF", "nobody is there")
        await until(lambda: last(heard, "posewire/status") == "offline", "it says good-bye")
    assert events(heard) == EXPECTED
    kinds = [json.loads(m.payload)["event_type"] for m in heard if "event" in m.topic.value]
    assert kinds == KINDS
    # Who comes later learns the state, and no old events.
    async with broker.listening("late") as late:
        await until(lambda: last(late, "posewire/door/people") == "0", "the state is retained")
    assert events(late) == []


async def test_trackers_that_share_the_cameras_announce_them_all(
    new_settings: NewSettings, broker: Broker
) -> None:
    both = {name: {"source": "demo", "policy": "lossless"} for name in ("door", "yard")}
    off = {"cellar": {"source": "demo", "enabled": False}}
    settings = new_settings(**mqtt(broker))
    settings = Settings.model_validate(settings.model_dump() | {"cameras": both | off})
    bus = MemoryBus()
    async with (
        broker.listening() as heard,
        tracking(only_cameras(settings, ["door"]), bus),
        tracking(only_cameras(settings, ["yard"]), bus),
    ):
        await until(lambda: last(heard, "posewire/status") == "online", "online")
        for name in both:
            config = json.loads(last(heard, f"homeassistant/device/posewire_{name}/config"))
            assert config["device"]["name"] == f"Posewire {name}"
            assert last(heard, f"posewire/{name}/people") == "0"
        assert last(heard, "homeassistant/device/posewire_cellar/config") is None
        await feed(bus, [*SCENE, END])
        await until(lambda: len(events(heard)) == len(KINDS), "all events")


async def test_a_camera_of_another_configuration_is_announced_with_its_first_event(
    new_settings: NewSettings, broker: Broker
) -> None:
    door = new_settings(**mqtt(broker))
    elsewhere = {"yard": {"source": "demo"}}
    yard = Settings.model_validate(door.model_dump() | {"cameras": elsewhere})
    bus = MemoryBus()
    async with broker.listening() as heard, tracking(yard, bus):
        await until(lambda: last(heard, "posewire/status") == "online", "online")
        async with tracking(door, bus):
            await feed(bus, [*SCENE, END])
            await until(lambda: len(events(heard)) == len(KINDS), "all events")
        topics = [str(message.topic) for message in heard]
        assert topics.index("homeassistant/device/posewire_door/config") < topics.index(
            "posewire/door/event"
        )


async def test_home_assistant_is_told_again_when_it_starts(
    new_settings: NewSettings, broker: Broker
) -> None:
    topic = "homeassistant/device/posewire_door/config"
    async with broker.listening() as heard, tracking(new_settings(**mqtt(broker)), MemoryBus()):
        await until(lambda: last(heard, "posewire/status") == "online", "it says hello")
        before = sum(m.topic.value == topic for m in heard)
        await broker.say("homeassistant/status", "online")
        await until(lambda: sum(m.topic.value == topic for m in heard) > before, "told again")


async def test_without_discovery_home_assistant_is_not_bothered(
    new_settings: NewSettings, broker: Broker
) -> None:
    settings = new_settings(**mqtt(broker, discovery=False, topic="shop/cellar"))
    async with broker.listening() as heard, tracking(settings, MemoryBus()):
        await until(lambda: last(heard, "shop/cellar/status") == "online", "it says hello")
    assert not [m for m in heard if m.topic.value.startswith("homeassistant")]


async def test_a_broker_that_dies_misses_nothing(new_settings: NewSettings, broker: Broker) -> None:
    bus, settings = MemoryBus(), new_settings(**mqtt(broker))
    half = next(n for n, r in enumerate(SCENE) if r.frame.t > 2.5)
    async with broker.listening() as heard, tracking(settings, bus):
        await feed(bus, SCENE[:half])
        await until(lambda: len(events(heard)) >= 1, "the first events come")
        broker.kill()
        await feed(bus, [*SCENE[half:], END])
        await asyncio.sleep(1.0)
        broker.start()
        await until(lambda: set(events(heard)) >= set(EXPECTED), "all events come", 40)
    told = list(dict.fromkeys(events(heard)))
    assert told == EXPECTED, "in order; repeated at most with the same id"
    assert await waiting(settings) == 0


# paho-mqtt leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")
@pytest.mark.parametrize("trusted", [True, False])
async def test_over_tls_only_a_trusted_broker_is_told(
    new_settings: NewSettings,
    broker: Broker,
    trusted: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl, to make a certificate with")
    port, certificate = broker.secure()
    broker.kill()
    broker.start()
    more = {"url": f"mqtts://posewire@localhost:{port}"}
    if trusted:
        more["ca_file"] = str(certificate)
    bus, settings = MemoryBus(), new_settings(**mqtt(broker, **more))
    async with broker.listening() as heard, tracking(settings, bus):
        await feed(bus, [*SCENE, END])
        if trusted:
            await until(lambda: len(events(heard)) >= len(EXPECTED), "all events come")
        else:
            await until(lambda: "certificate" in capsys.readouterr().out, "the log says why")
    assert events(heard) == (EXPECTED if trusted else [])


async def test_a_wrong_password_is_waited_for_and_tracking_goes_on(
    new_settings: NewSettings, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    broker.password.write_text("wrong")
    bus, settings = MemoryBus(), new_settings(**mqtt(broker))
    await feed(bus, [*SCENE, END])
    async with tracking(settings, bus):
        for _ in range(500):
            progress = await bus.get(keys.progress("door"))
            if progress is not None and getattr(progress, "ended", False):
                break
            await asyncio.sleep(0.02)
        await until(
            lambda: counted("failed_total", integration="mqtt") > 0, "the failure is counted"
        )
    assert await waiting(settings) == len(EXPECTED)
    said = capsys.readouterr()
    assert "wrong" not in said.out + said.err
