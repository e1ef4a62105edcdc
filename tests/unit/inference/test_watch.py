"""Which frame goes on from which, and what is due when."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posewire.inference.finder import Prior, due
from posewire.inference.presets import PRESETS, effort
from posewire.inference.watch import Examined, Findings, prior_of
from posewire.shared.messages import FrameHeader, Person
from posewire.shared.settings import InferenceSettings

SOMEBODY = (Person(box=(0, 0, 1, 1), score=0.9),)


def header(seq: int, t: float | None = None, **changes: object) -> FrameHeader:
    options: dict[str, object] = {
        "camera": "door", "session": "s", "seq": seq, "t": seq / 10 if t is None else t,
        "captured_at": 0.0, "width": 64, "height": 48, "source": "demo", "policy": "lossless",
    }  # fmt: skip
    return FrameHeader(**(options | changes))


def examined(frame: FrameHeader, error: str | None = None) -> Examined:
    return Examined(frame, Findings(() if error else SOMEBODY, None, None, 1.0, error=error))


def test_a_frame_goes_on_from_the_one_before() -> None:
    assert prior_of(header(8), examined(header(7))) == Prior(SOMEBODY)


@pytest.mark.parametrize(
    ("frame", "before"),
    [
        (header(0), None),
        (header(8), examined(header(7, session="another"))),
        (header(8), examined(header(7), error="not a picture")),
        (header(8), examined(header(6))),  # lossless: a frame is missing
        (header(8, t=9.0), examined(header(7))),  # too long ago
        (header(8, t=0.1), examined(header(7))),  # time runs backwards
        (header(8, file="b.jpg"), examined(header(7, file="a.jpg"))),  # stills
    ],
)
def test_a_frame_stands_alone(frame: FrameHeader, before: Examined | None) -> None:
    assert prior_of(frame, before) is None


def test_a_live_frame_goes_on_over_frames_that_were_skipped() -> None:
    frame, before = header(9, policy="live"), header(6, policy="live")
    assert prior_of(frame, examined(before)) == Prior(SOMEBODY)


@given(
    st.lists(st.floats(0.001, 0.5), min_size=1, max_size=60), st.floats(0.05, 3), st.integers(1, 5)
)
def test_what_is_due_is_due_whichever_frames_were_skipped(
    steps: list[float], every_s: float, stride: int
) -> None:
    times = [0.0]
    for step in steps:
        times.append(times[-1] + step)

    def dues(chosen: list[float]) -> int:
        return sum(due(t, before, every_s) for before, t in itertools.pairwise(chosen))

    kept = times[::stride]
    # Skipping frames may join several due times into one frame, and loses none of the last.
    assert dues(kept) <= dues([t for t in times if t <= kept[-1]])
    crossed = int(kept[-1] / every_s + 1e-6)
    assert (dues(kept) > 0) == (crossed > 0)


def test_at_ten_frames_a_second_every_second_frame_is_due() -> None:
    dues = [due(n / 10, (n - 1) / 10, 0.2) for n in range(1, 41)]
    assert dues == [False, True] * 20
    assert due(0.1, None, 60)
    assert all(due(n / 10, (n - 1) / 10, 0) for n in range(1, 9))


def test_settings_change_a_preset() -> None:
    assert effort(InferenceSettings()) == PRESETS["balanced"]
    changed = effort(InferenceSettings(preset="fast", region_cost=3, mirror=True, sweeps=(0.5, 1)))
    assert (changed.region_cost, changed.mirror, changed.sweeps) == (3, True, (0.5, 1))
    assert changed.detect_every_s == PRESETS["fast"].detect_every_s


def test_presets_are_in_order_of_effort() -> None:
    fast, balanced, accurate = (PRESETS[name] for name in ("fast", "balanced", "accurate"))
    for less, more in ((fast, balanced), (balanced, accurate)):
        assert sum(less.sweeps) < sum(more.sweeps)
        assert less.region_cost < more.region_cost
        assert less.detect_every_s > more.detect_every_s
