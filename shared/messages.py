"""Messages on the bus: msgspec Structs in msgpack, each with its type and schema version.

Coordinates are relative: x over the picture's width, y over its height, 0..1, origin top left.
Times named ``*_at`` are seconds since the Unix epoch (UTC); ``t`` is seconds since the session
began.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, Union

import msgspec

from posewire.shared.errors import MessageError

SCHEMA_VERSION = 1

Box: TypeAlias = tuple[float, float, float, float]
"""x0, y0, x1, y1, relative."""
Keypoint: TypeAlias = tuple[float, float, float]
"""x, y, score; relative; (0, 0, 0) where the point was not found."""

Policy = Literal["live", "lossless"]
EventKind = Literal["entered", "exited", "zone_entered", "zone_exited", "dwelled", "line_crossed"]
EventReason = Literal["walked_in", "in_view_at_start", "left_view", "source_ended"]
CameraStatus = Literal[
    "starting", "running", "stalled", "reconnecting", "ended", "failed", "standby"
]
"""standby: this capture would play the camera; another one holds it, or nobody has told more."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=False):
    v: int = SCHEMA_VERSION


class FrameHeader(_Message, frozen=True, kw_only=True, tag="frame"):
    """One picture; the JPEG travels beside it as the entry's payload.

    ``seq`` counts the frames of the session from 0 in the order of capture; in a video file it is
    the index of the frame. ``captured_at`` is the session's start plus ``t``.
    """

    camera: str
    session: str
    seq: int
    t: float
    captured_at: float
    width: int
    height: int
    source: str
    policy: Policy = "live"
    fps: float = 0.0
    """The source's nominal rate; 0 where it has none (image folders)."""
    file: str | None = None
    """Name of the image file, for image folders."""
    term: int = 0
    """Term of the capture that published it, see ``Lease``; 0 from programs that hold no lease."""


class SessionEnd(_Message, frozen=True, kw_only=True, tag="session_end"):
    """The source has ended or was switched; follows the session's last frame in every stream.

    ``frames`` is how many frames the session had, so the last one is ``frames - 1``.
    """

    camera: str
    session: str
    frames: int
    t: float
    captured_at: float
    reason: Literal["ended", "switched", "failed"] = "ended"
    source: str = ""
    frame_id: str = ""
    """Entry id in the frames stream; inference sets it when it passes the message on."""
    term: int = 0
    """Term of the capture that published it."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What the models see of one human in one frame."""

    box: Box
    score: float
    keypoints: tuple[Keypoint, ...] = ()
    """18 keypoints in the order of ``posewire.shared.skeleton.KEYPOINTS``, or none: a box alone."""
    appearance: bytes = b""
    """Colours of torso and legs, half of the bytes each: square roots of histograms, so that the
    normalised dot product of two is their Bhattacharyya coefficient. Zeros for a part that is not
    in the picture; empty where it was not taken."""


class ModelRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which network ran, where, and for how long."""

    model: str
    precision: str
    device: str
    ms: float
    """Time from the first request's start to the last one's end, in milliseconds."""
    runs: int = 1
    """How often the network ran on this frame (regions)."""
    pixels: int = 0
    """Input pixels of these runs together: the work, whatever the machine."""


class PoseResult(_Message, frozen=True, kw_only=True, tag="poses"):
    """The people of one frame.

    ``pose`` is None where there was nobody to run it on. ``detector`` is None where it was not due
    on this frame, or the pose network finds people by itself.
    """

    frame: FrameHeader
    frame_id: str
    """Entry id of the frame in the frames stream: a worker that takes over continues after it."""
    persons: tuple[Person, ...] = ()
    detector: ModelRun | None = None
    pose: ModelRun | None = None
    decode_ms: float = 0.0
    """Time to read the pose network's outputs, all runs together."""
    total_ms: float = 0.0
    """Time from reading the frame to having its people."""
    skipped: int = 0
    """Frames since the last result that the live policy passed over."""
    error: str | None = None
    """Why this frame could not be examined (broken JPEG); its ``persons`` is then empty."""
    term: int = 0
    """Term of the inference worker that published it."""


