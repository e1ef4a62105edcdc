"""Visits: when somebody counts as having come, and as having left.

                    seen long enough              seen again
    TENTATIVE ─────────────────────────▶ PRESENT ◀──────────── HIDDEN
        │        «entered», stamped with     │                    │ out of sight too long:
        │ unseen: noise      the first sight └── out of sight ──▶ │ «exited», stamped with
        ▼                                                         ▼ the last sight
     (dropped)                                                  GONE

Out of sight too long means ``exit_after_s`` for somebody last seen at the picture's border, and
the longer ``hidden_after_s`` for somebody who vanished in the middle, behind something.
"""

from __future__ import annotations

import enum

import msgspec
import numpy as np

from services.tracker.tracks import Track, Tracks, inside_share
from shared.messages import EventKind, EventReason
from shared.settings import TrackerSettings


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

_BORDER = 0.03
"""A box nearer than this share of the picture to its border touches it."""
_LEAST_SEEN_SHARE = 0.5
"""Somebody is there if at least this share of the frames since the first sight shows them."""
_RETURN_SPEED = 1.2
"""Heights per second that a person out of sight may have walked."""
_RETURN_NEAR = 0.6
_RETURN_FARTHEST = 3.0
_RETURN_SIZE = 0.6
_BORDER_RETURN_S = 0.8
"""Who leaves over the border, or comes in over it, is somebody new unless it was this quick."""
_WITHIN = 0.85
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


class Fact(msgspec.Struct):
    """An event before it has an id: what happened to a visit, and when."""

    visit: Visit
    kind: EventKind
    reason: EventReason
    ordinal: int
    seq: int
    t: float
    people: int


class Visits(msgspec.Struct):
    """The open visits of a session."""

    open: list[Visit] = []
    next_number: int = 1

    @property
    def people(self) -> int:
        """Entered minus exited."""
        return len(self.open)

    def update(self, tracks: Tracks, t: float, settings: TrackerSettings) -> list[Fact]:
        """Apply the rules after a frame at ``t``; return what became certain by it."""
        facts = []
        by_number = {track.number: track for track in tracks.alive}
        for track in tracks.alive:
            if track.visit is None and self._is_there(track, tracks, t, settings):
                returned = self._explained_by(track, by_number, tracks.aspect)
                if returned is not None:
                    self._take_over(returned, track, tracks)
                else:
                    facts.append(self._enter(track, settings))
        by_number = {track.number: track for track in tracks.alive}
        for visit in list(self.open):
            track = by_number[visit.track]
            visit.last_seq, visit.last_t = track.last_seq, track.last_t
            unseen_s = t - track.last_t
            if unseen_s <= 0:
                _move(visit, State.PRESENT)
                continue
            _move(visit, State.HIDDEN)
            at_border = touches_border(track, tracks.aspect)
            patience = settings.exit_after_s if at_border else settings.hidden_after_s
            if unseen_s >= patience:
                facts.append(self._exit(visit, "left_view"))
                tracks.alive = [other for other in tracks.alive if other.number != visit.track]
        return facts

    def end(self, tracks: Tracks, t: float) -> list[Fact]:
        """Close all visits: the source ended at ``t``."""
        by_number = {track.number: track for track in tracks.alive}
        facts = []
        for visit in list(self.open):
            track = by_number[visit.track]
            gone = t - track.last_t > _JUST_SEEN_S and touches_border(track, tracks.aspect)
            facts.append(self._exit(visit, "left_view" if gone else "source_ended"))
        return facts

    def _is_there(self, track: Track, tracks: Tracks, t: float, settings: TrackerSettings) -> bool:
        if track.last_t < t or t - track.first_t < settings.enter_after_s:
            return False
        if track.sure_sightings < 2 or track.sightings < _LEAST_SEEN_SHARE * track.frames:
            return False
        # A box inside of somebody's box without a skeleton of its own is a part of them.
        return bool(track.points) or not any(
            other.visit is not None
            and other.last_t == t
            and inside_share(track.box, other.box) > _WITHIN
            for other in tracks.alive
        )

    def _explained_by(self, new: Track, tracks: dict[int, Track], aspect: float) -> Visit | None:
        """Return the visit out of sight that ``new`` continues, None for a new person."""
        best: tuple[float, Visit] | None = None
        for visit in self.open:
            old = tracks[visit.track]
            gap = new.first_t - old.last_t
            if gap < 0 or new.last_t == old.last_t:
                continue
            at_border = touches_border(old, aspect) or _at_border(new.first_box, aspect)
            if at_border and gap > _BORDER_RETURN_S:
                continue
            size = np.array(new.first_box[2:]) / np.maximum(old.box[2:], 1e-6)
            if not any(_RETURN_SIZE <= ratio <= 1 / _RETURN_SIZE for ratio in size):
                continue
            reach = old.box[3] * min(_RETURN_NEAR + _RETURN_SPEED * gap, _RETURN_FARTHEST)
            away = float(np.hypot(*(np.array(new.first_box[:2]) - np.array(old.box[:2]))))
            if away <= reach and (best is None or away / reach < best[0]):
                best = (away / reach, visit)
        return None if best is None else best[1]

    def _take_over(self, visit: Visit, new: Track, tracks: Tracks) -> None:
        tracks.alive = [track for track in tracks.alive if track.number != visit.track]
        new.visit = visit.number
        visit.track = new.number

    def _enter(self, track: Track, settings: TrackerSettings) -> Fact:
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
        at_start = track.first_t <= settings.start_grace_s
        reason: EventReason = "in_view_at_start" if at_start else "walked_in"
        return self._fact(visit, "entered", reason, visit.first_seq, visit.first_t)

    def _exit(self, visit: Visit, reason: EventReason) -> Fact:
        _move(visit, State.GONE)
        self.open.remove(visit)
        return self._fact(visit, "exited", reason, visit.last_seq, visit.last_t)

    def _fact(self, visit: Visit, kind: EventKind, reason: EventReason, seq: int, t: float) -> Fact:
        ordinal = visit.ordinals.get(kind, 0)
        visit.ordinals = {**visit.ordinals, kind: ordinal + 1}
        return Fact(visit, kind, reason, ordinal, seq, t, self.people)


def _move(visit: Visit, to: State) -> None:
    if to is visit.state:
        return
    if to not in MOVES[visit.state]:
        raise ValueError(f"visit {visit.number} cannot go from {visit.state} to {to}")
    visit.state = to


def touches_border(track: Track, aspect: float) -> bool:
    """Whether the person was last seen at a side of the picture, in part outside perhaps."""
    return _at_border(track.box, aspect)


def _at_border(box: list[float], aspect: float) -> bool:
    cx, top, width, height = box
    return (
        cx - width / 2 <= _BORDER * aspect
        or cx + width / 2 >= (1 - _BORDER) * aspect
        or top <= _BORDER
        or top + height >= 1 - _BORDER
    )
