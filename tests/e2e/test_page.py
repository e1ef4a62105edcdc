"""The page at / in a real Chromium, fed with real JPEGs through a real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import cv2
import numpy as np
import pytest

from posewire.api import service
from posewire.shared.bus import keys
from posewire.shared.database import migrate
from posewire.shared.messages import (
    CameraState,
    Control,
    Event,
    FrameHeader,
    ModelRun,
    SessionEnd,
    TrackedPerson,
    TrackUpdate,
)
from posewire.shared.settings import DatabaseSettings, Settings
from tests.memory_bus import MemoryBus

if TYPE_CHECKING:
    from playwright.async_api import Page

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM} (apt-get install chromium)"),
]
ARGUMENTS = [
    "--no-sandbox", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
GREY = 120
WIDTH, HEIGHT = 640, 360


class Player:
    """Capture, inference and tracker in one: publishes a grey picture with two people."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.seq = 0
        self.session = "s1"
        self.source = "demo"
        self.events: tuple[Event, ...] = ()
        self.playing = True
        self.moving = False
        """Whether picture and first person change with each frame."""

    async def run(self) -> None:
        """Play ten frames a second and obey the control stream, as capture does."""
        grey = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
        jpeg = cv2.imencode(".jpg", grey)[1].tobytes()
        while True:
            await asyncio.sleep(0.1)
            if not self.playing:
                continue
            wish = await self.bus.last(keys.control("main"))
            if wish is not None and isinstance(wish.message, Control):
                self.source = wish.message.source
            if self.moving:
                shade = np.full((HEIGHT, WIDTH, 3), 60 + 5 * (self.seq % 20), np.uint8)
                jpeg = cv2.imencode(".jpg", shade)[1].tobytes()
            await self._publish(jpeg)
            state = CameraState(
                camera="main", status="running", source=self.source, session=self.session,
                updated_at=time.time(), width=WIDTH, height=HEIGHT, fps=10, frames=self.seq,
            )  # fmt: skip
            await self.bus.put(keys.state("main"), state, ttl_s=6)

    async def _publish(self, jpeg: bytes) -> None:
        header = FrameHeader(
            camera="main", session=self.session, seq=self.seq, t=self.seq / 10,
            captured_at=time.time(), width=WIDTH, height=HEIGHT, source=self.source, fps=10,
        )  # fmt: skip
        self.seq += 1
        frame_id = await self.bus.publish(keys.frames("main"), header, maxlen=64, payload=jpeg)
        column = tuple((0.325, 0.35 + 0.03 * i, 0.9) for i in range(18))
        left = 0.2 + 0.02 * (header.seq % 20) if self.moving else 0.25
        box = (left, 0.3, left + 0.15, 0.9)
        persons = (
            TrackedPerson(track=1, visit=1, box=box, score=0.9, keypoints=column),
            TrackedPerson(track=7, visit=None, box=(0.6, 0.3, 0.75, 0.9), score=0.9),
        )
        update = TrackUpdate(
            frame=header, frame_id=frame_id, persons=persons, people=1, events=self.events,
            detector=ModelRun(model="finder", precision="FP16", device="CPU", ms=4.0),
            pose=ModelRun(model="poser", precision="FP16", device="GPU", ms=8.0),
            inference_ms=12.5, latency_ms=43.0,
        )  # fmt: skip
        self.events = ()
        await self.bus.publish(keys.tracks("main"), update, maxlen=64)

    async def end(self) -> None:
        """End the session."""
        self.playing = False
        end = SessionEnd(
            camera="main", session=self.session, frames=self.seq, t=1.0, captured_at=time.time()
        )
        await self.bus.publish(keys.tracks("main"), end, maxlen=64)


def settings(port: int, database: str | None = None) -> Settings:
    return Settings.model_validate(
        {
            "sources": {"demo": {"url": "clip:people"}, "door": {"url": "rtsp://u:p@10.0.0.8/x"}},
            "cameras": {"main": {"source": "demo"}, "attic": {"source": "door"}},
            "api": {"port": port},
            "database": {"url": database},
        }
    )


