"""A camera's people over time: tracks, visits and events, as a pure function of pose results."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import msgspec
import numpy as np

from posewire.shared.errors import StoreError
from posewire.shared.messages import (
    Event,
    FrameHeader,
    Keypoint,
    Person,
    PoseResult,
    SessionEnd,
    TrackedPerson,
    TrackUpdate,
)
from posewire.shared.settings import Areas, TrackerSettings
from posewire.tracker import keeping
from posewire.tracker.keeping import unpack
from posewire.tracker.tracks import Sighting, Tracks
from posewire.tracker.visits import Fact, Visit, Visits
from posewire.tracker.zones import Borders, count

_MOST_OVER = 16
"""Sessions remembered when they have ended; each costs 8 bytes in every commit."""
NAMESPACE = uuid.UUID("6f1d9c52-7a43-5e0b-9f6e-0d5a5e5e7a11")
"""Namespace of the ids of visits and events."""


class _Session(msgspec.Struct):
    """What is known in one session; all of it survives a round trip through msgpack."""

    last: FrameHeader
    tracks: Tracks
    visits: Visits
    seen: tuple[Person, ...] | None = None
    """Lossless: the last frame's people as inference found them; None where it could not be
    examined. Nobody goes on from them in the live policy."""


class _State(msgspec.Struct):
    camera: str
    session: _Session | None = None
    over: bytes = b""
    """Digests of the last sessions that have ended, 8 bytes each, the newest last."""
    term: int = 0
    """Term of the capture that the last frame is from."""


class CameraTracker:
    """Follows the people of one camera. No I/O, and no clock but the frames' own."""

    def __init__(self, settings: TrackerSettings, camera: str, areas: Areas | None = None) -> None:
        self._settings = settings
        self._areas = areas or Areas()
        self._borders: Borders | None = None
        self._state = _State(camera)

    @classmethod
    def load(
        cls, data: bytes, settings: TrackerSettings, areas: Areas | None = None
    ) -> CameraTracker:
        """Return the tracker that ``dump`` saved. Raises StoreError for anything else."""
        try:
            state = _decoder.decode(keeping.plain(data))
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
            raise StoreError(f"the tracker's saved state cannot be read: {error}") from None
        tracker = cls(settings, state.camera, areas)
        tracker._state = state
        return tracker

    def dump(self) -> bytes:
        """Return the whole state; a tracker loaded from it goes on exactly as this one would."""
        return keeping.dump(self._state)

    @property
    def areas(self) -> Areas:
        """Zones, lines and masks; other ones are in force from the next frame on."""
        return self._areas

    @areas.setter
    def areas(self, areas: Areas) -> None:
        self._areas, self._borders = areas, None

    @property
    def session(self) -> str | None:
        """Id of the session that is under way."""
        return None if self._state.session is None else self._state.session.last.session

    @property
    def people(self) -> int:
        """Confirmed people in view."""
        return 0 if self._state.session is None else self._state.session.visits.people

    @property
    def seen(self) -> tuple[float, tuple[Person, ...] | None]:
        """The last frame's time and people as inference found them, for ``Progress``."""
        session = self._state.session
        return (0.0, None) if session is None else (session.last.t, session.seen)

    @property
    def term(self) -> int:
        """Term of the capture that the last frame is from; 0 from one that held no lease."""
        return self._state.term

    def is_over(self, session: str) -> bool:
        """Return whether ``session`` is one of the last that have ended: nothing more is of it."""
        over, digest = self._state.over, _digest(session)
        return any(over[at : at + 8] == digest for at in range(0, len(over), 8))

    def update(self, result: PoseResult) -> TrackUpdate:
        """Take in a frame. The first frame of another session ends the one before.

        Whatever this raises, the state is then as it was before the frame.
        """
        before = _copies.encode(self._state)
        try:
            return self._update(result)
        except Exception:
            self._state = _decoder.decode(before)
            raise

    def _update(self, result: PoseResult) -> TrackUpdate:
        frame = result.frame
        session = self._state.session
        events: list[Event] = []
        if session is not None and session.last.session != frame.session:
            events += self._close(session, session.last.t)
            session = None
        if session is None:
            tracks = Tracks(aspect=frame.width / max(frame.height, 1), alive=[])
            session = _Session(frame, tracks, Visits(open=[]))
            self._state.session = session
        session.last = frame
        self._state.term = frame.term or self._state.term
        wanted = result.error is None and frame.policy == "lossless"
        session.seen = result.persons if wanted else None
        # A frame that could not be examined says nothing: nobody was seen, nobody was missed.
        sightings: list[Sighting] = []
        borders = self._borders_of(session)
        if result.error is None:
            seq, t, settings = frame.seq, frame.t, self._settings
            sightings = session.tracks.update(result.persons, seq, t, settings, borders)
            facts = session.visits.update(session.tracks, sightings, t, settings, borders)
            events += [self._event(fact, frame) for fact in facts]
        visits = {visit.number: visit for visit in session.visits.open}
        return TrackUpdate(
            frame=frame,
            frame_id=result.frame_id,
            persons=tuple(
                _tracked(sighting, visits.get(sighting.track.visit or 0), session)
                for sighting in sightings
            ),
            people=session.visits.people,
            continued=session.tracks.continued if result.error is None else {},
            zones=dict(count(borders.zones, (visit.where for visit in visits.values()))),
            events=tuple(events),
            detector=result.detector,
            pose=result.pose,
            inference_ms=result.total_ms,
            skipped=result.skipped,
        )

    def end(self, end: SessionEnd) -> tuple[Event, ...]:
        """End the session: everybody in view has left with the source. Raises as ``update``."""
        before = _copies.encode(self._state)
        try:
            return self._end(end)
        except Exception:
            self._state = _decoder.decode(before)
            raise

    def _end(self, end: SessionEnd) -> tuple[Event, ...]:
        session = self._state.session
        self._remember_end(end.session)
        if session is None or session.last.session != end.session:
            return ()
        return tuple(self._close(session, max(end.t, session.last.t)))

    def _borders_of(self, session: _Session) -> Borders:
        if self._borders is None or self._borders.aspect != session.tracks.aspect:
            self._borders = Borders(self._areas, session.tracks.aspect)
        return self._borders

    def _remember_end(self, session: str) -> None:
        if not self.is_over(session):
            self._state.over = (self._state.over + _digest(session))[-8 * _MOST_OVER :]

    def _close(self, session: _Session, t: float) -> list[Event]:
        self._state.session = None
        self._remember_end(session.last.session)
        facts = session.visits.end(session.tracks, t)
        return [self._event(fact, session.last) for fact in facts]

    def _event(self, fact: Fact, confirmed: FrameHeader) -> Event:
        camera = self._state.camera
        name = f"{camera}/{confirmed.session}/{fact.visit.number}/{fact.kind}/{fact.ordinal}"
        return Event(
            id=str(uuid.uuid5(NAMESPACE, name)),
            camera=camera,
            session=confirmed.session,
            visit=fact.visit.number,
            track=fact.visit.track,
            kind=fact.kind,
            reason=fact.reason,
            ordinal=fact.ordinal,
            seq=fact.seq,
            t=fact.t,
            occurred_at=confirmed.captured_at - confirmed.t + fact.t,
            confirmed_at=confirmed.captured_at,
            people=fact.people,
            zone=fact.zone,
            direction=fact.direction,
            seconds=None if fact.seconds is None else round(fact.seconds, 3),
        )


