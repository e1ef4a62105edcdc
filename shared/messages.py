"""Messages on the bus: msgspec Structs in msgpack, each with its type and schema version.

Coordinates are relative: x over the picture's width, y over its height, 0..1, origin top left.
Times named ``*_at`` are seconds since the Unix epoch (UTC); ``t`` is seconds since the session
began.

Every field is bounded, and the bounds hold where a message is decoded: what is out of them is no
message of ours, and nobody behind ``decode`` has to think of a time that is no number, a picture
without a width, or a text that Postgres does not take.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, Union

import msgspec
from msgspec import Meta

from posewire.shared.errors import MessageError

SCHEMA_VERSION = 1

MOST_SIDE = 7680
"""Pixels: no picture on the bus is wider or higher."""

_NO_NUL = r"\A[^\x00]*\Z"
Name: TypeAlias = Annotated[str, Meta(max_length=256, pattern=_NO_NUL)]
"""Of a camera, session, source, model, zone; an id."""
Text: TypeAlias = Annotated[str, Meta(max_length=4096, pattern=_NO_NUL)]
EntryId: TypeAlias = Annotated[str, Meta(pattern=r"\A(?:[0-9]{1,19}-[0-9]{1,19})?\Z")]
"""Of an entry in a stream; empty where there is none."""
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""What Postgres keeps as an integer."""
Total: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Side: TypeAlias = Annotated[int, Meta(ge=1, le=MOST_SIDE)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=1e9)]
"""A time within a session, or a length of time: up to 30 years. No bound lets NaN pass."""
Milliseconds: TypeAlias = Annotated[float, Meta(ge=0, le=1e13)]
"""Up to 300 years: a clock that has not been set yet makes a latency of all the time since 1970."""
Instant: TypeAlias = Annotated[float, Meta(ge=0, le=4_102_444_800)]
"""Seconds since the Unix epoch, up to the year 2100."""
Score: TypeAlias = Annotated[float, Meta(ge=-1000, le=1000)]
Place: TypeAlias = Annotated[float, Meta(ge=-100, le=100)]
"""Relative to the picture's width or height; people reach beyond its border."""
Rate: TypeAlias = Annotated[float, Meta(ge=0, le=1e6)]

Box: TypeAlias = tuple[Place, Place, Place, Place]
"""x0, y0, x1, y1, relative."""
Keypoint: TypeAlias = tuple[Place, Place, Score]
"""x, y, score; relative; (0, 0, 0) where the point was not found."""
_KEYPOINTS = 18
_MOST_PERSONS = 1024
Keypoints: TypeAlias = Annotated[tuple[Keypoint, ...], Meta(max_length=_KEYPOINTS)]
"""18 keypoints in the order of ``posewire.shared.skeleton.KEYPOINTS``, or none: a box alone."""

Policy = Literal["live", "lossless"]
EventKind = Literal["entered", "exited", "zone_entered", "zone_exited", "dwelled", "line_crossed"]
EventReason = Literal["walked_in", "in_view_at_start", "left_view", "source_ended"]
CameraStatus = Literal[
    "starting", "running", "stalled", "reconnecting", "ended", "failed", "standby"
]
"""standby: this capture would play the camera; another one holds it, or nobody has told more."""


def _whole(keypoints: tuple[Keypoint, ...]) -> None:
    if len(keypoints) not in (0, _KEYPOINTS):
        raise ValueError(f"expected 0 or {_KEYPOINTS} keypoints, got {len(keypoints)}")


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=False):
    v: int = SCHEMA_VERSION


class FrameHeader(_Message, frozen=True, kw_only=True, tag="frame"):
    """One picture; the JPEG travels beside it as the entry's payload.

    ``seq`` counts the frames of the session from 0 in the order of capture; in a video file it is
    the index of the frame. ``captured_at`` is the session's start plus ``t``.
    """

    camera: Name
    session: Name
    seq: Count
    t: Seconds
    captured_at: Instant
    width: Side
    height: Side
    source: Name
    policy: Policy = "live"
    fps: Rate = 0.0
    """The source's nominal rate; 0 where it has none (image folders)."""
    file: Name | None = None
    """Name of the image file, for image folders."""
    term: Total = 0
    """Term of the capture that published it, see ``Lease``; 0 from programs that hold no lease."""


