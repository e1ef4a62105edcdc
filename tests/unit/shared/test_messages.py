"""Messages: round trips, junk, newer schemas."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posewire.shared.errors import MessageError
from posewire.shared.messages import (
    SCHEMA_VERSION,
    Control,
    Event,
    FrameHeader,
    ModelRun,
    Person,
    PoseResult,
    TrackedPerson,
    TrackUpdate,
    decode,
    encode,
)

unit = st.floats(0, 1)
boxes = st.tuples(unit, unit, unit, unit)
keypoints = st.one_of(
    st.just(()), st.lists(st.tuples(unit, unit, unit), min_size=18, max_size=18).map(tuple)
)
headers = st.builds(
    FrameHeader, camera=st.text(), session=st.text(), seq=st.integers(0, 2**40), t=unit,
    captured_at=st.floats(0, 2e9), width=st.integers(1, 9999), height=st.integers(1, 9999),
    source=st.text(), policy=st.sampled_from(["live", "lossless"]), fps=unit,
    file=st.none() | st.text(), v=st.just(SCHEMA_VERSION),
)  # fmt: skip
runs = st.builds(ModelRun, model=st.text(), precision=st.text(), device=st.text(), ms=unit)


@given(
    st.builds(
        PoseResult, frame=headers, frame_id=st.text(), detector=st.none() | runs,
        pose=st.none() | runs, v=st.just(SCHEMA_VERSION),
        persons=st.lists(st.builds(Person, box=boxes, score=unit, keypoints=keypoints)).map(tuple),
    )
    | st.builds(
        TrackUpdate, frame=headers, frame_id=st.text(), v=st.just(SCHEMA_VERSION),
        persons=st.lists(
            st.builds(
                TrackedPerson, track=st.integers(1, 99), visit=st.none() | st.integers(1, 99),
                box=boxes, score=unit, keypoints=keypoints,
            )
        ).map(tuple),
    )
)  # fmt: skip
def test_what_is_encoded_comes_back_equal(message: PoseResult | TrackUpdate) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=200))
def test_junk_is_a_message_error_and_nothing_else(data: bytes) -> None:
    try:
        decode(data)
    except MessageError as error:
        assert str(error)


@given(st.binary(max_size=40), st.integers(0, 200))
def test_a_damaged_message_is_a_message_error_or_a_message(noise: bytes, at: int) -> None:
    whole = encode(Control(camera="a", action="switch_source", source="b", requested_at=1.0))
    at %= len(whole)
    try:
        decode(whole[:at] + noise + whole[at + len(noise) :])
    except MessageError as error:
        assert str(error)


def test_a_newer_schema_says_what_to_do() -> None:
    data = msgspec.msgpack.encode({"type": "hologram", "v": SCHEMA_VERSION + 1})
    with pytest.raises(MessageError, match=r"schema 2.*update this service"):
        decode(data)


def test_a_field_that_an_older_program_does_not_know_is_ignored() -> None:
    event = Event(
        id="i", camera="c", session="s", visit=1, track=1, kind="entered", reason="walked_in",
        ordinal=0, seq=3, t=0.3, occurred_at=1.0, confirmed_at=1.5, people=1,
    )  # fmt: skip
    fields = msgspec.msgpack.decode(encode(event))
    assert decode(msgspec.msgpack.encode({**fields, "added_later": 1})) == event
