"""The live overlay as JSON: what the WebSocket sends. Compact: lists, 4 decimals.

Two kinds of message, told apart by ``type``: ``overlay`` (one per frame) and ``session_end``.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from posewire.shared.messages import (
    Event,
    EventKind,
    EventReason,
    ModelRun,
    SessionEnd,
    TrackedPerson,
    TrackUpdate,
)

Rel: TypeAlias = Annotated[float, Meta(description="relative: 0..1 of the width or height")]


class OverlayPerson(msgspec.Struct, frozen=True):
    """One person in the frame."""

    track: Annotated[int, Meta(description="Number to draw on the person; its colour's index.")]
    visit: Annotated[int | None, Meta(description="Number of the visit once it is confirmed.")]
    box: Annotated[tuple[Rel, Rel, Rel, Rel], Meta(description="x0, y0, x1, y1")]
    score: float
    keypoints: Annotated[
        list[tuple[Rel, Rel, float]],
        Meta(description="18 of [x, y, score] in OpenPose's order, [0, 0, 0] for a missing one"),
    ]
    dwell_s: Annotated[float, Meta(description="Seconds since the person was first seen.")]
    zones: Annotated[tuple[str, ...], Meta(description="Names of the zones the person is in.")]


class OverlayEvent(msgspec.Struct, frozen=True):
    """An event that this frame confirmed."""

    id: str
    kind: EventKind
    reason: EventReason | None
    visit: Annotated[int, Meta(description="Number of the visit within the session.")]
    track: int
    seq: Annotated[int, Meta(description="Frame where it happened.")]
    t: float
    occurred_at: datetime
    confirmed_at: datetime
    people: Annotated[int, Meta(description="People in view after it.")]
    zone: str | None
    direction: str | None
    seconds: Annotated[float | None, Meta(description="Of a visit, or a stay in a zone.")]


class OverlayRun(msgspec.Struct, frozen=True):
    """Which network ran on this frame, where, and for how long."""

    model: str
    precision: str
    device: str
    ms: float


class Overlay(msgspec.Struct, frozen=True, tag_field="type", tag="overlay"):
    """Everything to draw for one frame."""

    session: str
    seq: Annotated[int, Meta(description="Number of the frame within the session, from 0.")]
    t: Annotated[float, Meta(description="Seconds since the session began.")]
    captured_at: datetime
    width: Annotated[int, Meta(description="Of the frame, pixels.")]
    height: Annotated[int, Meta(description="Of the frame, pixels.")]
    source: str
    persons: list[OverlayPerson]
    people: Annotated[int, Meta(description="Confirmed people in view.")]
    zones: Annotated[dict[str, int], Meta(description="People in each zone.")]
    events: list[OverlayEvent]
    detector: OverlayRun | None
    pose: Annotated[OverlayRun | None, Meta(description="null where nobody was in the frame.")]
    inference_ms: float
    skipped: Annotated[int, Meta(description="Frames passed over since the last one.")]
    latency_ms: Annotated[float, Meta(description="From capture to this update.")]
    fps: Annotated[float, Meta(description="Measured updates per second.")]


class OverlayEnd(msgspec.Struct, frozen=True, tag_field="type", tag="session_end"):
    """The session is over; the next overlay belongs to another one."""

    session: str
    frames: int
    t: float
    captured_at: datetime
    reason: Literal["ended", "switched", "failed"]
    source: str


_encoder = msgspec.json.Encoder()


def encode_update(update: TrackUpdate, fps: float) -> str:
    """Return ``update`` as the JSON text of an Overlay."""
    frame = update.frame
    overlay = Overlay(
        session=frame.session,
        seq=frame.seq,
        t=round(frame.t, 3),
        captured_at=utc(frame.captured_at),
        width=frame.width,
        height=frame.height,
        source=frame.source,
        persons=[_person(person) for person in update.persons],
        people=update.people,
        zones=update.zones,
        events=[_event(event) for event in update.events],
        detector=_run(update.detector),
        pose=_run(update.pose),
        inference_ms=round(update.inference_ms, 2),
        skipped=update.skipped,
        latency_ms=round(update.latency_ms, 1),
        fps=round(fps, 1),
    )
    return _encoder.encode(overlay).decode()


def encode_end(end: SessionEnd) -> str:
    """Return ``end`` as the JSON text of an OverlayEnd."""
    message = OverlayEnd(
        session=end.session,
        frames=end.frames,
        t=round(end.t, 3),
        captured_at=utc(end.captured_at),
        reason=end.reason,
        source=end.source,
    )
    return _encoder.encode(message).decode()


def schemas(ref_template: str) -> dict[str, Any]:
    """Return the JSON schemas of the messages and their parts, by name."""
    types = (Overlay, OverlayEnd)
    return msgspec.json.schema_components(types, ref_template=ref_template)[1]


def utc(seconds: float) -> datetime:
    """Return seconds since the epoch as a UTC time in whole milliseconds."""
    return datetime.fromtimestamp(round(seconds, 3), tz=timezone.utc)


def _person(person: TrackedPerson) -> OverlayPerson:
    x0, y0, x1, y1 = person.box
    return OverlayPerson(
        track=person.track,
        visit=person.visit,
        box=(round(x0, 4), round(y0, 4), round(x1, 4), round(y1, 4)),
        score=round(person.score, 3),
        keypoints=[(round(x, 4), round(y, 4), round(s, 3)) for x, y, s in person.keypoints],
        dwell_s=round(person.dwell_s, 2),
        zones=person.zones,
    )


def _event(event: Event) -> OverlayEvent:
    return OverlayEvent(
        id=event.id,
        kind=event.kind,
        reason=event.reason,
        visit=event.visit,
        track=event.track,
        seq=event.seq,
        t=round(event.t, 3),
        occurred_at=utc(event.occurred_at),
        confirmed_at=utc(event.confirmed_at),
        people=event.people,
        zone=event.zone,
        direction=event.direction,
        seconds=event.seconds,
    )


def _run(run: ModelRun | None) -> OverlayRun | None:
    if run is None:
        return None
    return OverlayRun(run.model, run.precision, run.device, round(run.ms, 2))