class SessionEnd(_Message, frozen=True, kw_only=True, tag="session_end"):
    """The source has ended or was switched; follows the session's last frame in every stream.

    ``frames`` is how many frames the session had, so the last one is ``frames - 1``.
    """

    camera: Name
    session: Name
    frames: Count
    t: Seconds
    captured_at: Instant
    reason: Literal["ended", "switched", "failed"] = "ended"
    source: Name = ""
    frame_id: EntryId = ""
    """Entry id in the frames stream; inference sets it when it passes the message on."""
    term: Total = 0
    """Term of the capture that published it."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What the models see of one human in one frame."""

    box: Box
    score: Score
    keypoints: Keypoints = ()
    appearance: Annotated[bytes, Meta(max_length=65_536)] = b""
    """Colours of torso and legs, half of the bytes each: square roots of histograms, so that the
    normalised dot product of two is their Bhattacharyya coefficient. Zeros for a part that is not
    in the picture; empty where it was not taken."""

    def __post_init__(self) -> None:
        _whole(self.keypoints)


class ModelRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which network ran, where, and for how long."""

    model: Name
    precision: Name
    device: Name
    ms: Milliseconds
    """Time from the first request's start to the last one's end, in milliseconds."""
    runs: Count = 1
    """How often the network ran on this frame (regions)."""
    pixels: Total = 0
    """Input pixels of these runs together: the work, whatever the machine."""


class PoseResult(_Message, frozen=True, kw_only=True, tag="poses"):
    """The people of one frame.

    ``pose`` is None where there was nobody to run it on. ``detector`` is None where it was not due
    on this frame, or the pose network finds people by itself.
    """

    frame: FrameHeader
    frame_id: EntryId
    """Entry id of the frame in the frames stream: a worker that takes over continues after it."""
    persons: Annotated[tuple[Person, ...], Meta(max_length=_MOST_PERSONS)] = ()
    detector: ModelRun | None = None
    pose: ModelRun | None = None
    decode_ms: Milliseconds = 0.0
    """Time to read the pose network's outputs, all runs together."""
    total_ms: Milliseconds = 0.0
    """Time from reading the frame to having its people."""
    skipped: Count = 0
    """Frames since the last result that the live policy passed over."""
    error: Text | None = None
    """Why this frame could not be examined (broken JPEG); its ``persons`` is then empty."""
    term: Total = 0
    """Term of the inference worker that published it."""


class TrackedPerson(msgspec.Struct, frozen=True, kw_only=True):
    """One person followed through the session, as of this frame."""

    track: Count
    """Number of the track, from 1, never reused within a session."""
    visit: Count | None
    """Number of the visit once it is confirmed, from 1 within the session."""
    box: Box
    score: Score
    keypoints: Keypoints = ()
    dwell_s: Seconds = 0.0
    """Seconds since the person was first seen."""
    zones: Annotated[tuple[Name, ...], Meta(max_length=1024)] = ()
    """Names of the zones that the person is in."""

    def __post_init__(self) -> None:
        _whole(self.keypoints)


class Event(_Message, frozen=True, kw_only=True, tag="event"):
    """A fact about a visit at a moment."""

    id: Name
    """uuid5 of camera, session, visit, kind and ordinal: the same after any replay."""
    camera: Name
    session: Name
    visit: Count
    track: Count
    kind: EventKind
    reason: EventReason | None
    ordinal: Count
    """Counts the events of this kind within the visit, from 0."""
    seq: Count
    """Frame where it happened."""
    t: Seconds
    occurred_at: Instant
    confirmed_at: Instant
    people: Count
    """Confirmed people in view after this event: entered minus exited."""
    zone: Name | None = None
    """Name of the zone or line."""
    direction: Name | None = None
    """line_crossed: the name of the way."""
    seconds: Seconds | None = None
    """dwelled: the time of stay that was reached. exited, zone_exited: how long it was."""


