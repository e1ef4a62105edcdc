"""Tracks: people followed from frame to frame.

Detections are assigned in two stages as in ByteTrack (Zhang et al., ECCV 2022): sure ones first,
then the unsure ones to the tracks that are left and were seen just now.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from posewire.shared.messages import Box, Person
from posewire.shared.settings import TrackerSettings
from posewire.shared.skeleton import KEYPOINTS, SURE_POINT
from posewire.tracker import motion
from posewire.tracker.association import (
    NO_POINTS,
    Detections,
    Expected,
    assign,
    detections,
    similarity,
)
from posewire.tracker.entrances import MOST_S, WINDOW_S
from posewire.tracker.geometry import Array, corner_form, head_form, inside_share, iou
from posewire.tracker.motion import Motion
from posewire.tracker.smoothing import OneEuro
from posewire.tracker.zones import Borders, Step

_LEAST_SURE = 0.18
"""Worth from which a sure detection continues a track."""
_LEAST_UNSURE = 0.35
"""The same for an unsure one, which has to lie where the track is expected."""
_UNSURE_WITHIN_S = 0.5
"""Unsure detections continue only tracks seen this recently."""
_SURE_WITHIN_S = 1.0
"""After this, where a hidden person would be is a guess: new tracks are compared with them."""
_TENTATIVE_GAP_S = 0.35
"""A track that is nobody's visit yet and unseen for this long was noise."""
_BOX_SEED_SCORE = 0.5
"""A box alone begins a track only if it is as sure as this: lamp posts have no skeleton. At the
picture's border, neither have people."""
_SAME_PERSON_IOU = 0.7
"""An unmatched detection that overlaps a matched one this much is a double."""
_PART_OF_PERSON = 0.8
"""A box without a skeleton, this much inside of somebody's box, is a part of them."""
_LOOK_S = 1.0
"""Time constant of the mean of somebody's appearance."""
_COVERED = 0.3
"""Somebody this much behind others shows their colours instead of their own."""
_MOST_STEPS = 512
_PLACE = 4
"""Decimals that are kept of places, in picture heights, and of appearances: no camera sees finer,
and the checkpoint is so much the smaller (services/tracker/keeping.py)."""


class Sight(msgspec.Struct, frozen=True):
    """Where somebody was at a time."""

    t: float
    box: Array
    """(4,), [cx, top, w, h]."""


class Moment(msgspec.Struct, frozen=True):
    """A frame and its time."""

    seq: int
    t: float


class Track(msgspec.Struct):
    """One person followed through the frames. Boxes in isotropic units (picture heights)."""

    number: int
    motion: Motion
    smoother: OneEuro
    box: Array
    """Where the person was last seen, (4,), [cx, top, w, h]."""
    velocity: Array
    """Then, (2,), of [cx, top]."""
    first_box: Array
    points: Array
    """The last skeleton, (18, 3): x, y, unsmoothed, and 1 where there is a point; zeros where there
    was none."""
    look: Array
    """Mean appearance, (2, bins); zeros or empty where it is not known."""
    first_seq: int
    first_t: float
    last_seq: int
    last_t: float
    frames: int = 1
    """Frames since it began."""
    sightings: int = 0
    sure_sightings: int = 0
    posed_sightings: int = 0
    evidence: float = 0.0
    """Sum of its sightings' scores as log-odds."""
    visit: int | None = None
    steps: list[Step] = []
    """Where it was, as long as it is nobody's visit."""
    path: list[Sight] = []
    """Its first sights until it is a visit's, then its latest ones."""
    around: list[Moment] = []
    """Frames just before its first sight; of a visit's, those just after its last one."""


class Sighting(msgspec.Struct):
    """What of a track was seen in a frame."""

    track: Track
    person: Person
    box: Box
    """Relative, smoothed."""
    points: Array
    """(18, 3), x, y, score in isotropic units, smoothed; zeros for a box alone."""
    step: Step


