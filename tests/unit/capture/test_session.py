"""A session's times, on a machine whose wall clock is set while it watches."""

from __future__ import annotations

import time

import pytest

from posewire.capture import session as sessions
from posewire.capture.session import Session
from posewire.capture.sources import Picture


class Clocks:
    """The machine's clocks, to be set."""

    wall, monotonic = 1000.0, 50.0

    def pass_s(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(sessions.time, "time", lambda: clocks.wall)
    monkeypatch.setattr(sessions.time, "monotonic", lambda: clocks.monotonic)
    return clocks


def frame_at(session: Session, t: float) -> tuple[float, float]:
    """Return a live frame's ``t`` and ``captured_at``."""
    session.follow_clock()
    header = session.header(Picture(b"", 4, 3, t, round(t * 10)), "live", 10.0)
    return header.t, header.captured_at


@pytest.mark.parametrize("step_s", [1.8e9, 3600.0, 1.0, -1.0, -3600.0])
def test_frames_follow_a_clock_that_is_set(clocks: Clocks, step_s: float) -> None:
    """A Pi has no battery clock: it learns the time long after it has begun to watch."""
    clocks.wall = now = 10_000.0
    session = Session("door", "garden")
    clocks.pass_s(1)
    assert frame_at(session, 1.0) == (1.0, now + 1)
    clocks.wall += step_s
    clocks.pass_s(1)
    assert frame_at(session, 2.0) == (2.0, now + step_s + 2)
    clocks.pass_s(1)
    assert frame_at(session, 3.0) == (3.0, now + step_s + 3)
    assert session.end("ended").captured_at == pytest.approx(now + step_s)  # of no frame yet
    assert Session.of(session.header(Picture(b"", 4, 3, 3.0, 30), "live", 10.0)).started_at == (
        pytest.approx(now + step_s)
    )


def test_a_clock_that_is_slewed_moves_nothing_at_once(clocks: Clocks) -> None:
    session = Session("door", "garden")
    for second in range(1, 100):
        clocks.pass_s(1)
        clocks.wall += 0.0005  # as fast as the kernel slews
        assert frame_at(session, float(second)) == (second, 1000.0 + second)


def test_sleep_is_made_up_for(clocks: Clocks) -> None:
    """In suspend the monotonic clock stands still, and so does the time of pictures."""
    session = Session("door", "garden")
    clocks.pass_s(1)
    clocks.wall += 600
    assert frame_at(session, 1.0) == (1.0, 1601.0)


def test_the_real_clocks_agree() -> None:
    session = Session("door", "garden")
    before = session.started_at
    session.follow_clock()
    assert session.started_at == before == pytest.approx(time.time(), abs=5)