class TrackUpdate(_Message, frozen=True, kw_only=True, tag="tracks"):
    """Everything an overlay draws for one frame, and the events confirmed by it."""

    frame: FrameHeader
    frame_id: EntryId
    persons: Annotated[tuple[TrackedPerson, ...], Meta(max_length=_MOST_PERSONS)] = ()
    people: Count = 0
    """Confirmed people in view: entered minus exited."""
    zones: Annotated[dict[Name, Count], Meta(max_length=1024)] = {}
    """People in each zone."""
    continued: Annotated[dict[Count, Count], Meta(max_length=_MOST_PERSONS)] = {}
    """Tracks that turned out to go on with an earlier one: its number, which they have from now
    on, by the number they had since they began."""
    events: Annotated[tuple[Event, ...], Meta(max_length=65_536)] = ()
    detector: ModelRun | None = None
    pose: ModelRun | None = None
    inference_ms: Milliseconds = 0.0
    skipped: Count = 0
    """Frames since the last update that the live policy passed over."""
    latency_ms: Milliseconds = 0.0
    """From capture to this update; meaningful for live sources."""
    term: Total = 0
    """Term of the tracker that published it."""


class Control(_Message, frozen=True, kw_only=True, tag="control"):
    """A wish to a camera's capture: play another of the configured sources."""

    camera: Name
    action: Literal["switch_source"]
    source: Name
    requested_at: Instant


class Progress(_Message, frozen=True, kw_only=True, tag="progress"):
    """Up to where the tracker has committed a camera: the credit that lossless capture waits for.

    ``seq`` is the last committed frame; -1 before the first. ``ended`` once the session's end is
    committed too. ``t`` and ``persons`` are that frame's, as inference found them: it goes on from
    them where the bus has lost its last result. None where there are none to go on from.
    """

    camera: Name
    session: Name
    seq: Annotated[int, Meta(ge=-1, le=2**31 - 1)]
    ended: bool = False
    t: Seconds = 0.0
    persons: Annotated[tuple[Person, ...], Meta(max_length=_MOST_PERSONS)] | None = None
    term: Total = 0
    """Term of the tracker that told it."""


class CameraState(_Message, frozen=True, kw_only=True, tag="camera_state"):
    """What capture says of a camera, at least every two seconds; stale when it stops saying so."""

    camera: Name
    status: CameraStatus
    source: Name
    session: Name | None
    updated_at: Instant
    policy: Policy = "live"
    width: Annotated[int, Meta(ge=0, le=MOST_SIDE)] = 0
    height: Annotated[int, Meta(ge=0, le=MOST_SIDE)] = 0
    fps: Rate = 0.0
    """Measured frames per second put on the bus."""
    frames: Count = 0
    error: Text | None = None
    """Why the source does not run; credentials redacted."""


Message: TypeAlias = Union[  # noqa: UP007 -- msgspec reads the union at run time on Python 3.10
    FrameHeader, SessionEnd, PoseResult, TrackUpdate, Event, Control, Progress, CameraState
]


def as_text(text: str) -> str:
    """Return ``text`` as a message may carry it: not too long, and of characters all can read."""
    return text.encode(errors="replace").decode().replace("\0", "?")[:1000]


class _Version(msgspec.Struct):
    v: int


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_version_decoder = msgspec.msgpack.Decoder(_Version)


def encode(message: Message) -> bytes:
    """Return ``message`` as msgpack bytes."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """Return the message in ``data``.

    Raises MessageError where ``data`` is no message of ours or of a newer schema.
    """
    try:
        version = _version_decoder.decode(data).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"expected a Posewire message, got {len(data)} bytes: {error}") from None
    if version > SCHEMA_VERSION:
        raise MessageError(
            f"message of schema {version}, this program knows up to {SCHEMA_VERSION}: "
            "update this service"
        )
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"message of schema {version} does not fit it: {error}") from None
