"""Visits: when somebody counts as having come, and as having left.

                    seen long enough              seen again
    TENTATIVE ─────────────────────────▶ PRESENT ◀──────────── HIDDEN
        │        «entered», stamped with     │                    │ out of sight too long:
        │ unseen: noise      the first sight └── out of sight ──▶ │ «exited», stamped with
        ▼                                                         ▼ the last sight
     (dropped)                                                  GONE

At the picture's border the first and last sights are corrected (services/tracker/entrances.py). A
visit out of sight goes on with a new track where that explains it (services/tracker/linking.py).

Out of sight too long means ``exit_after_s`` for somebody last seen at the picture's border, and
the longer ``hidden_after_s`` for somebody who vanished in the middle, behind something.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec
import numpy as np

from posewire.shared.messages import EventKind, EventReason
from posewire.shared.settings import TrackerSettings
from posewire.tracker.entrances import beyond_s
from posewire.tracker.geometry import at_border, corner_form
from posewire.tracker.linking import link
from posewire.tracker.tracks import Moment, Sight, Sighting, Track, Tracks
from posewire.tracker.zones import Borders, Crossing, Whereabouts, leave


class State(enum.Enum):
    """Where a visit is in its life."""

    PRESENT = "present"
    HIDDEN = "hidden"
    GONE = "gone"


MOVES: dict[State, frozenset[State]] = {
    State.PRESENT: frozenset({State.HIDDEN, State.GONE}),
    State.HIDDEN: frozenset({State.PRESENT, State.GONE}),
    State.GONE: frozenset(),
}
"""Legal moves between the states of a visit; GONE is final."""

_LEAST_SEEN_SHARE = 0.7
"""Somebody is there if at least this share of the frames since the first sight shows them."""
_BOX_EVIDENCE = 1.5
"""Who is known by boxes alone must be surer: log-odds times seconds, that is .6 s at a score of
.92, or 1.8 s at .7. A skeleton is evidence by itself."""
_DOUBT_S = 2.0
"""Nobody is let go while a new track may be them; but for no longer than this."""
_JUST_SEEN_S = 0.35
"""Who was seen this shortly before the source ended was in view at its end."""


class Visit(msgspec.Struct):
    """One person's presence in view."""

    number: int
    track: int
    state: State
    first_seq: int
    first_t: float
    last_seq: int
    last_t: float
    ordinals: dict[str, int] = {}
    """How many events of each kind there were."""
    where: Whereabouts = msgspec.field(default_factory=Whereabouts)


class Fact(msgspec.Struct):
    """An event before it has an id: what happened to a visit, and when."""

    visit: Visit
    kind: EventKind
    reason: EventReason | None
    ordinal: int
    seq: int
    t: float
    people: int
    zone: str | None = None
    direction: str | None = None
    seconds: float | None = None


