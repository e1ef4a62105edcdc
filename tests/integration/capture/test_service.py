"""The capture service, with real sources, over the in-memory bus and over Valkey."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import cv2
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from posewire.capture import service
from posewire.launcher.embedded import EmbeddedValkey
from posewire.shared.bus import START, Bus, RedisBus, keys
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import (
    CameraState,
    Control,
    FrameHeader,
    Message,
    Progress,
    SessionEnd,
)
from posewire.shared.settings import Settings
from tests.conftest import ROOT
from tests.integration.capture.conftest import MjpegServer, number_in, numbered
from tests.memory_bus import MemoryBus

Video = Callable[..., Path]
CAMERA = "main"


def settings_for(
    sources: dict[str, object],
    *,
    policy: str = "live",
    window: int = 8,
    lease_s: float = 3,
    **options: object,
) -> Settings:
    """Settings of one camera that begins with the first source."""
    timeouts = {"open_timeout_s": 2.0, "read_timeout_s": 1.0} | options
    return Settings.model_validate({
        "bus": {"lossless_window": window, "frames_maxlen": 64, "lease_s": lease_s},
        "sources": {name: {"url": str(url)} | timeouts for name, url in sources.items()},
        "cameras": {CAMERA: {"source": next(iter(sources)), "policy": policy}},
    })  # fmt: skip


@contextlib.asynccontextmanager
async def serving(settings: Settings, bus: Bus) -> AsyncIterator[asyncio.Task[None]]:
    """Run the service while the body runs."""
    task = asyncio.create_task(service.run(settings, bus))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Watcher:
    """Reads a camera's frames stream as inference would, through whatever happens to the bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._epoch = bus.epoch_of(keys.frames(CAMERA))
        self._reader = bus.reader(keys.frames(CAMERA))
        self.found: list[Message] = []
        self.jpegs: dict[tuple[str, int], bytes] = {}

    async def read(self) -> list[Message]:
        """Return what came within a moment; remembers it all."""
        try:
            entries = await self._reader.read(block_s=0.1)
        except BusUnavailable:
            await asyncio.sleep(0.05)
            return []
        if self._bus.epoch_of(keys.frames(CAMERA)) != self._epoch:
            self._epoch = self._bus.epoch_of(keys.frames(CAMERA))
            self._reader = self._bus.reader(keys.frames(CAMERA), START)
            return []
        for entry in entries:
            if isinstance(entry.message, FrameHeader):
                assert entry.payload is not None
                self.jpegs[entry.message.session, entry.message.seq] = entry.payload
        self.found += [entry.message for entry in entries]
        return [entry.message for entry in entries]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Read until ``condition`` holds."""

        async def read_on() -> None:
            while not condition():
                await self.read()

        await asyncio.wait_for(read_on(), 30)

    @property
    def frames(self) -> list[FrameHeader]:
        return [m for m in self.found if isinstance(m, FrameHeader)]

    @property
    def ends(self) -> list[SessionEnd]:
        return [m for m in self.found if isinstance(m, SessionEnd)]

    @property
    def sessions(self) -> list[str]:
        return list(dict.fromkeys(m.session for m in self.frames))


class Tracker(Watcher):
    """Stands for inference and tracker: commits what it reads, in order, and says how far it is.

    What it has committed outlives the bus, as Postgres does.
    """

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.committed: list[tuple[str, int]] = []
        self.progress: Progress | None = None
        self.paused = False

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            for message in await self.read():
                self._commit(message)
            if self.progress is not None and not self.paused:
                with contextlib.suppress(BusUnavailable):
                    await self._bus.put(keys.progress(CAMERA), self.progress)

    def _commit(self, message: Message) -> None:
        before = self.progress
        if isinstance(message, FrameHeader):
            same = before is not None and before.session == message.session
            if same and before is not None and message.seq <= before.seq:
                return
            last = before.seq if same and before is not None else -1
            assert message.seq == last + 1, f"frame {message.seq} after {last}"
            self.committed.append((message.session, message.seq))
            self.progress = Progress(camera=CAMERA, session=message.session, seq=message.seq)
        elif isinstance(message, SessionEnd) and before is not None:
            whole = message.session == before.session and message.frames == before.seq + 1
            if whole:
                self.progress = Progress(
                    camera=CAMERA, session=before.session, seq=before.seq, ended=True
                )

    @property
    def done(self) -> bool:
        return self.progress is not None and self.progress.ended


@contextlib.asynccontextmanager
async def tracking(bus: Bus) -> AsyncIterator[Tracker]:
    """Run a Tracker while the body runs."""
    tracker = Tracker(bus)
    task = asyncio.create_task(tracker.run())
    try:
        yield tracker
    finally:
        if task.done():
            task.result()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def wait_for(condition: Callable[[], bool], timeout: float = 30) -> None:
    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(poll(), timeout)


async def state_with(
    bus: Bus, condition: Callable[[CameraState], bool], timeout: float = 20
) -> CameraState:
    """Return the camera's state as soon as ``condition`` holds for it."""
    state: Message | None = None

    async def poll() -> CameraState:
        nonlocal state
        while True:
            state = await bus.get(keys.state(CAMERA))
            if isinstance(state, CameraState) and condition(state):
                return state
            await asyncio.sleep(0.02)

    try:
        return await asyncio.wait_for(poll(), timeout)
    except asyncio.TimeoutError:
        pytest.fail(f"the state stayed {state}")


