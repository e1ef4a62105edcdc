"""The live view over real sockets."""

from __future__ import annotations

import asyncio
import json
import re
import socket

import cv2
import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from posewire.api import service
from posewire.launcher.embedded import EmbeddedValkey
from posewire.shared.bus import RedisBus
from posewire.shared.errors import ConfigError
from tests.integration.api.conftest import Camera, Serve, kill, settings
from tests.memory_bus import MemoryBus


def live(url: str, camera: str = "main", *, frames: bool = False, **options: object) -> connect:
    address = url.replace("http://", "ws://")
    query = "?frames=1" if frames else ""
    return connect(f"{address}/api/v1/cameras/{camera}/live{query}", proxy=None, **options)  # type: ignore[arg-type]


async def receive(socket: ClientConnection) -> str | bytes:
    return await asyncio.wait_for(socket.recv(), 5)


async def overlay(socket: ClientConnection) -> dict[str, object]:
    message = await receive(socket)
    assert isinstance(message, str)
    return dict(json.loads(message))


async def test_json_alone(serve: Serve, camera: Camera) -> None:
    async with serve(camera.bus) as url, live(url) as socket:
        for number in range(3):
            await camera.publish(people=number)
            message = await overlay(socket)
            assert (message["seq"], message["people"]) == (number, number)


async def test_frames_come_directly_before_their_overlay(serve: Serve, camera: Camera) -> None:
    async with serve(camera.bus) as url, live(url, frames=True) as socket:
        for number in range(3):
            picture = camera.jpeg()
            await camera.publish(payload=picture)
            assert await receive(socket) == picture
            assert (await overlay(socket))["seq"] == number


async def test_a_viewer_that_does_not_read_holds_up_nobody(serve: Serve, camera: Camera) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (720, 1280, 3), np.uint8)
    big = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()
    async with (
        serve(camera.bus) as url,
        live(url, frames=True, max_queue=1, ping_interval=None) as stuck,
        live(url) as quick,
    ):
        for number in range(60):
            await camera.publish(payload=big)
            assert (await overlay(quick))["seq"] == number
        seen: list[int] = []
        with pytest.raises(asyncio.TimeoutError):
            while True:
                message = await asyncio.wait_for(stuck.recv(), 1)
                if isinstance(message, str):
                    seen.append(json.loads(message)["seq"])
        assert seen == sorted(seen)
        assert seen[-1] == 59, "the newest is never lost"
        assert len(seen) < 60, "the oldest were dropped"
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"{url}/metrics")).text
    found = re.search(r'posewire_api_dropped_total{camera="main"} (\d+)', text)
    assert found is not None
    assert int(found[1]) > 0