@pytest.fixture
async def player() -> AsyncIterator[Player]:
    player = Player()
    task = asyncio.create_task(player.run())
    yield player
    task.cancel()


@contextlib.asynccontextmanager
async def gateway(player: Player, port: int, database: str | None = None) -> AsyncIterator[None]:
    task = asyncio.create_task(service.run(settings(port, database), player.bus))
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.02)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def port() -> int:
    """A port that is free now and will be again after a restart of the gateway."""
    with service.listen("127.0.0.1", 0) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page whose errors fail the test."""
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                "Content Security Policy" in message.text and errors.append(message.text)
            ),
        )
        page.on(
            "request",
            lambda request: (
                "://127.0.0.1:" in request.url
                or request.url.startswith("blob:")
                or errors.append(f"asked {request.url}")
            ),
        )
        yield page
        await browser.close()
        assert errors == []


async def text(page: Page, selector: str, wanted: str, *, timeout: float = 10_000) -> None:
    """Wait until the element's text contains ``wanted``."""
    locator = page.locator(selector)
    await playwright.expect(locator).to_contain_text(wanted, timeout=timeout)


PIXELS = """() => {
  const canvas = document.getElementById("picture");
  const context = canvas.getContext("2d");
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const at = (x, y) => {
    const i = 4 * (Math.round(y * canvas.height) * canvas.width + Math.round(x * canvas.width));
    return [...data.slice(i, i + 3)];
  };
  const count = (r, g, b) => {
    let n = 0;
    for (let i = 0; i < data.length; i += 4)
      n += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 40;
    return n;
  };
  return {
    frame: canvas.dataset.frame, still: at(0.9, 0.15),
    first: count(255, 145, 77), second: count(240, 98, 98), white: count(255, 255, 255),
  };
}"""


async def test_picture_and_overlay_are_drawn_and_go_on(
    player: Player, page: Page, port: int
) -> None:
    async with gateway(player, port):
        await page.goto(f"http://127.0.0.1:{port}/")
        await text(page, "#link", "Live")
        await text(page, "#people", "1")
        await text(page, "#inference", "12.5ms")
        await text(page, "#latency", "43ms")
        await text(page, "#rate", "fps")
        await text(page, "#models", "finder FP16")
        await text(page, "#models", "CPU/GPU")
        await playwright.expect(page.locator("#picture")).not_to_have_attribute("data-frame", "")
        shown = await page.evaluate(PIXELS)
        assert all(abs(channel - GREY) < 12 for channel in shown["still"]), "the JPEG is drawn"
        assert shown["first"] > 500, "box and tag of track 1 in its colour"
        assert shown["second"] > 100, "box of track 7 in its colour"
        assert shown["white"] > 200, "keypoints"
        picture = page.locator("#picture")
        await playwright.expect(picture).not_to_have_attribute("data-frame", shown["frame"])
        session, _, seq = shown["frame"].partition("/")
        assert (session, int(seq) <= player.seq) == ("s1", True)


async def test_silence_end_and_loss_are_told_and_survived(
    player: Player, page: Page, port: int
) -> None:
    async with gateway(player, port):
        await page.goto(f"http://127.0.0.1:{port}/")
        await text(page, "#link", "Live")
        player.playing = False
        await text(page, "#link", "No picture for")
        await text(page, "#notice", "not being captured", timeout=15_000)
        player.playing = True
        await text(page, "#link", "Live")
        await player.end()
        await text(page, "#link", "Source ended")
        player.session, player.seq, player.playing = "s2", 0, True
        await text(page, "#link", "Live")
    await text(page, "#link", "Disconnected, trying again in")
    assert await page.locator("#stage").get_attribute("data-fresh") == "false"
    async with gateway(player, port):
        await text(page, "#link", "Live", timeout=20_000)


async def test_choosers(player: Player, page: Page, port: int) -> None:
    async with gateway(player, port):
        await page.goto(f"http://127.0.0.1:{port}/")
        await text(page, "#link", "Live")
        await page.select_option("#source", "door")
        await playwright.expect(page.locator("#notice")).to_be_hidden(timeout=10_000)
        assert player.source == "door"
        assert await page.input_value("#source") == "door"
        await page.select_option("#camera", "attic")
        await text(page, "#notice", "Camera attic is not being captured")
        assert page.url.endswith("#/live/attic")
        await page.go_back()
        await text(page, "#link", "Live")
        assert await page.input_value("#camera") == "main"
        assert "10.0.0.8" in await page.content()
        assert "u:p@" not in await page.content()