class Tracks(msgspec.Struct):
    """All tracks of a session."""

    aspect: float
    """Picture width over height."""
    alive: list[Track] = []
    next_number: int = 1
    t: float | None = None
    continued: dict[int, int] = {}
    """Tracks that turned out in this frame to go on with an earlier one, whose number they take."""
    frames: list[Moment] = []
    """The latest ones, ``MOST_S`` long."""

    def update(
        self,
        persons: Sequence[Person],
        seq: int,
        t: float,
        settings: TrackerSettings,
        borders: Borders,
    ) -> list[Sighting]:
        """Take in a frame's people at ``t`` seconds; return which track each of them is.

        People who are nobody's (unsure, or doubles) are left out, as are those in masks.
        """
        seconds = 0.0 if self.t is None else max(t - self.t, 0.0)
        seen = [track.last_t == self.t for track in self.alive]
        motion.predict([track.motion for track in self.alive], seconds, seen)
        for track in self.alive:
            track.frames += 1
        self.t, self.continued = t, {}
        persons = [p for p in persons if not borders.masked(p.box, p.keypoints)]
        found = self._arrays(persons)
        pairs = self._associate(found, t, seconds, settings)
        for row in self._new(found, pairs, settings):
            pairs[row] = self._begin(found, row, seq, t)
        rows = sorted(pairs)
        old = [row for row in rows if pairs[row].sightings]
        motion.correct([pairs[row].motion for row in old], found.boxes[old], found.scores[old])
        for row in rows:
            self._sight(pairs[row], found, row, seq, t, seconds, settings)
        self._remember(seq, t)
        self.alive = [
            track
            for track in self.alive
            if track.visit is not None or t - track.last_t <= _TENTATIVE_GAP_S
        ]
        return [
            self._sighting(pairs[row], found, row, persons[row], seconds, settings, borders)
            for row in rows
        ]

    def _associate(
        self, found: Detections, t: float, seconds: float, settings: TrackerSettings
    ) -> dict[int, Track]:
        """Return which track each matched detection is: {detection: track}."""
        pairs: dict[int, Track] = {}
        sure = np.flatnonzero(found.scores >= settings.high_score)
        rest = np.flatnonzero(found.scores < settings.high_score)
        for rows, least, within_s in (
            (sure, _LEAST_SURE, _SURE_WITHIN_S),
            (rest, _LEAST_UNSURE, _UNSURE_WITHIN_S),
        ):
            taken = {track.number for track in pairs.values()}
            tracks = [
                track
                for track in self.alive
                if track.number not in taken and t - track.last_t <= max(within_s, seconds)
            ]
            if tracks and len(rows):
                worth = similarity(_expected(tracks, t, seconds), found[rows])
                for row, column in assign(worth, least):
                    pairs[int(rows[column])] = tracks[row]
        return pairs

    def _new(
        self, found: Detections, pairs: dict[int, Track], settings: TrackerSettings
    ) -> list[int]:
        """Return the detections that begin a track."""
        easy = found.posed | found.cut
        seeds = np.where(easy, settings.seed_score, max(settings.seed_score, _BOX_SEED_SCORE))
        fresh = [
            row for row in np.flatnonzero(found.scores >= seeds - 1e-9).tolist() if row not in pairs
        ]
        if not fresh or not pairs:
            return fresh
        corners = corner_form(found.boxes)
        taken = corners[list(pairs)]
        double = iou(corners[fresh], taken).max(axis=1) >= _SAME_PERSON_IOU
        part = inside_share(corners[fresh], taken).max(axis=1) >= _PART_OF_PERSON
        return [
            row
            for row, is_double, is_part in zip(fresh, double, part, strict=True)
            if not is_double and (found.posed[row] or not is_part)
        ]

    def _begin(self, found: Detections, row: int, seq: int, t: float) -> Track:
        box = found.boxes[row].round(_PLACE)
        track = Track(
            number=self.next_number,
            motion=Motion.begin(box),
            smoother=OneEuro.begin(len(KEYPOINTS)),
            box=box,
            velocity=np.zeros(2),
            first_box=box,
            points=NO_POINTS,
            look=np.zeros_like(found.looks[row]),
            first_seq=seq,
            first_t=t,
            last_seq=seq,
            last_t=t,
            steps=[],
            path=[],
            around=self.frames,
        )
        self.next_number += 1
        self.alive.append(track)
        return track

    def _sight(
        self,
        track: Track,
        found: Detections,
        row: int,
        seq: int,
        t: float,
        seconds: float,
        settings: TrackerSettings,
    ) -> None:
        """Take in a detection."""
        track.box, track.velocity = found.boxes[row].round(_PLACE), track.motion.velocity.copy()
        posed = bool(found.posed[row])
        if posed:
            points = found.points[row]
            sure = points[:, 2] >= SURE_POINT
            track.points = np.column_stack([points[:, :2].round(_PLACE), sure])
        if found.covered[row] < _COVERED:
            track.look = _mixed(track.look, found.looks[row], seconds)
        score = float(found.scores[row])
        track.last_seq, track.last_t = seq, t
        track.sightings += 1
        track.sure_sightings += score >= settings.high_score
        track.posed_sightings += posed
        track.evidence += _log_odds(score)
        if track.visit is not None:
            track.path = [sight for sight in track.path if t - sight.t <= WINDOW_S]
            track.around = []
        if track.visit is not None or t - track.first_t <= WINDOW_S:
            track.path = [*track.path, Sight(t, track.box)]

    def _remember(self, seq: int, t: float) -> None:
        """Keep the frame, for those who come over the border next, and those who just left."""
        now = Moment(seq, t)
        self.frames = [*(moment for moment in self.frames if t - moment.t < MOST_S), now]
        for track in self.alive:
            if track.visit is not None and 0 < t - track.last_t <= MOST_S + 1e-6:
                track.around = [*track.around, now]

    def _sighting(
        self,
        track: Track,
        found: Detections,
        row: int,
        person: Person,
        seconds: float,
        settings: TrackerSettings,
        borders: Borders,
    ) -> Sighting:
        box, points = person.box, found.points[row]
        if settings.smoothing:
            box = self._relative(track.motion.box)
            if found.posed[row] or any(track.smoother.present):
                points = _smooth(track, points, seconds, settings)
        step = borders.step(track.last_seq, track.last_t, person.box, person.keypoints)
        if track.visit is None:
            track.steps = [*track.steps[-_MOST_STEPS:], step]
        return Sighting(track, person, box, points, step)

    def _arrays(self, persons: Sequence[Person]) -> Detections:
        boxes = np.array([person.box for person in persons], dtype=np.float64).reshape(-1, 4)
        points = np.zeros((len(persons), len(KEYPOINTS), 3))
        for row, person in enumerate(persons):
            if person.keypoints:
                points[row] = person.keypoints
        scale = np.array([self.aspect, 1.0, 1.0])
        return detections(
            head_form(boxes * scale[[0, 1, 0, 1]]), points * scale, persons, self.aspect
        )

    def _relative(self, box: Array) -> Box:
        """Return a [cx, top, w, h] box in relative corners, cut at the picture's border."""
        cx, top, width, height = box.tolist()
        x0, x1 = (min(max((cx + s * width / 2) / self.aspect, 0.0), 1.0) for s in (-1, 1))
        y0, y1 = (min(max(y, 0.0), 1.0) for y in (top, top + height))
        return round(x0, 5), round(y0, 5), round(x1, 5), round(y1, 5)


