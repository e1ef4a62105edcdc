"""What the REST routes take and return; every field described, so that OpenAPI is complete."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from posewire.shared.messages import CameraStatus, EventKind, EventReason, Policy
from posewire.shared.settings.areas import Areas
from posewire.shared.settings.cameras import Name

_AT = "2026-03-01T09:30:00.120000Z"
_SESSION = "6f1f0f5c2d5b4d3d9d0b7c2f5f0a9e11"
_VISIT = "0d1f5b5e-6a55-5f0e-9a53-5d6c1d3f2b10"


class Source(BaseModel):
    """Something that a camera may play."""

    name: str = Field(description="Name to choose it by.", examples=["demo"])
    url: str = Field(
        description="Where it comes from; user names and passwords are replaced by ***.",
        examples=["rtsp://***@10.0.0.8/stream1"],
    )
    loop: bool = Field(description="Whether a file starts again at its end.", examples=[True])


class CameraStateOut(BaseModel):
    """What capture last said of a camera."""

    status: CameraStatus = Field(description="What its source does.", examples=["running"])
    source: str = Field(description="Name of the source it plays.", examples=["demo"])
    session: str | None = Field(description="The session that runs.", examples=[_SESSION])
    updated_at: datetime = Field(description="When capture said so.", examples=[_AT])
    width: int = Field(description="Of the frames, pixels.", examples=[768])
    height: int = Field(description="Of the frames, pixels.", examples=[432])
    fps: float = Field(description="Frames per second captured.", examples=[10.0])
    frames: int = Field(description="Frames of the session so far.", examples=[1234])
    error: str | None = Field(description="Why the source does not run.", examples=[None])


class Camera(BaseModel):
    """A configured camera and what it does."""

    name: str = Field(description="Its name.", examples=["main"])
    enabled: bool = Field(description="Whether capture plays it.", examples=[True])
    policy: Policy = Field(
        description="live: newest frame first; lossless: every frame.", examples=["live"]
    )
    source: str = Field(description="The source it starts with.", examples=["demo"])
    status: CameraStatus | Literal["silent", "unknown"] = Field(
        description="As in `state`; silent: capture says nothing of it; unknown: the bus does not "
        "answer.",
        examples=["running"],
    )
    state: CameraStateOut | None = Field(description="What capture last said of it.")
    sources: list[Source] = Field(description="The sources it may be switched to.")


class Cameras(BaseModel):
    """All cameras."""

    cameras: list[Camera] = Field(description="In alphabetical order.")


class SwitchSource(BaseModel):
    """The wish to play another source."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[Name, Field(description="Name of a configured source.", examples=["demo"])]


class Switching(BaseModel):
    """The wish was passed on to capture, which begins a new session."""

    camera: str = Field(description="The camera.", examples=["main"])
    source: str = Field(description="What it is going to play.", examples=["demo"])
    requested_at: datetime = Field(description="When the wish was passed on.", examples=[_AT])


class EventOut(BaseModel):
    """A fact about a visit at a moment."""

    id: UUID = Field(
        description="The same after any replay.", examples=["5c2f6d0e-3a52-5b0c-8b3f-0a6f54b0c1aa"]
    )
    ord: int = Field(description="Order of confirmation; grows.", examples=[42])
    camera: str = Field(description="Where.", examples=["main"])
    session: str = Field(description="The session it belongs to.", examples=[_SESSION])
    visit: UUID = Field(description="The visit it belongs to.", examples=[_VISIT])
    visit_number: int = Field(description="Number of the visit in the session.", examples=[3])
    track: int = Field(description="Number drawn on the person.", examples=[3])
    kind: EventKind = Field(description="What happened.", examples=["entered"])
    reason: EventReason | None = Field(description="How.", examples=["walked_in"])
    ordinal: int = Field(description="Counts this kind within the visit.", examples=[0])
    seq: int = Field(description="Frame where it happened, from 0.", examples=[120])
    t: float = Field(description="Seconds since the session began.", examples=[12.0])
    occurred_at: datetime = Field(description="When it happened.", examples=[_AT])
    confirmed_at: datetime = Field(description="When that was certain.", examples=[_AT])
    people: int = Field(description="People in view after it.", examples=[2])
    zone: str | None = Field(description="Zone or line, where it is about one.", examples=[None])
    direction: str | None = Field(description="Which way a line was crossed.", examples=[None])
    seconds: float | None = Field(
        description="dwelled: the time of stay that was reached; exited, zone_exited: how long it "
        "was.",
        examples=[None],
    )
    snapshot: bool = Field(
        description="Whether there is a picture: `/api/v1/events/{id}/snapshot.jpg`.",
        examples=[False],
    )