class Visits(msgspec.Struct):
    """The open visits of a session."""

    open: list[Visit] = []
    next_number: int = 1

    @property
    def people(self) -> int:
        """Entered minus exited."""
        return len(self.open)

    def update(
        self,
        tracks: Tracks,
        sightings: Sequence[Sighting],
        t: float,
        settings: TrackerSettings,
        borders: Borders,
    ) -> list[Fact]:
        """Apply the rules after a frame at ``t``; return what became certain by it."""
        facts = self._admit(tracks, t, settings)
        by_number = {visit.number: visit for visit in self.open}
        for sighting in sightings:
            track = sighting.track
            if track.visit is None:
                continue
            steps, track.steps = track.steps or [sighting.step], []
            visit = by_number[track.visit]
            facts += self._crossed(visit, borders.follow(visit.where, steps))
        by_track = {track.number: track for track in tracks.alive}
        for visit in list(self.open):
            track = by_track[visit.track]
            visit.last_seq, visit.last_t = track.last_seq, track.last_t
            unseen_s = t - track.last_t
            if unseen_s <= 0:
                _move(visit, State.PRESENT)
                continue
            _move(visit, State.HIDDEN)
            if unseen_s < min(settings.exit_after_s, settings.hidden_after_s):
                continue
            border = at_border(track.box[None], tracks.aspect)[0]
            over_s = unseen_s - (settings.exit_after_s if border else settings.hidden_after_s)
            if over_s >= 0 and not (over_s < _DOUBT_S and _may_be_back(track, tracks)):
                facts += self._exit(visit, "left_view", _left(track, tracks.aspect))
                tracks.alive = [other for other in tracks.alive if other.number != visit.track]
        return facts

    def end(self, tracks: Tracks, t: float) -> list[Fact]:
        """Close all visits: the source ended at ``t``."""
        by_number = {track.number: track for track in tracks.alive}
        facts = []
        for visit in list(self.open):
            track = by_number[visit.track]
            last = Moment(track.last_seq, track.last_t)
            if t - track.last_t > _JUST_SEEN_S and at_border(track.box[None], tracks.aspect)[0]:
                facts += self._exit(visit, "left_view", _left(track, tracks.aspect))
            else:
                facts += self._exit(visit, "source_ended", last)
        return facts

    def _admit(self, tracks: Tracks, t: float, settings: TrackerSettings) -> list[Fact]:
        """Give those who are there for certain a visit: one out of sight, or a new one."""
        new = [track for track in tracks.alive if _is_there(track, t, settings)]
        by_number = {track.number: track for track in tracks.alive}
        hidden = [visit for visit in self.open if by_number[visit.track].last_t < t]
        lost = [by_number[visit.track] for visit in hidden]
        known = {column: hidden[row] for row, column in link(lost, new, tracks.aspect)}
        facts = []
        for column, track in enumerate(new):
            if column in known:
                visit = known[column]
                tracks.alive = [other for other in tracks.alive if other.number != visit.track]
                tracks.continued[track.number] = visit.track
                track.visit, track.number = visit.number, visit.track
            else:
                facts.append(self._enter(track, settings, tracks.aspect))
        return facts

    def _enter(self, track: Track, settings: TrackerSettings, aspect: float) -> Fact:
        visit = Visit(
            number=self.next_number,
            track=track.number,
            state=State.PRESENT,
            first_seq=track.first_seq,
            first_t=track.first_t,
            last_seq=track.last_seq,
            last_t=track.last_t,
        )
        self.next_number += 1
        self.open.append(visit)
        track.visit = visit.number
        if track.first_t <= settings.start_grace_s:
            return self._fact(visit, "entered", "in_view_at_start", track.first_seq, track.first_t)
        came = _came(track, aspect)
        visit.first_seq, visit.first_t = came.seq, came.t
        return self._fact(visit, "entered", "walked_in", came.seq, came.t)

    def _exit(self, visit: Visit, reason: EventReason, when: Moment) -> list[Fact]:
        """End a visit, and before that its stays in zones."""
        facts = self._crossed(visit, leave(visit.where, when.seq, when.t))
        _move(visit, State.GONE)
        self.open.remove(visit)
        exited = self._fact(visit, "exited", reason, when.seq, when.t)
        exited.seconds = when.t - visit.first_t
        return [*facts, exited]

    def _crossed(self, visit: Visit, crossings: Sequence[Crossing]) -> list[Fact]:
        facts = []
        for crossing in crossings:
            fact = self._fact(visit, crossing.kind, None, crossing.seq, crossing.t)
            fact.zone, fact.direction = crossing.zone, crossing.direction
            fact.seconds = crossing.seconds
            facts.append(fact)
        return facts

    def _fact(
        self, visit: Visit, kind: EventKind, reason: EventReason | None, seq: int, t: float
    ) -> Fact:
        ordinal = visit.ordinals.get(kind, 0)
        visit.ordinals = {**visit.ordinals, kind: ordinal + 1}
        return Fact(visit, kind, reason, ordinal, seq, t, self.people)


def _may_be_back(lost: Track, tracks: Tracks) -> bool:
    """Whether a track that is nobody's yet may turn out to be somebody out of sight."""
    new = [track for track in tracks.alive if track.visit is None and track.sightings > 1]
    return bool(link([lost], new, tracks.aspect))


def _came(track: Track, aspect: float) -> Moment:
    """Return the frame in which a new track's person came into view."""
    first = Moment(track.first_seq, track.first_t)
    return _nearest([*track.around, first], first.t - _beyond(track.path, aspect))


def _left(track: Track, aspect: float) -> Moment:
    """Return the last frame in which the person of a track out of sight was in view."""
    last = Moment(track.last_seq, track.last_t)
    return _nearest([last, *track.around], last.t + _beyond(track.path[::-1], aspect))


def _nearest(frames: Sequence[Moment], t: float) -> Moment:
    return min(frames, key=lambda moment: abs(moment.t - t))


def _beyond(path: Sequence[Sight], aspect: float) -> float:
    boxes = corner_form(np.array([sight.box for sight in path]))
    return beyond_s([sight.t for sight in path], boxes, aspect)


def _is_there(track: Track, t: float, settings: TrackerSettings) -> bool:
    if track.visit is not None or track.last_t < t:
        return False
    if t - track.first_t < settings.enter_after_s - 1e-6 or track.sure_sightings < 2:
        return False
    if track.sightings < _LEAST_SEEN_SHARE * track.frames:
        return False
    if 2 * track.posed_sightings >= track.sightings:
        return True
    seen_s = (t - track.first_t) * track.sightings / track.frames
    return seen_s * track.evidence / track.sightings >= _BOX_EVIDENCE


def _move(visit: Visit, to: State) -> None:
    if to is visit.state:
        return
    if to not in MOVES[visit.state]:
        raise ValueError(f"visit {visit.number} cannot go from {visit.state} to {to}")
    visit.state = to