async def switch(bus: Bus, source: str) -> None:
    wish = Control(camera=CAMERA, action="switch_source", source=source, requested_at=0.0)
    await bus.publish(keys.control(CAMERA), wish, maxlen=64)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"camera": CAMERA} | labels) or 0.0


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


class TestLive:
    async def test_a_file_plays_at_its_own_rate_and_ends(
        self, bus: MemoryBus, new_video: Video
    ) -> None:
        settings = settings_for({"shop": new_video(20, fps=20)})
        loop = asyncio.get_running_loop()
        async with serving(settings, bus):
            watcher, began = Watcher(bus), loop.time()
            await watcher.until(lambda: bool(watcher.ends))
            # 19 distances of 50 ms: it cannot have been faster.
            assert loop.time() - began >= 0.9
            state = await state_with(bus, lambda s: s.status == "ended")
        assert [f.seq for f in watcher.frames] == list(range(20))
        first, last = watcher.frames[0], watcher.frames[-1]
        assert (first.source, first.policy, first.fps, first.width, first.height) == (
            "shop", "live", 20.0, 160, 96,
        )  # fmt: skip
        assert last.captured_at - first.captured_at == pytest.approx(0.95)
        (end,) = watcher.ends
        assert (end.session, end.frames, end.reason, end.source) == (
            first.session, 20, "ended", "shop",
        )  # fmt: skip
        assert (state.source, state.error, state.frames) == ("shop", None, 20)
        assert all(number_in(jpeg) == seq for (_, seq), jpeg in watcher.jpegs.items())

    async def test_a_looping_file_is_one_session_after_the_other(
        self, bus: MemoryBus, new_video: Video
    ) -> None:
        settings = settings_for({"shop": new_video(4, fps=40)}, loop=True)
        async with serving(settings, bus):
            watcher = Watcher(bus)
            await watcher.until(lambda: len(watcher.ends) >= 3)
        assert len(watcher.sessions) >= 3
        assert [e.session for e in watcher.ends][:3] == watcher.sessions[:3]
        assert all(e.frames == 4 for e in watcher.ends[:3])

    async def test_a_lost_camera_is_opened_again(
        self, bus: MemoryBus, mjpeg_server: MjpegServer
    ) -> None:
        before = metric("posewire_capture_reconnects_total")
        async with serving(settings_for({"door": mjpeg_server.url}), bus):
            watcher = Watcher(bus)
            await watcher.until(lambda: len(watcher.frames) > 5)
            await mjpeg_server.stop()
            state = await state_with(bus, lambda s: s.status == "reconnecting")
            assert state.error
            await watcher.until(lambda: bool(watcher.ends))
            await mjpeg_server.start()
            await state_with(bus, lambda s: s.status == "running")
            await watcher.until(lambda: len(watcher.sessions) > 1)
        (end, *_) = watcher.ends
        assert end.reason == "failed"
        assert end.session == watcher.sessions[0]
        assert metric("posewire_capture_reconnects_total") > before

    async def test_a_silent_camera_is_stalled_then_opened_again(
        self, bus: MemoryBus, mjpeg_server: MjpegServer
    ) -> None:
        async with serving(settings_for({"door": mjpeg_server.url}, read_timeout_s=2.0), bus):
            await state_with(bus, lambda s: s.status == "running" and s.frames > 3)
            mjpeg_server.send.clear()
            await state_with(bus, lambda s: s.status == "stalled")
            await state_with(bus, lambda s: s.status == "reconnecting")
            connections = mjpeg_server.connections
            mjpeg_server.send.set()
            await state_with(bus, lambda s: s.status == "running" and s.frames > 3)
            assert mjpeg_server.connections > connections

    async def test_a_bus_that_is_away_costs_frames_and_nothing_else(
        self, bus: MemoryBus, mjpeg_server: MjpegServer
    ) -> None:
        async with serving(settings_for({"door": mjpeg_server.url}), bus):
            watcher = Watcher(bus)
            await watcher.until(lambda: len(watcher.frames) > 3)
            lost = metric("posewire_capture_dropped_total", reason="bus")
            bus.away = True
            sent = mjpeg_server.number
            await wait_for(lambda: mjpeg_server.number > sent + 20)
            bus.restart(keep_data=False)
            seen = watcher.frames[-1].seq
            await watcher.until(lambda: watcher.frames[-1].seq > seen + 15)
        assert len(watcher.sessions) == 1
        assert not watcher.ends
        assert metric("posewire_capture_dropped_total", reason="bus") - lost >= 10

    async def test_a_missing_file_is_tried_again_and_a_switch_helps_at_once(
        self, bus: MemoryBus, new_video: Video, tmp_path: Path
    ) -> None:
        sources = {"shop": tmp_path / "later.mp4", "garden": new_video(400, "garden.mp4")}
        async with serving(settings_for(sources), bus):
            state = await state_with(bus, lambda s: s.status == "failed")
            assert "does not exist" in (state.error or "")
            new_video(50, "later.mp4")
            await state_with(bus, lambda s: s.status == "running" and s.source == "shop")
            (tmp_path / "later.mp4").unlink()
            await switch(bus, "garden")
            await state_with(bus, lambda s: s.status == "running" and s.source == "garden")
            await switch(bus, "shop")
            await state_with(bus, lambda s: s.status == "failed" and s.source == "shop")
            await switch(bus, "garden")
            await state_with(bus, lambda s: s.status == "running" and s.source == "garden")

    async def test_a_switch_ends_the_session(self, bus: MemoryBus, new_video: Video) -> None:
        sources = {"shop": new_video(400), "garden": new_video(400, "garden.mp4")}
        async with serving(settings_for(sources), bus):
            watcher = Watcher(bus)
            await watcher.until(lambda: len(watcher.frames) > 2)
            await switch(bus, "garden")
            await watcher.until(lambda: watcher.frames[-1].source == "garden")
        (end, *_) = watcher.ends
        of_first = [f for f in watcher.frames if f.session == watcher.sessions[0]]
        assert (end.session, end.reason, end.frames) == (
            watcher.sessions[0], "switched", of_first[-1].seq + 1,
        )  # fmt: skip
        order = [m.session for m in watcher.found if isinstance(m, (FrameHeader, SessionEnd))]
        assert order == sorted(order, key=watcher.sessions.index)

    async def test_an_ended_file_plays_again_when_asked_for(
        self, bus: MemoryBus, new_video: Video
    ) -> None:
        async with serving(settings_for({"shop": new_video(3)}), bus):
            watcher = Watcher(bus)
            await watcher.until(lambda: bool(watcher.ends))
            await switch(bus, "shop")
            await watcher.until(lambda: len(watcher.ends) == 2)
        assert len(watcher.sessions) == 2

    async def test_an_unknown_source_is_reported_and_nothing_else(
        self, bus: MemoryBus, new_video: Video
    ) -> None:
        with capture_logs() as logs:
            async with serving(settings_for({"shop": new_video(400)}), bus):
                watcher = Watcher(bus)
                await watcher.until(lambda: len(watcher.frames) > 2)
                await switch(bus, "http://evil.example/x")
                state = await state_with(bus, lambda s: s.error is not None)
                seen = len(watcher.frames)
                await watcher.until(lambda: len(watcher.frames) > seen + 5)
        assert (state.status, state.source) == ("running", "shop")
        assert "evil" in (state.error or "")
        assert len(watcher.sessions) == 1
        assert "capture.unknown_source" in [entry["event"] for entry in logs]

    async def test_a_switch_survives_a_restart(self, bus: MemoryBus, new_video: Video) -> None:
        sources = {"shop": new_video(400), "garden": new_video(400, "garden.mp4")}
        async with serving(settings_for(sources), bus):
            await switch(bus, "garden")
            await state_with(bus, lambda s: s.status == "running" and s.source == "garden")
        await switch(bus, "nowhere")
        watcher = Watcher(bus)
        async with serving(settings_for(sources), bus):
            await watcher.until(lambda: len(watcher.sessions) >= 2 and len(watcher.frames) > 20)
        assert watcher.frames[-1].source == "garden"

    async def test_stopping_ends_the_session(self, bus: MemoryBus, new_video: Video) -> None:
        watcher = Watcher(bus)
        async with serving(settings_for({"shop": new_video(400)}), bus):
            await watcher.until(lambda: len(watcher.frames) > 2)
        await watcher.until(lambda: bool(watcher.ends))
        assert watcher.ends[0].session == watcher.sessions[0]

    async def test_junk_on_the_control_stream_is_passed_over(
        self, bus: MemoryBus, new_video: Video
    ) -> None:
        sources = {"shop": new_video(400), "garden": new_video(400, "garden.mp4")}
        async with serving(settings_for(sources), bus):
            await bus.inject(keys.control(CAMERA), b"\xff\x00junk")
            await switch(bus, "garden")
            await state_with(bus, lambda s: s.status == "running" and s.source == "garden")

    async def test_disabled_cameras_are_left_alone(self, bus: MemoryBus, new_video: Video) -> None:
        settings = Settings.model_validate({
            "sources": {"shop": {"url": str(new_video(50))}},
            "cameras": {CAMERA: {"source": "shop", "enabled": False}},
        })  # fmt: skip
        async with serving(settings, bus) as task:
            await switch(bus, "shop")
            await asyncio.sleep(0.3)
            assert not task.done()
        assert await bus.last(keys.frames(CAMERA)) is None
        assert await bus.get(keys.state(CAMERA)) is None

    async def test_broken_images_are_counted(self, bus: MemoryBus, tmp_path: Path) -> None:
        folder = tmp_path / "photos"
        folder.mkdir()
        for number in (0, 1, 3):
            cv2.imwrite(str(folder / f"{number}.png"), numbered(number))
        (folder / "2.png").write_bytes(b"broken")
        before = metric("posewire_capture_dropped_total", reason="unreadable")
        async with serving(settings_for({"photos": folder}, fps=50), bus):
            watcher = Watcher(bus)
            await watcher.until(lambda: bool(watcher.ends))
        assert [(f.seq, f.file) for f in watcher.frames] == [
            (0, "0.png"), (1, "1.png"), (3, "3.png"),
        ]  # fmt: skip
        assert watcher.ends[0].frames == 4
        assert metric("posewire_capture_dropped_total", reason="unreadable") - before == 1