class TrackedPerson(msgspec.Struct, frozen=True, kw_only=True):
    """One person followed through the session, as of this frame."""

    track: int
    """Number of the track, from 1, never reused within a session."""
    visit: int | None
    """Number of the visit once it is confirmed, from 1 within the session."""
    box: Box
    score: float
    keypoints: tuple[Keypoint, ...] = ()
    dwell_s: float = 0.0
    """Seconds since the person was first seen."""
    zones: tuple[str, ...] = ()
    """Names of the zones that the person is in."""


class Event(_Message, frozen=True, kw_only=True, tag="event"):
    """A fact about a visit at a moment."""

    id: str
    """uuid5 of camera, session, visit, kind and ordinal: the same after any replay."""
    camera: str
    session: str
    visit: int
    track: int
    kind: EventKind
    reason: EventReason | None
    ordinal: int
    """Counts the events of this kind within the visit, from 0."""
    seq: int
    """Frame where it happened."""
    t: float
    occurred_at: float
    confirmed_at: float
    people: int
    """Confirmed people in view after this event: entered minus exited."""
    zone: str | None = None
    """Name of the zone or line."""
    direction: str | None = None
    """line_crossed: the name of the way."""
    seconds: float | None = None
    """dwelled: the time of stay that was reached. exited, zone_exited: how long it was."""


class TrackUpdate(_Message, frozen=True, kw_only=True, tag="tracks"):
    """Everything an overlay draws for one frame, and the events confirmed by it."""

    frame: FrameHeader
    frame_id: str
    persons: tuple[TrackedPerson, ...] = ()
    people: int = 0
    """Confirmed people in view: entered minus exited."""
    zones: dict[str, int] = {}
    """People in each zone."""
    continued: dict[int, int] = {}
    """Tracks that turned out to go on with an earlier one: its number, which they have from now
    on, by the number they had since they began."""
    events: tuple[Event, ...] = ()
    detector: ModelRun | None = None
    pose: ModelRun | None = None
    inference_ms: float = 0.0
    skipped: int = 0
    """Frames since the last update that the live policy passed over."""
    latency_ms: float = 0.0
    """From capture to this update; meaningful for live sources."""
    term: int = 0
    """Term of the tracker that published it."""


class Control(_Message, frozen=True, kw_only=True, tag="control"):
    """A wish to a camera's capture: play another of the configured sources."""

    camera: str
    action: Literal["switch_source"]
    source: str
    requested_at: float


class Progress(_Message, frozen=True, kw_only=True, tag="progress"):
    """Up to where the tracker has committed a camera: the credit that lossless capture waits for.

    ``seq`` is the last committed frame; -1 before the first. ``ended`` once the session's end is
    committed too. ``t`` and ``persons`` are that frame's, as inference found them: it goes on from
    them where the bus has lost its last result. None where there are none to go on from.
    """

    camera: str
    session: str
    seq: int
    ended: bool = False
    t: float = 0.0
    persons: tuple[Person, ...] | None = None
    term: int = 0
    """Term of the tracker that told it."""


class CameraState(_Message, frozen=True, kw_only=True, tag="camera_state"):
    """What capture says of a camera, at least every two seconds; stale when it stops saying so."""

    camera: str
    status: CameraStatus
    source: str
    session: str | None
    updated_at: float
    policy: Policy = "live"
    width: int = 0
    height: int = 0
    fps: float = 0.0
    """Measured frames per second put on the bus."""
    frames: int = 0
    error: str | None = None
    """Why the source does not run; credentials redacted."""


Message: TypeAlias = Union[  # noqa: UP007 -- msgspec reads the union at run time on Python 3.10
    FrameHeader, SessionEnd, PoseResult, TrackUpdate, Event, Control, Progress, CameraState
]


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
