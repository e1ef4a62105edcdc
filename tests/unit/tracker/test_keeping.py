"""The tracker's state comes back bit by bit, and is small."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.wal import person
from posewire.inference.appearance import SIZE
from posewire.shared.messages import FrameHeader, PoseResult
from posewire.shared.settings import TrackerSettings
from posewire.tracker import keeping
from posewire.tracker.tracking import CameraTracker

NUMBERS = st.one_of(
    st.floats(width=64),
    st.floats(width=32),
    st.integers(-(10**9), 10**9).map(lambda k: k / 10**4),
    st.sampled_from([0.0, -0.0, 0.12345, 1e-5, 3.2767, 3.2768, 2**31 / 1e3]),
)


@given(st.lists(NUMBERS, max_size=12), st.booleans())
def test_arrays_come_back_bit_by_bit(numbers: list[float], paired: bool) -> None:
    array = np.array(numbers * (2 if paired else 1), dtype=np.float64)
    array = array.reshape(-1, 2) if paired else array
    back = keeping.unpack(msgspec.msgpack.decode(msgspec.msgpack.encode(keeping.pack(array))))
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("values", "form"),
    [([0.25, 1.5], "h"), ([0.5, 40.0001], "i"), ([1 / 3], "d"), ([float(np.float32(1 / 3))], "s")],
)
def test_the_shortest_form_is_taken(values: list[float], form: str) -> None:
    assert keeping.pack(np.array(values))[1] == form


@pytest.mark.parametrize("junk", [[], [[2], "h", 3, b"\0"], [[2], "x", 3, b"1234"], ["a", "b"], 7])
def test_what_is_no_array_is_refused(junk: object) -> None:
    if junk == []:
        assert keeping.unpack(junk).size == 0
        return
    with pytest.raises(ValueError, match="expected an array"):
        keeping.unpack(junk)


def watched(people: int, *, policy: str = "live", frames: int = 60) -> CameraTracker:
    """A tracker that has seen so many dressed people with skeletons for some seconds."""
    random = np.random.default_rng(1)
    looks = random.integers(0, 256, (people, SIZE))
    tracker = CameraTracker(TrackerSettings(), "door")
    for seq in range(frames):
        frame = FrameHeader(
            camera="door", session="s", seq=seq, t=seq / 10, captured_at=1000 + seq / 10, width=768,
            height=432, source="demo", policy=policy, fps=10.0,  # type: ignore[arg-type]
        )  # fmt: skip
        found = tuple(person(n, people, seq / 10, looks[n], random) for n in range(people))
        tracker.update(PoseResult(frame=frame, frame_id=f"{seq + 1}-0", persons=found))
    return tracker


def test_the_state_of_four_people_is_small() -> None:
    tracker = watched(4)
    assert tracker.people == 4
    assert len(tracker.dump()) < 3200
    assert len(watched(0).dump()) < 320


@pytest.mark.parametrize("policy", ["live", "lossless"])
def test_what_inference_found_is_kept_only_where_it_is_asked_for(policy: str) -> None:
    tracker = watched(1, policy=policy)
    restored = CameraTracker.load(tracker.dump(), TrackerSettings())
    assert restored.seen == tracker.seen
    assert (tracker.seen[1] is not None) is (policy == "lossless")


def test_states_of_before_are_read() -> None:
    tracker = watched(2)

    def old(value: object) -> object:
        assert isinstance(value, np.ndarray)
        return [list(value.shape), value.tobytes()]

    before = msgspec.msgpack.Encoder(enc_hook=old).encode(tracker._state)
    assert CameraTracker.load(before, TrackerSettings()).dump() == tracker.dump()