class TestLossless:
    async def test_every_frame_once_and_in_order(self, bus: MemoryBus, new_video: Video) -> None:
        settings = settings_for({"shop": new_video(100)}, policy="lossless")
        async with tracking(bus) as tracker, serving(settings, bus):
            await wait_for(lambda: tracker.done)
            await state_with(bus, lambda s: s.status == "ended")
        assert [f.seq for f in tracker.frames] == list(range(100))
        assert {f.policy for f in tracker.frames} == {"lossless"}
        assert all(number_in(jpeg) == seq for (_, seq), jpeg in tracker.jpegs.items())
        (end,) = tracker.ends
        assert (end.frames, end.reason, end.t) == (100, "ended", pytest.approx(9.9))

    async def test_it_waits_for_the_tracker(self, bus: MemoryBus, new_video: Video) -> None:
        settings = settings_for({"shop": new_video(100)}, policy="lossless", window=8)
        async with serving(settings, bus):
            while await bus.length(keys.frames(CAMERA)) < 8:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            assert await bus.length(keys.frames(CAMERA)) == 8
            async with tracking(bus) as tracker:
                await wait_for(lambda: tracker.done)
        assert len(tracker.committed) == 100

    async def test_killed_and_started_again_it_goes_on(
        self, bus: MemoryBus, new_video: Video
    ) -> None:
        settings = settings_for({"shop": new_video(120)}, policy="lossless")
        async with tracking(bus) as tracker:
            for reached in (10, 40, 80):
                async with serving(settings, bus):
                    await wait_for(lambda reached=reached: len(tracker.committed) > reached)
            async with serving(settings, bus):
                await wait_for(lambda: tracker.done)
            async with serving(settings, bus):  # and once more: it is done and stays so
                await state_with(bus, lambda s: s.status == "ended")
                await asyncio.sleep(0.2)
        assert [f.seq for f in tracker.frames] == list(range(120))
        assert len(tracker.sessions) == 1
        assert len(tracker.ends) == 1
        starts = {round(f.captured_at - f.t, 6) for f in tracker.frames}
        assert len(starts) == 1

    @pytest.mark.parametrize("keep_data", [True, False])
    async def test_the_bus_restarts(
        self, bus: MemoryBus, new_video: Video, keep_data: bool
    ) -> None:
        settings = settings_for({"shop": new_video(120)}, policy="lossless")
        async with tracking(bus) as tracker, serving(settings, bus):
            for reached in (10, 50, 90):
                await wait_for(lambda reached=reached: len(tracker.committed) > reached)
                bus.away = True
                await asyncio.sleep(0.1)
                bus.restart(keep_data=keep_data)
            await wait_for(lambda: tracker.done)
        assert [seq for _, seq in tracker.committed] == list(range(120))
        assert len({session for session, _ in tracker.committed}) == 1

    async def test_the_bus_loses_the_end(self, bus: MemoryBus, new_video: Video) -> None:
        settings = settings_for({"shop": new_video(6)}, policy="lossless", window=8)
        async with serving(settings, bus):
            await state_with(bus, lambda s: s.status == "ended")
            bus.restart(keep_data=False)
            async with tracking(bus) as tracker:
                await wait_for(lambda: tracker.done)
        assert [seq for _, seq in tracker.committed] == list(range(6))

    async def test_all_that_is_left_to_say_is_the_end(
        self, bus: MemoryBus, new_video: Video
    ) -> None:
        """Capture was killed, the bus came back with frame 5 as its last, the tracker has 9."""
        header = FrameHeader(
            camera=CAMERA, session="s", seq=5, t=0.5, captured_at=1000.5, width=160, height=96,
            source="shop", policy="lossless", fps=10.0,
        )  # fmt: skip
        await bus.publish(keys.frames(CAMERA), header, maxlen=64, payload=b"jpeg")
        await bus.put(keys.progress(CAMERA), Progress(camera=CAMERA, session="s", seq=9))
        async with serving(settings_for({"shop": new_video(10)}, policy="lossless"), bus):
            watcher = Watcher(bus)
            await watcher.until(lambda: bool(watcher.ends))
        (end,) = watcher.ends
        assert [f.seq for f in watcher.frames] == [5]
        assert (end.session, end.frames, end.reason) == ("s", 10, "ended")
        assert (end.t, end.captured_at) == (pytest.approx(0.9), pytest.approx(1000.9))

    async def test_a_loop_begins_when_the_round_before_is_committed(
        self, bus: MemoryBus, new_video: Video
    ) -> None:
        settings = settings_for({"shop": new_video(20)}, policy="lossless", loop=True)
        async with serving(settings, bus), tracking(bus) as tracker:
            await wait_for(lambda: len(tracker.ends) >= 3)
        for session in tracker.sessions[:3]:
            assert [seq for s, seq in tracker.committed if s == session] == list(range(20))

    async def test_a_switch_loses_nothing_of_what_was_sent(
        self, bus: MemoryBus, new_video: Video
    ) -> None:
        sources = {"shop": new_video(900), "garden": new_video(30, "garden.mp4")}
        async with tracking(bus) as tracker, serving(
            settings_for(sources, policy="lossless"), bus
        ):  # fmt: skip
            await wait_for(lambda: len(tracker.committed) > 20)
            await switch(bus, "garden")
            await wait_for(lambda: tracker.frames[-1].source == "garden" and tracker.done)
        first, second = tracker.sessions
        ends = {end.session: end for end in tracker.ends}
        sent = [seq for session, seq in tracker.committed if session == first]
        assert sent == list(range(ends[first].frames))
        assert ends[first].reason == "switched"
        assert [seq for session, seq in tracker.committed if session == second] == list(range(30))

    async def test_a_camera_begins_a_new_session_after_a_loss(
        self, bus: MemoryBus, mjpeg_server: MjpegServer
    ) -> None:
        settings = settings_for({"door": mjpeg_server.url}, policy="lossless")
        watcher = Watcher(bus)

        async def commit_what_comes() -> None:
            while True:
                for message in await watcher.read():
                    if isinstance(message, FrameHeader):
                        seq, ended = message.seq, False
                    elif isinstance(message, SessionEnd):
                        seq, ended = message.frames - 1, True
                    else:
                        continue
                    progress = Progress(
                        camera=CAMERA, session=message.session, seq=seq, ended=ended
                    )
                    await bus.put(keys.progress(CAMERA), progress)

        task = asyncio.create_task(commit_what_comes())
        async with serving(settings, bus):
            await wait_for(lambda: len(watcher.frames) > 5)
            mjpeg_server.hang_up()
            await wait_for(lambda: len(watcher.sessions) == 2)
        task.cancel()
        assert [e.reason for e in watcher.ends][:1] == ["failed"]

    async def test_valkey_killed_in_the_middle(
        self, valkey: EmbeddedValkey, new_video: Video
    ) -> None:
        settings = settings_for({"shop": new_video(300)}, policy="lossless")
        capture_bus, tracker_bus = RedisBus(valkey.url), RedisBus(valkey.url)
        try:
            async with tracking(tracker_bus) as tracker, serving(settings, capture_bus):
                for reached in (20, 120):
                    await wait_for(lambda reached=reached: len(tracker.committed) > reached)
                    await valkey.stop()
                    await valkey.start()
                await wait_for(lambda: tracker.done, 60)
            assert [seq for _, seq in tracker.committed] == list(range(300))
        finally:
            await capture_bus.close()
            await tracker_bus.close()


