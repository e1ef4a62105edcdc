"""Messages: round trips, junk, newer schemas."""

from __future__ import annotations

import math
from typing import Any

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
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=256)
entry_ids = st.builds("{}-{}".format, st.integers(0, 2**62), st.integers(0, 99)) | st.just("")
boxes = st.tuples(unit, unit, unit, unit)
keypoints = st.one_of(
    st.just(()), st.lists(st.tuples(unit, unit, unit), min_size=18, max_size=18).map(tuple)
)
headers = st.builds(
    FrameHeader, camera=texts, session=texts, seq=st.integers(0, 2**31 - 1), t=unit,
    captured_at=st.floats(0, 2e9), width=st.integers(1, 7680), height=st.integers(1, 7680),
    source=texts, policy=st.sampled_from(["live", "lossless"]), fps=unit,
    file=st.none() | texts, v=st.just(SCHEMA_VERSION),
)  # fmt: skip
runs = st.builds(ModelRun, model=texts, precision=texts, device=texts, ms=unit)


@given(
    st.builds(
        PoseResult, frame=headers, frame_id=entry_ids, detector=st.none() | runs,
        pose=st.none() | runs, v=st.just(SCHEMA_VERSION),
        persons=st.lists(st.builds(Person, box=boxes, score=unit, keypoints=keypoints)).map(tuple),
    )
    | st.builds(
        TrackUpdate, frame=headers, frame_id=entry_ids, v=st.just(SCHEMA_VERSION),
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


def _pose_fields() -> dict[str, Any]:
    """A pose result as a foreign program would write it."""
    whole = PoseResult(
        frame=FrameHeader(
            camera="door", session="s", seq=1, t=0.1, captured_at=1000.1, width=640, height=480,
            source="demo",
        ),
        frame_id="1-0",
        persons=(Person(box=(0, 0, 1, 1), score=0.9, keypoints=((0.5, 0.5, 1.0),) * 18),),
    )  # fmt: skip
    fields: dict[str, Any] = msgspec.msgpack.decode(encode(whole))
    return fields


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("frame.t", math.nan),
        ("frame.t", math.inf),
        ("frame.t", -0.1),
        ("frame.captured_at", math.nan),
        ("frame.captured_at", 1e300),
        ("frame.seq", -1),
        ("frame.seq", 2**31),
        ("frame.width", 0),
        ("frame.height", 0),
        ("frame.width", 30_000),
        ("frame.session", "a\0b"),
        ("frame.session", "x" * 257),
        ("frame.camera", "\0"),
        ("frame.source", "a\0"),
        ("frame.fps", math.nan),
        ("frame.term", -1),
        ("frame_id", "not an id"),
        ("frame_id", "99999999999999999999999-0"),
        ("total_ms", math.nan),
        ("error", "a\0"),
        ("persons.0.score", math.nan),
        ("persons.0.box", [0, 0, math.nan, 1]),
        ("persons.0.box", [0, 0, 1e9, 1]),
        ("persons.0.keypoints", [[0.5, 0.5, 1.0]] * 5),
        ("persons.0.keypoints", [[0.5, 0.5, 1.0]] * 19),
        ("persons.0.keypoints", [[0.5, math.inf, 1.0]] * 18),
        ("persons.0.appearance", b"x" * 70_000),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_no_message(place: str, value: object) -> None:
    fields = _pose_fields()
    assert isinstance(decode(msgspec.msgpack.encode(fields)), PoseResult)
    *path, last = place.split(".")
    at: Any = fields
    for part in path:
        at = at[int(part) if part.isdecimal() else part]
    at[last] = value
    with pytest.raises(MessageError, match="does not fit"):
        decode(msgspec.msgpack.encode(fields))