async def test_stopping_closes_viewers_with_1001_within_a_second(
    serve: Serve, camera: Camera
) -> None:
    loop = asyncio.get_running_loop()
    async with serve(camera.bus) as url:
        socket = await live(url, frames=True)
        stuck = await live(url, frames=True, max_queue=1, ping_interval=None)
        client = httpx.AsyncClient(trust_env=False)
        stream = client.stream("GET", f"{url}/api/v1/cameras/main/live.mjpg")
        response = await stream.__aenter__()
        await camera.publish()
        await receive(socket)
        stopping = loop.time()
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            await receive(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert loop.time() - stopping < 1.5
    assert (await response.aread()).startswith(b"--posewire-frame\r\n")
    await stream.__aexit__(None, None, None)
    await client.aclose()
    stuck.transport.abort()


@pytest.mark.parametrize(
    ("camera_name", "headers", "status"),
    [
        ("nope", {}, 404),
        ("main", {"Origin": "https://evil.example"}, 403),
        ("main", {"Origin": "null"}, 403),
        ("main", {"Host": "evil.example"}, 421),
    ],
)
async def test_who_is_refused_before_the_connection(
    serve: Serve, camera: Camera, camera_name: str, headers: dict[str, str], status: int
) -> None:
    async with serve(camera.bus) as url:
        address = url.replace("http://", "ws://")
        if "Host" in headers:
            port = url.rsplit(":", 1)[1]
            raw = connect(
                f"ws://evil.example:{port}/api/v1/cameras/main/live",
                host="127.0.0.1", port=int(port), proxy=None,
            )  # fmt: skip
        else:
            path = f"/api/v1/cameras/{camera_name}/live"
            raw = connect(f"{address}{path}", additional_headers=headers, proxy=None)
        with pytest.raises(InvalidStatus) as refused:
            await raw
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["status"] == status


async def test_the_page_s_own_origin_is_welcome(serve: Serve, camera: Camera) -> None:
    async with serve(camera.bus) as url, live(url, additional_headers={"Origin": url}) as socket:
        await camera.publish()
        assert (await overlay(socket))["seq"] == 0


async def test_more_viewers_than_allowed_get_503(serve: Serve, camera: Camera) -> None:
    async with serve(camera.bus, api={"max_viewers": 1}) as url:
        async with live(url):
            with pytest.raises(InvalidStatus) as refused:
                await live(url)
            assert refused.value.response.status_code == 503
            async with httpx.AsyncClient(trust_env=False) as client:
                response = await client.get(f"{url}/api/v1/cameras/main/live.mjpg")
            assert response.status_code == 503
        for _ in range(100):  # the server learns that a viewer went a little later
            try:
                await (await live(url)).close()
                break
            except InvalidStatus:
                await asyncio.sleep(0.02)
        else:
            pytest.fail("the place of a viewer who went was not given free")


async def test_mjpeg_is_a_row_of_drawn_pictures(serve: Serve, camera: Camera) -> None:
    async def play() -> None:
        while True:
            await camera.publish()
            await asyncio.sleep(0.02)

    async with serve(camera.bus) as url, httpx.AsyncClient(trust_env=False) as client:
        playing = asyncio.create_task(play())
        data = b""
        async with client.stream("GET", f"{url}/api/v1/cameras/main/live.mjpg") as response:
            assert response.headers["content-type"] == (
                "multipart/x-mixed-replace; boundary=posewire-frame"
            )
            async for chunk in response.aiter_bytes():
                data += chunk
                if data.count(b"--posewire-frame\r\n") > 3:
                    break
        playing.cancel()
    parts = data.split(b"--posewire-frame\r\n")[1:4]
    for part in parts:
        head, _, body = part.partition(b"\r\n\r\n")
        assert b"Content-Type: image/jpeg" in head
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        image = cv2.imdecode(np.frombuffer(body[:length], np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (240, 320, 3)
        assert image.std() > 5, "there is an overlay on the even picture"


async def test_an_mjpeg_viewer_who_goes_is_forgotten(serve: Serve, camera: Camera) -> None:
    async with serve(camera.bus) as url, httpx.AsyncClient(trust_env=False) as client:
        async with client.stream("GET", f"{url}/api/v1/cameras/back/live.mjpg"):
            pass  # no picture ever comes from this camera
        for _ in range(100):
            text = (await client.get(f"{url}/metrics")).text
            if 'posewire_api_viewers{camera="back",kind="drawn"} 0.0' in text:
                return
            await asyncio.sleep(0.02)
    pytest.fail("the viewer is still counted")


async def test_a_killed_valkey_is_survived(serve: Serve, valkey: EmbeddedValkey) -> None:
    bus = RedisBus(valkey.url)
    camera = Camera(bus)
    async with serve(bus) as url, live(url, frames=True) as socket:
        await camera.publish()
        assert isinstance(await receive(socket), bytes)
        assert (await overlay(socket))["seq"] == 0
        await kill(valkey)
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.get(f"{url}/api/v1/cameras/main/snapshot.jpg")
            assert response.status_code == 503
        await valkey.start()
        camera.session, camera.seq = "s2", 0
        await camera.publish()
        while isinstance(message := await receive(socket), bytes) or (
            json.loads(message)["session"] != "s2"
        ):
            pass
        assert json.loads(message)["seq"] == 0
    await bus.close()


async def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"api.port {port} cannot be used"):
            await service.run(settings(api={"port": port}), MemoryBus())


async def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(ConfigError, match=r"api\.host"):
        await service.run(settings(api={"host": "no-such-host.invalid"}), MemoryBus())