def _digest(session: str) -> bytes:
    return hashlib.blake2b(session.encode(), digest_size=8).digest()


def visit_id(camera: str, session: str, number: int) -> uuid.UUID:
    """Return the id of a visit: the same after any replay."""
    return uuid.uuid5(NAMESPACE, f"{camera}/{session}/{number}")


def _tracked(sighting: Sighting, visit: Visit | None, session: _Session) -> TrackedPerson:
    aspect = session.tracks.aspect
    keypoints: tuple[Keypoint, ...] = ()
    if sighting.points[:, 2].any():
        keypoints = tuple(
            (round(x / aspect, 5), round(y, 5), score) if score > 0 else (0.0, 0.0, 0.0)
            for x, y, score in sighting.points.tolist()
        )
    since = sighting.track.first_t if visit is None else visit.first_t
    return TrackedPerson(
        track=sighting.track.number,
        visit=sighting.track.visit,
        box=sighting.box,
        score=sighting.person.score,
        keypoints=keypoints,
        dwell_s=round(session.last.t - since, 3),
        zones=() if visit is None else visit.where.zones,
    )


def _plain(value: Any) -> Any:
    """Return an array as ``unpack`` takes it, quickly."""
    if isinstance(value, np.ndarray):
        return [list(value.shape), value.astype(np.float64).tobytes()]
    raise TypeError(f"{type(value).__name__} cannot be copied")


def _array(_type: type, value: Any) -> Any:
    return unpack(value)


_copies = msgspec.msgpack.Encoder(enc_hook=_plain)
"""For copies that are kept for the time of one frame; fast, where ``keeping`` is small."""
_decoder = msgspec.msgpack.Decoder(_State, dec_hook=_array)