class Events(BaseModel):
    """A page of events."""

    events: list[EventOut] = Field(description="In the order asked for.")
    next: str | None = Field(
        description="Cursor of the next page; null at the end.", examples=["eyJvIjoiZGVzYyJ9"]
    )


class VisitOut(BaseModel):
    """One person's presence in view."""

    id: UUID = Field(description="The same after any replay.", examples=[_VISIT])
    camera: str = Field(description="Where.", examples=["main"])
    session: str = Field(description="The session it belongs to.", examples=[_SESSION])
    source: str | None = Field(description="What the camera played.", examples=["demo"])
    number: int = Field(description="Counts the session's visits, from 1.", examples=[3])
    track: int = Field(description="Number drawn on the person.", examples=[3])
    entered_at: datetime = Field(description="First sight.", examples=[_AT])
    entered_seq: int = Field(description="Frame of the first sight.", examples=[120])
    entered_reason: EventReason = Field(description="How it began.", examples=["walked_in"])
    exited_at: datetime | None = Field(description="Last sight; null while there.", examples=[_AT])
    exited_seq: int | None = Field(description="Frame of the last sight.", examples=[245])
    exited_reason: EventReason | None = Field(description="How it ended.", examples=["left_view"])
    dwell_s: float | None = Field(description="Seconds between the two.", examples=[12.5])


class Visits(BaseModel):
    """A page of visits."""

    visits: list[VisitOut] = Field(description="By `entered_at`, in the order asked for.")
    next: str | None = Field(
        description="Cursor of the next page; null at the end.", examples=["eyJvIjoiZGVzYyJ9"]
    )


class Bucket(BaseModel):
    """How many people came, left and were there in one stretch of time."""

    start: datetime = Field(description="Begin, inclusive.", examples=["2026-03-01T09:00:00Z"])
    end: datetime = Field(description="End, exclusive.", examples=["2026-03-01T10:00:00Z"])
    entered: int = Field(description="People who came into view.", examples=[14])
    exited: int = Field(description="People who left.", examples=[13])
    max_people: int | None = Field(description="Most at once; null for time to come.", examples=[5])
    min_people: int | None = Field(
        description="Fewest at once; null for time to come.", examples=[0]
    )
    avg_people: float | None = Field(
        description="Average over time; null for time to come.", examples=[1.37]
    )


class Occupancy(BaseModel):
    """People per time bucket."""

    camera: str | None = Field(description="The camera; null: all together.", examples=["main"])
    bucket_s: int = Field(description="Length of a bucket in seconds.", examples=[3600])
    buckets: list[Bucket] = Field(description="All buckets of the range, oldest first.")


class Hour(BaseModel):
    """One hour of the week."""

    weekday: int = Field(description="1: Monday, 7: Sunday.", examples=[6])
    hour: int = Field(description="0 to 23, in the time zone asked for.", examples=[14])
    usual: float | None = Field(
        description="Mean number of people who entered, over the days that were watched before "
        "today; null where there were none.",
        examples=[12.5],
    )
    today: int = Field(description="How many entered in it today.", examples=[9])