def _expected(tracks: Sequence[Track], t: float, seconds: float) -> Expected:
    boxes = np.array([track.motion.box for track in tracks])
    last = np.array([track.box[:2] for track in tracks])
    points = np.array([track.points for track in tracks])
    # The last skeletons, where the motion says they should be by now.
    points[:, :, :2] += (boxes[:, :2] - last)[:, None]
    bins = max(track.look.shape[1] for track in tracks)
    none = np.zeros((2, bins))
    return Expected(
        boxes=boxes,
        velocities=np.array([track.motion.velocity for track in tracks]),
        last=last,
        unseen_s=np.array([max(round(t - track.last_t - seconds, 6), 0.0) for track in tracks]),
        # Which way somebody goes who was seen once, and how fast, is not known.
        stride=np.array(
            [math.sqrt(k.motion.covariance[2, 0]) * seconds * (k.sightings == 1) for k in tracks]
        ),
        points=points,
        looks=np.array([t.look if t.look.shape[1] == bins else none for t in tracks]),
    )


def _log_odds(score: float) -> float:
    # No network is as sure as its scores near 0 and 1 say.
    score = min(max(score, 0.02), 0.98)
    return math.log(score / (1 - score))


def _mixed(mean: Array, look: Array, seconds: float) -> Array:
    """Return the mean appearance with a new one taken in; parts that are not known stay."""
    if mean.shape != look.shape or not mean.any():
        return np.asarray(look.round(_PLACE))
    share = 1 - np.exp(-max(seconds, 1e-3) / _LOOK_S)
    known, before = look.any(axis=1, keepdims=True), mean.any(axis=1, keepdims=True)
    mixed = np.where(before, mean + share * (look - mean), look)
    mixed = np.where(known, mixed, mean)
    unit: Array = mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-9)
    return np.asarray(unit.round(_PLACE))


def _smooth(track: Track, points: Array, seconds: float, settings: TrackerSettings) -> Array:
    present = points[:, 2] > 0
    smoothed: Array = points.copy()
    smoothed[:, :2] = track.smoother.smooth(
        points[:, :2],
        present,
        seconds,
        min_cutoff_hz=settings.smoothing_min_cutoff_hz,
        beta=settings.smoothing_beta,
        size=float(track.box[3]),
    )
    return smoothed
