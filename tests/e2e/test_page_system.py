"""The page against the whole system: real pictures, people, events, zones, and servers that die."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.system import System
from tests.e2e.test_page import CHROMIUM, PIXELS, page, pytestmark, text

if TYPE_CHECKING:
    from playwright.async_api import Page

__all__ = ["page"]  # a fixture
playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
pytestmark = [*pytestmark, pytest.mark.slow, pytest.mark.timeout(240)]
assert CHROMIUM
CAMERAS = """
[sources.clip]
url = "{video}"
loop = true
[sources.again]
url = "{video}"
loop = true
[cameras.main]
source = "clip"
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def ask(base: str, path: str) -> Any:
    def get() -> Any:
        with urllib.request.urlopen(base + path, timeout=5) as answer:
            return json.load(answer)

    return await asyncio.to_thread(get)


async def until(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    for _ in range(round(seconds * 5)):
        try:
            if found := await condition():
                return found
        except OSError:
            pass
        await asyncio.sleep(0.2)
    pytest.fail(f"not within {seconds} s: {what}")


async def holds(page: Page, expression: str) -> None:
    # Not wait_for_function: that needs eval, which the page's own policy forbids.
    await until(lambda: page.evaluate(expression), expression)


async def test_the_page_shows_what_the_system_sees(
    clip: Path, new_system: Callable[..., System], page: Page
) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    system = new_system(clip, port=port, cameras=CAMERAS)
    await system.start()
    await until(lambda: ask(base, "/healthz"), "the gateway answers")
    await page.goto(f"{base}/")
    await text(page, "#link", "Live", timeout=40_000)

    # People are drawn, and move.
    async def people() -> bool:
        return int((await page.text_content("#people") or "0").replace("–", "0")) > 0

    await until(people, "somebody is in view")
    first = await page.evaluate(PIXELS)
    await page.wait_for_timeout(700)
    second = await page.evaluate(PIXELS)
    assert first["frame"] != second["frame"]
    assert first["white"] != second["white"], "the skeletons have moved"

    # A zone drawn with the mouse makes events at once.
    await page.click("[data-tab=zones]")
    await holds(page, "document.querySelector('.zones-picture').naturalWidth > 0")
    await page.click("[data-draw=zones]")
    stage = await page.locator(".zones-canvas").bounding_box()
    assert stage is not None
    for x, y in ((0.05, 0.4), (0.95, 0.4), (0.95, 0.97), (0.05, 0.97), (0.05, 0.4)):
        await page.mouse.click(stage["x"] + x * stage["width"], stage["y"] + y * stage["height"])
    await page.locator("[data-selected=true] input").first.fill("hall")
    await page.locator("[data-selected=true] input").first.press("Tab")
    # A corner is moved with the keyboard alone.
    await page.focus("[data-corner='0']")
    await page.keyboard.press("ArrowRight")
    await page.click("#zones-save")
    await text(page, "#zones-hint", "Saved")
    areas = await ask(base, "/api/v1/cameras/main/areas")
    assert areas["drawn"]
    assert areas["zones"]["hall"]["points"][0] == pytest.approx([0.06, 0.4], abs=0.01)
    zone_events = "/api/v1/events?kind=zone_entered&limit=100"

    async def in_zone() -> list[Any]:
        return list((await ask(base, zone_events))["events"])

    await until(in_zone, "somebody steps into the zone")

    # Filters lie in the address; the list, the API and the CSV say the same.
    await page.click("[data-tab=events]")
    await page.click("[data-kind=zone_entered]")
    await page.wait_for_url("**/#/events?kind=zone_entered")
    await text(page, "#history", "Stepped into hall")
    kinds = await page.locator("#history .event-kind").all_text_contents()
    assert set(kinds) == {"Stepped into hall"}
    await page.reload()
    await text(page, "#history", "Stepped into hall")
    csv_path = await page.get_attribute("a[download]", "href")
    assert csv_path is not None
    answer = await page.request.get(base + csv_path)
    rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert rows
    assert {(row["kind"], row["zone"]) for row in rows} == {("zone_entered", "hall")}
    # A picture of the moment.
    await holds(
        page, "[...document.querySelectorAll('.event-moment')].some((i) => i.naturalWidth > 0)"
    )

    # Over time, the same numbers as the API's.
    await page.click("[data-tab=insights]")
    await text(page, "#view-insights .figures", "Entered")
    shown = await page.text_content("#view-insights .figures dd")
    buckets = (await ask(base, "/api/v1/occupancy?bucket=hour"))["buckets"]
    assert abs(int(shown or 0) - sum(bucket["entered"] for bucket in buckets)) <= 2
    assert await page.locator(".bar-shape").count() >= 1

    # Another source.
    await page.click("[data-tab=cameras]")
    await holds(page, "document.querySelector('.camera-picture img').naturalWidth === 480")
    await page.locator(".camera-card select").select_option("again")

    async def switched() -> bool:
        camera = await ask(base, "/api/v1/cameras/main")
        return bool(camera["state"]["source"] == "again" and camera["status"] == "running")

    await until(switched, "the source is switched")

    # Whatever dies comes back, and the page with it.
    await page.click("[data-tab=live]")
    await text(page, "#link", "Live", timeout=20_000)
    await system.kill("api")
    await text(page, "#link", "Disconnected", timeout=10_000)
    assert await page.get_attribute("#stage", "data-fresh") == "false"
    await text(page, "#link", "Live", timeout=40_000)
    await system.kill("valkey")
    # Often that is over before anything looks stale; then pictures go on.
    before = await page.get_attribute("#picture", "data-frame")
    await asyncio.sleep(4)
    await text(page, "#link", "Live", timeout=40_000)
    await playwright.expect(page.locator("#picture")).not_to_have_attribute(
        "data-frame", before or "", timeout=20_000
    )
    await page.click("[data-tab=health]")
    await text(page, "#verdict", "Everything works", timeout=30_000)