class Patterns(BaseModel):
    """When people come, and how long they stay."""

    camera: str | None = Field(description="Of which camera; null: all.", examples=["main"])
    tz: str = Field(description="Time zone of the hours.", examples=["Europe/Berlin"])
    weekday: int = Field(description="Today, 1: Monday.", examples=[6])
    hours: list[Hour] = Field(description="Hours in which anybody entered.")
    visits: int = Field(description="Visits that ended in this time.", examples=[420])
    mean_dwell_s: float | None = Field(description="How long they were.", examples=[35.2])
    median_dwell_s: float | None = Field(description="The same, median.", examples=[21.0])


class Finding(BaseModel):
    """One thing that Posewire needs."""

    name: str = Field(description="What.", examples=["Redis"])
    ok: bool | None = Field(description="null: not needed as configured.", examples=[True])
    text: str = Field(description="What it is, or what is wrong and what to do.", examples=["ok"])


class StreamOut(BaseModel):
    """One stream of a camera on the bus."""

    length: int = Field(description="Entries that are kept.", examples=[64])
    age_s: float | None = Field(description="Since the newest one; null: none.", examples=[0.1])


class CameraStatusOut(BaseModel):
    """What is under way for a camera."""

    camera: str = Field(description="Its name.", examples=["main"])
    streams: dict[str, StreamOut] = Field(description="frames, poses, tracks.")
    models: list[str] = Field(description="What ran on the newest frame.", examples=[["a FP16"]])
    devices: list[str] = Field(description="Where.", examples=[["CPU"]])


class Status(BaseModel):
    """The system's state, as `posewire doctor` sees it, with what runs now."""

    version: str = Field(description="Of Posewire.", examples=["0.1.0"])
    ok: bool = Field(description="Nothing is wrong.", examples=[True])
    checks: list[Finding] = Field(description="One by one.")
    cameras: list[CameraStatusOut] = Field(description="Empty where the bus does not answer.")


class AreasOut(Areas):
    """Zones, lines and masks of a camera, and where they are from."""

    version: int = Field(description="Grows with every change.", examples=[3])
    drawn: bool = Field(
        description="true: put here with PUT; false: from the configuration.", examples=[True]
    )


class Detection(BaseModel):
    """An event in the shape of the app that came before Posewire."""

    id: int = Field(description="Grows in the order of confirmation.", examples=[42])
    session_name: str = Field(
        description="Source and camera, joined by a slash.", examples=["demo/main"]
    )
    event_name: Literal["appeared", "disappeared"] = Field(
        description="appeared: entered; disappeared: exited.", examples=["appeared"]
    )
    create_date_time: datetime = Field(description="When it happened.", examples=[_AT])


class Pagination(BaseModel):
    """Where a page lies."""

    count: int = Field(description="All results.", examples=[57])
    page: int = Field(description="This page, from 1.", examples=[1])
    per_page: int = Field(description="Results per page.", examples=[10])
    pages: int = Field(description="How many pages there are.", examples=[6])


class Detections(BaseModel):
    """A page of events in the shape of the app that came before Posewire."""

    results: list[Detection] = Field(description="Oldest first.")
    pagination: Pagination


class Check(BaseModel):
    """One thing that must work."""

    ok: bool = Field(description="Whether it works.", examples=[True])
    detail: str = Field(description="Why not, or what it is.", examples=["answers"])


class Ready(BaseModel):
    """Whether the gateway can serve everything."""

    ready: bool = Field(description="All checks passed.", examples=[True])
    checks: dict[str, Check] = Field(description="bus, database, schema.")


class Health(BaseModel):
    """The process lives."""

    status: Literal["ok"] = Field(description="Always ok.", examples=["ok"])
    version: str = Field(description="Of Posewire.", examples=["0.1.0"])


class Skeleton(BaseModel):
    """How overlays are drawn."""

    keypoints: list[str] = Field(description="Names, in order.", examples=[["nose", "neck"]])
    limbs: list[tuple[int, int]] = Field(
        description="Pairs of keypoint indices to join by a line.", examples=[[[1, 2], [1, 5]]]
    )
    colours: list[tuple[int, int, int]] = Field(
        description="RGB; a person takes the one at `track` modulo their number.",
        examples=[[[64, 196, 255]]],
    )