async def test_events_appear_and_their_database_may_be_away(
    player: Player, page: Page, port: int, postgres_url: str
) -> None:
    async with gateway(player, port):
        await page.goto(f"http://127.0.0.1:{port}/")
        await text(page, "#link", "Live")
        await text(page, "#events-notice", "no database is configured")
    await migrate(DatabaseSettings(url=postgres_url))
    connection = await asyncpg.connect(postgres_url)
    async with gateway(player, port, postgres_url):
        await page.reload()
        await text(page, "#events-empty", "Nobody")
        visit = "0d1f5b5e-6a55-5f0e-9a53-5d6c1d3f2b10"
        await connection.execute("INSERT INTO session VALUES ('s1', 'main', 'demo', now(), NULL)")
        await connection.execute(
            "INSERT INTO visit VALUES ($1, 'main', 's1', 3, 4, now(), 5, 'walked_in')", visit
        )
        await connection.execute(
            "INSERT INTO event (id, camera, session, visit, visit_number, track, kind, reason,"
            " ordinal, seq, t, occurred_at, confirmed_at, people)"
            " VALUES ($1, 'main', 's1', $1, 3, 4, 'entered', 'walked_in', 0, 5, 0.5, now(), now(),"
            " 2)",
            visit,
        )
        player.events = (
            Event(
                id=visit, camera="main", session="s1", visit=3, track=4, kind="entered",
                reason="walked_in", ordinal=0, seq=5, t=0.5, occurred_at=time.time(),
                confirmed_at=time.time(), people=2,
            ),
        )  # fmt: skip
        await text(page, "#events", "Entered", timeout=4000)
        await text(page, "#events", "walked in")
        await text(page, ".event-number", "4")
    await connection.close()


VIEWS = ("live", "cameras", "events", "insights", "zones", "health")


@pytest.mark.parametrize("width", [320, 360, 768, 1280, 2560])
async def test_nothing_sticks_out(
    player: Player, page: Page, port: int, width: int, postgres_url: str
) -> None:
    await migrate(DatabaseSettings(url=postgres_url))
    async with gateway(player, port, postgres_url):
        await page.set_viewport_size({"width": width, "height": 900})
        for view in VIEWS:
            await page.goto(f"http://127.0.0.1:{port}/#/{view}")
            await playwright.expect(page.locator(f"#view-{view}")).to_be_visible(timeout=20_000)
            await page.wait_for_timeout(300)
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, view


async def test_layers_are_switched_and_kept(player: Player, page: Page, port: int) -> None:
    async with gateway(player, port):
        await page.goto(f"http://127.0.0.1:{port}/")
        await text(page, "#link", "Live")
        for layer in ("picture", "boxes", "numbers", "skeletons"):
            await page.click(f"[data-layer={layer}]")
        await page.wait_for_timeout(500)
        shown = await page.evaluate(PIXELS)
        assert shown["still"] == [5, 8, 11], "no picture"
        assert shown["first"] == shown["white"] == 0, "no box, no skeleton"
        await page.reload()
        await text(page, "#link", "Live")
        assert await page.get_attribute("[data-layer=picture]", "aria-pressed") == "false"
        await page.click("[data-layer=skeletons]")
        await page.wait_for_timeout(500)
        shown = await page.evaluate(PIXELS)
        assert shown["white"] > 200, "skeletons without the picture"
        assert shown["still"] == [5, 8, 11]


