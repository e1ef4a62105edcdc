from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from posewire.capture import jpeg as jpegs
from posewire.capture.live import Pacer
from posewire.capture.session import Session
from posewire.capture.sources import Picture, is_stream
from posewire.capture.sources.base import without_credentials
from posewire.capture.sources.clock import LiveClock
from posewire.capture.sources.images import natural_key
from posewire.capture.sources.mjpeg import Splitter
from posewire.shared.messages import decode, encode


def with_thumbnail(jpeg: bytes) -> bytes:
    """Put a whole JPEG into an EXIF segment, as cameras do."""
    body = b"Exif\0\0" + jpegs.encode(np.zeros((8, 8, 3), np.uint8), 50)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


PICTURES = [
    jpegs.encode(np.full((24, 32, 3), shade, np.uint8), 80) for shade in (10, 90, 170, 250)
] + [with_thumbnail(jpegs.encode(np.zeros((24, 32, 3), np.uint8), 80))]


@pytest.mark.parametrize(
    "between", [b"", b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n", b"\xff"]
)
@pytest.mark.parametrize("seed", range(5))
def test_pictures_are_cut_wherever_the_stream_is(between: bytes, seed: int) -> None:
    dice = random.Random(seed)
    stream = between + between.join(PICTURES) + between
    splitter, found, at = Splitter(), [], 0
    while at < len(stream):
        size = dice.choice([1, 2, 7, 100, 5000])
        found += list(splitter.feed(stream[at : at + size]))
        at += size
    assert found == PICTURES


def test_a_picture_without_end_is_given_up() -> None:
    splitter = Splitter(most_bytes=10_000)
    with pytest.raises(ValueError, match="10000 bytes"):
        for _ in range(20):
            assert not list(splitter.feed(b"\xff\xd8\xff\xe0" + b"\0" * 1000))


def test_noise_is_not_kept() -> None:
    splitter = Splitter(most_bytes=1000)
    for _ in range(100):
        assert not list(splitter.feed(b"x" * 500))
    assert list(splitter.feed(PICTURES[0])) == [PICTURES[0]]


def test_natural_order() -> None:
    names = ["img10.jpg", "img2.jpg", "IMG1.jpg", "10.jpg", "9.jpg", "a.jpg"]
    assert sorted(names, key=natural_key) == [
        "9.jpg", "10.jpg", "a.jpg", "IMG1.jpg", "img2.jpg", "img10.jpg",
    ]  # fmt: skip


class TestLiveClock:
    def test_the_streams_own_time_is_kept_while_it_is_near(self) -> None:
        clock = LiveClock()
        assert clock.time(1000.0, 5.0) == 0.0
        assert clock.time(1000.04, 5.2) == pytest.approx(0.04)
        assert clock.time(1000.08, 5.08) == pytest.approx(0.08)

    def test_a_jump_is_set_to_the_time_that_passed(self) -> None:
        clock = LiveClock()
        clock.time(1000.0, 5.0)
        assert clock.time(7.0, 6.0) == pytest.approx(1.0)
        assert clock.time(7.5, 6.45) == pytest.approx(1.5)

    def test_it_never_runs_back(self) -> None:
        clock = LiveClock()
        times = [clock.time(s, a) for s, a in [(0.0, 0.0), (0.4, 0.4), (0.2, 0.5), (None, 0.3)]]
        assert times == sorted(times)

    def test_without_stamps_it_is_arrival(self) -> None:
        clock = LiveClock()
        assert [clock.time(None, a) for a in (3.0, 3.5, 5.0)] == [0.0, 0.5, 2.0]


class TestPacer:
    def test_pictures_wait_for_their_time(self) -> None:
        pacer = Pacer()
        assert pacer.delay(0.0, 100.0) == 0.0
        assert pacer.delay(0.1, 100.02) == pytest.approx(0.08)

    def test_a_short_hold_up_is_made_up_for(self) -> None:
        pacer = Pacer()
        pacer.delay(0.0, 100.0)
        assert pacer.delay(0.1, 100.4) == 0.0
        assert pacer.delay(0.5, 100.4) == pytest.approx(0.1)

    def test_after_a_long_one_it_goes_on_from_there(self) -> None:
        pacer = Pacer()
        pacer.delay(0.0, 100.0)
        assert pacer.delay(0.1, 110.0) == 0.0
        assert pacer.delay(0.2, 110.0) == pytest.approx(0.1)


@pytest.mark.parametrize("t", [0.0, 0.1, 1 / 3, 139.3, 86_399.96])
def test_a_session_is_known_again_from_any_of_its_messages(t: float) -> None:
    session = Session("main", "shop")
    session.passed(Picture(b"", 4, 3, t, 41))
    header = session.header(Picture(b"", 4, 3, t, 41), "lossless", 25.0)
    again = Session.of(decode(encode(header)))  # type: ignore[arg-type]
    assert (again.id, again.started_at, again.next_seq, again.t) == (
        session.id, session.started_at, 42, t,
    )  # fmt: skip
    ended = Session.of(decode(encode(session.end("ended"))))  # type: ignore[arg-type]
    assert (ended.id, ended.started_at, ended.next_seq) == (session.id, session.started_at, 42)
    assert ended.ended


def test_credentials_vanish_even_when_a_library_prints_them_bare() -> None:
    url = "rtsp://admin:p%40ss@10.0.0.8/stream?token=abc"
    text = without_credentials(f"cannot open {url}: password p@ss (p%40ss) refused", url)
    assert "p@ss" not in text
    assert "p%40ss" not in text
    assert "abc" not in text
    assert "10.0.0.8" in text


@pytest.mark.parametrize(
    ("url", "expected"),
    [("rtsp://x/y", True), ("HTTP://x/y", True), ("file:///a.mp4", False), ("0", False),
     ("a.mp4", False), ("clip:people", False)],
)  # fmt: skip
def test_streams(url: str, expected: bool) -> None:
    assert is_stream(url) is expected