@pytest.mark.parametrize("policy", ["live", "lossless"])
async def test_the_bus_is_away_at_the_start(bus: MemoryBus, new_video: Video, policy: str) -> None:
    bus.away = True
    async with serving(settings_for({"shop": new_video(10)}, policy=policy), bus) as task:
        await asyncio.sleep(0.5)
        assert not task.done()
        bus.away = False
        watcher = Watcher(bus)
        await watcher.until(lambda: bool(watcher.frames))


@pytest.mark.parametrize("kind", ["rtsp", "http"])
async def test_credentials_are_in_no_log_and_no_state(bus: MemoryBus, kind: str) -> None:
    url = f"{kind}://viewer:hunter%2F22@127.0.0.1:9/live?token=t0ps3cret"
    with capture_logs() as logs:
        async with serving(settings_for({"door": url}), bus):
            state = await state_with(bus, lambda s: s.error is not None)
            await wait_for(lambda: len([e for e in logs if "source_failed" in e["event"]]) >= 2)
    assert state.status == "reconnecting"
    assert "127.0.0.1" in str(state.error)
    for secret in ("hunter", "t0ps3cret", "viewer"):
        assert secret not in repr(logs) + repr(state)


_ALONE = """
import asyncio, sys
from posewire.capture import service
from posewire.shared.bus import RedisBus
from posewire.shared.settings import Settings

asyncio.run(service.run(Settings.model_validate_json(sys.argv[2]), RedisBus(sys.argv[1])))
"""