async def test_overlay_and_picture_are_of_one_frame(player: Player, page: Page, port: int) -> None:
    """The picture's brightness and the box's place both tell the frame's number."""
    player.moving = True
    async with gateway(player, port):
        await page.goto(f"http://127.0.0.1:{port}/")
        await text(page, "#link", "Live")
        for _ in range(12):
            await page.wait_for_timeout(130)
            seq, grey, drawn = await page.evaluate(
                """() => {
                  const canvas = document.getElementById("picture");
                  const { width, height } = canvas;
                  const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
                  const y = Math.round(0.93 * height);
                  let left = -1;
                  for (let x = 0; x < width && left < 0; x += 1) {
                    const i = 4 * (Math.round(0.885 * height) * width + x);
                    if (data[i] > 230 && data[i + 1] < 170 && data[i + 2] < 110) left = x;
                  }
                  const seq = Number(canvas.dataset.frame.split("/")[1]);
                  return [seq, data[4 * (y * width + 20)], left / width];
                }"""
            )
            assert abs(grey - (60 + 5 * (seq % 20))) <= 3, "the picture is this frame's"
            assert abs(drawn - (0.2 + 0.02 * (seq % 20))) < 0.01, "the overlay is this frame's"


async def test_drawing_keeps_up_with_sixty_frames_a_second(
    player: Player, page: Page, port: int
) -> None:
    async with gateway(player, port):
        await page.goto(f"http://127.0.0.1:{port}/")
        await text(page, "#link", "Live")
        times = await page.evaluate(
            """async () => {
              const { Stage } = await import("/static/js/stage.js");
              const skeleton = await (await fetch("/api/v1/skeleton")).json();
              const canvas = document.createElement("canvas");
              canvas.style.width = "1280px";
              document.body.append(canvas);
              const stage = new Stage(canvas, skeleton);
              const joint = (i) => [0.02 + 0.003 * i, 0.3 + 0.03 * i, 0.9];
              const points = [...Array(18).keys()].map(joint);
              const person = (n) => ({
                track: n, visit: n, score: 0.9, dwell_s: 12, zones: [],
                box: [0.09 * n, 0.3, 0.09 * n + 0.08, 0.9],
                keypoints: points.map(([x, y, s]) => [x + 0.09 * n, y, s]),
              });
              const overlay = { session: "s", seq: 0, width: 1280, height: 720,
                                persons: [...Array(10).keys()].map(person) };
              const bitmap = await createImageBitmap(new ImageData(1280, 720));
              stage.show(overlay, bitmap);
              const times = [];
              for (let i = 0; i < 120; i += 1) {
                const started = performance.now();
                stage.draw();
                canvas.getContext("2d").getImageData(0, 0, 1, 1); // until it is really drawn
                times.push(performance.now() - started);
              }
              return times.sort((a, b) => a - b);
            }"""
        )
        # In software, on a shared machine: a tenth of a frame's time each is far from the limit.
        assert times[len(times) // 2] < 50


async def test_serious_accessibility_problems_there_are_none(
    player: Player, page: Page, port: int, postgres_url: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.async_playwright").Axe()
    await migrate(DatabaseSettings(url=postgres_url))
    async with gateway(player, port, postgres_url):
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            for view in VIEWS:
                await page.goto(f"http://127.0.0.1:{port}/#/{view}")
                await playwright.expect(page.locator(f"#view-{view}")).to_be_visible(timeout=20_000)
                await page.wait_for_timeout(400)
                found = (await axe.run(page)).response["violations"]
                bad = [
                    (f["id"], [node["html"][:120] for node in f["nodes"]][:3])
                    for f in found
                    if f["impact"] in ("serious", "critical")
                ]
                assert bad == [], f"{scheme} {view}: {bad}"


async def test_everything_can_be_reached_with_the_keyboard(
    player: Player, page: Page, port: int
) -> None:
    async with gateway(player, port):
        await page.goto(f"http://127.0.0.1:{port}/")
        await text(page, "#link", "Live")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
        reached = []
        for _ in range(22):
            await page.keyboard.press("Tab")
            reached.append(
                await page.evaluate(
                    "document.activeElement.dataset.tab ?? document.activeElement.dataset.layer"
                    " ?? document.activeElement.id"
                )
            )
        for wanted in (*VIEWS, "camera", "source", "picture", "boxes", "zones", "fullscreen"):
            assert wanted in reached, wanted
        await page.focus("[data-tab=health]")
        await page.keyboard.press("Enter")
        await text(page, "#verdict", "wrong")
        await text(page, "#checks", "no database is configured")
        await text(page, "#link", "Connected")