class TestTwoCaptures:
    """One camera played by two processes: by mistake, or so that one stands by."""

    async def test_the_second_stands_by(self, valkey_url: str, new_video: Video) -> None:
        settings = settings_for({"shop": new_video(40, fps=20)})
        one, two = RedisBus(valkey_url), RedisBus(valkey_url)
        with capture_logs() as logs:
            async with serving(settings, one), serving(settings, two):
                watcher, said = Watcher(one), set()

                async def watch_state() -> None:
                    while True:
                        state = await two.get(keys.state(CAMERA))
                        if isinstance(state, CameraState) and watcher.frames:
                            said.add(state.status)
                        await asyncio.sleep(0.01)

                watching = asyncio.create_task(watch_state())
                await watcher.until(lambda: bool(watcher.ends))
                watching.cancel()
        assert len(watcher.sessions) == 1
        assert [f.seq for f in watcher.frames] == list(range(40))
        assert [e.reason for e in watcher.ends] == ["ended"]
        assert {f.term for f in watcher.frames} == {1}
        assert said <= {"running", "ended"}, "the one who stands by spoke for the camera"
        (line,) = (entry for entry in logs if entry["event"] == "capture.standby")
        assert f"process {os.getpid()}" in line["held_by"]
        await one.close()
        await two.close()

    async def test_it_says_so_where_nobody_else_speaks(
        self, bus: MemoryBus, new_video: Video
    ) -> None:
        silent = bus.lease(keys.lease(CAMERA, "capture"), ttl_s=30)
        assert await silent.acquire()
        async with serving(settings_for({"shop": new_video(40)}), bus):
            state = await state_with(bus, lambda _state: True)
            assert (state.status, state.source, state.session) == ("standby", "shop", None)
            await silent.release()
            await state_with(bus, lambda s: s.status == "running")

    async def test_the_second_takes_over_a_live_camera(
        self, bus: MemoryBus, new_video: Video
    ) -> None:
        settings = settings_for({"shop": new_video(400)})
        watcher = Watcher(bus)
        async with contextlib.AsyncExitStack() as first:
            await first.enter_async_context(serving(settings, bus))
            await watcher.until(lambda: bool(watcher.frames))
            async with serving(settings, bus):
                await state_with(bus, lambda s: s.status == "running")
                await first.aclose()
                await watcher.until(lambda: len(watcher.sessions) == 2)
        await watcher.until(lambda: len(watcher.ends) == 2)
        assert [e.session for e in watcher.ends] == watcher.sessions
        assert sorted({m.term for m in watcher.frames}) == [1, 2]
        order = [m.session for m in watcher.found if isinstance(m, (FrameHeader, SessionEnd))]
        assert order == sorted(order, key=watcher.sessions.index)

    async def test_one_that_was_stopped_for_a_while_publishes_nothing_late(
        self, valkey_url: str, new_video: Video
    ) -> None:
        """SIGSTOP in the middle of a lossless run: the other one goes on, frame by frame."""
        settings = settings_for({"shop": new_video(300)}, policy="lossless", lease_s=0.5)
        command = [sys.executable, "-c", _ALONE, valkey_url, settings.model_dump_json()]
        sleeper = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        capture_bus, tracker_bus = RedisBus(valkey_url), RedisBus(valkey_url)
        try:
            async with tracking(tracker_bus) as tracker:
                await wait_for(lambda: len(tracker.committed) > 40)
                sleeper.send_signal(signal.SIGSTOP)
                async with serving(settings, capture_bus):
                    reached = len(tracker.committed)
                    await wait_for(lambda: len(tracker.committed) > reached + 60)
                    sleeper.send_signal(signal.SIGCONT)
                    await wait_for(lambda: tracker.done, 60)
            assert [seq for _, seq in tracker.committed] == list(range(300))
            assert len(tracker.sessions) == 1
            terms = [frame.term for frame in tracker.frames]
            assert terms == sorted(terms)
            assert len(set(terms)) == 2
        finally:
            sleeper.kill()
            await sleeper.wait()
            await capture_bus.close()
            await tracker_bus.close()
