"""Zones and lines: where somebody's feet are, and what they cross.

Both have a border that people sway on. A change of side counts once the feet are a margin beyond
it, or have stayed on the other side for a while; it is stamped with the moment of the border:

    depth │      ╭─ stays inside                     zone_entered
          │     ╱
   margin ┤┄┄┄┄╱┄┄ from here it is certain
          ├───╳────────────────── border ────
          │  ╱ ╰ stamped with the first frame inside
          │╲╱ sways: nothing

A line is crossed where the path between two places that are certain has gone over the segment an
odd number of times; who walks around its end has not crossed it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from posewire.shared.messages import Box, EventKind, Keypoint
from posewire.shared.settings import Areas, LineSettings
from posewire.shared.skeleton import INDEX

_MARGIN = 0.08
"""Feet this far beyond a border, in heights of the person, are beyond it for certain."""
_SETTLED_S = 1.0
"""Who stays on the other side for this long has changed sides, however near they are."""
_ANKLES = (INDEX["r_ankle"], INDEX["l_ankle"])

XY = tuple[float, float]


class Step(msgspec.Struct, frozen=True):
    """Where somebody's feet were in a frame; in picture heights, as is the person's height."""

    seq: int
    t: float
    x: float
    y: float
    height: float


class Stay(msgspec.Struct):
    """What is known of somebody and a zone."""

    inside: bool
    since_seq: int
    since_t: float
    """First frame inside, of this stay."""
    edge_seq: int
    edge_t: float
    """Last frame inside; of somebody outside, the first frame inside that does not count yet."""
    away_t: float | None = None
    """Since when on the other side, uninterruptedly."""
    dwelled: int = 0
    """How many of the zone's times of stay have passed."""


class Passage(msgspec.Struct):
    """What is known of somebody and a line."""

    side: int
    """-1: left of it, looking from its first end to the second; +1: right of it."""
    now: int
    """The side of the last step, however near."""
    over: int = 0
    """Times that the segment was crossed to the right, less those to the left, since ``side``."""
    seq: int = 0
    t: float = 0.0
    """The last time it was crossed."""


class Whereabouts(msgspec.Struct):
    """One visit's zones and lines."""

    stays: dict[str, Stay] = {}
    passages: dict[str, Passage] = {}
    last: Step | None = None

    @property
    def zones(self) -> tuple[str, ...]:
        """Names of the zones that the person is in."""
        return tuple(name for name, stay in self.stays.items() if stay.inside)


class Crossing(msgspec.Struct, frozen=True):
    """Something that happened at a zone or line; ``seconds`` of a stay, where it is about one."""

    kind: EventKind
    zone: str
    seq: int
    t: float
    direction: str | None = None
    seconds: float | None = None


def feet(box: Box, keypoints: Sequence[Keypoint]) -> XY:
    """Return where a person stands, relative: between the ankles, else the box's bottom middle."""
    ankles = [keypoints[i] for i in _ANKLES if keypoints and keypoints[i][2] > 0]
    if len(ankles) == len(_ANKLES):
        return (ankles[0][0] + ankles[1][0]) / 2, (ankles[0][1] + ankles[1][1]) / 2
    return (box[0] + box[2]) / 2, box[3]


def depth_in(points: Sequence[XY], x: float, y: float) -> float:
    """Return the distance of (x, y) to a polygon's border; positive inside, negative outside."""
    inside, nearest = False, math.inf
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            inside = not inside
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        share = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length if length else 0.0
        share = min(max(share, 0.0), 1.0)
        away = math.hypot(x - x0 - share * (x1 - x0), y - y0 - share * (y1 - y0))
        nearest = min(nearest, away)
    return nearest if inside else -nearest


class Borders:
    """The zones, lines and masks of a camera, in the units of its picture."""

    def __init__(self, areas: Areas, aspect: float) -> None:
        """``aspect``: the picture's width over its height."""

        def shape(points: Iterable[XY]) -> list[XY]:
            return [(x * aspect, y) for x, y in points]

        self.aspect = aspect
        self._zones = {n: (shape(z.points), sorted(z.dwell_s)) for n, z in areas.zones.items()}
        self._lines = {n: (shape(line.points), line) for n, line in areas.lines.items()}
        self._masks = [shape(mask.points) for mask in areas.masks.values()]

    @property
    def zones(self) -> tuple[str, ...]:
        """Names of the zones."""
        return tuple(self._zones)

    def masked(self, box: Box, keypoints: Sequence[Keypoint]) -> bool:
        """Whether somebody is to be ignored."""
        if not self._masks:
            return False
        x, y = feet(box, keypoints)
        return any(depth_in(mask, x * self.aspect, y) > 0 for mask in self._masks)

    def step(self, seq: int, t: float, box: Box, keypoints: Sequence[Keypoint]) -> Step:
        """Return where somebody is; ``box`` and ``keypoints`` are relative."""
        x, y = feet(box, keypoints)
        return Step(seq, t, x * self.aspect, y, max(box[3] - box[1], 1e-3))

    def follow(self, where: Whereabouts, steps: Iterable[Step]) -> list[Crossing]:
        """Take in steps of one person; return what is certain by them."""
        if not self._zones and not self._lines and not where.stays:
            return []
        found = self._forget(where)
        for step in steps:
            for name, (points, dwell_s) in self._zones.items():
                found += _stay(where.stays, name, points, dwell_s, step)
            for name, (ends, line) in self._lines.items():
                found += _pass(where, name, ends, line, step)
            where.last = step
        return found

    def _forget(self, where: Whereabouts) -> list[Crossing]:
        """Leave zones and lines that are no more."""
        found = []
        for name in [name for name in where.stays if name not in self._zones]:
            found += _left(name, where.stays[name])
            where.stays = {n: stay for n, stay in where.stays.items() if n != name}
        if any(name not in self._lines for name in where.passages):
            where.passages = {n: p for n, p in where.passages.items() if n in self._lines}
        return found


def leave(where: Whereabouts, seq: int, t: float) -> list[Crossing]:
    """Return the ends of all stays of somebody who was last seen at ``t``."""
    found = []
    for name, stay in where.stays.items():
        if stay.inside and stay.away_t is None:
            stay.edge_seq, stay.edge_t = seq, t
        found += _left(name, stay)
    where.stays = {}
    return found


def _left(name: str, stay: Stay) -> list[Crossing]:
    if not stay.inside:
        return []
    stay.inside = False
    seconds = stay.edge_t - stay.since_t
    return [Crossing("zone_exited", name, stay.edge_seq, stay.edge_t, seconds=seconds)]


def _stay(
    stays: dict[str, Stay], name: str, points: list[XY], dwell_s: Sequence[float], step: Step
) -> list[Crossing]:
    depth = depth_in(points, step.x, step.y) / step.height
    stay = stays.get(name)
    if stay is None:
        stays[name] = Stay(depth > 0, step.seq, step.t, step.seq, step.t)
        return [Crossing("zone_entered", name, step.seq, step.t)] if depth > 0 else []
    if (depth > 0) == stay.inside:
        stay.away_t, stay.edge_seq, stay.edge_t = None, step.seq, step.t
        return _dwelled(name, stay, dwell_s, step) if stay.inside else []
    if stay.away_t is None:
        stay.away_t = step.t
        if not stay.inside:
            stay.edge_seq, stay.edge_t = step.seq, step.t
    if abs(depth) < _MARGIN and step.t - stay.away_t < _SETTLED_S:
        return []
    stay.away_t = None
    if stay.inside:
        return _left(name, stay)
    stay.inside, stay.dwelled = True, 0
    stay.since_seq, stay.since_t = stay.edge_seq, stay.edge_t
    entered = Crossing("zone_entered", name, stay.since_seq, stay.since_t)
    stay.edge_seq, stay.edge_t = step.seq, step.t
    return [entered, *_dwelled(name, stay, dwell_s, step)]


def _dwelled(name: str, stay: Stay, dwell_s: Sequence[float], step: Step) -> list[Crossing]:
    found = []
    for seconds in dwell_s[stay.dwelled :]:
        if step.t - stay.since_t < seconds - 1e-6:
            break
        stay.dwelled += 1
        found.append(Crossing("dwelled", name, step.seq, step.t, seconds=seconds))
    return found


def _pass(
    where: Whereabouts, name: str, ends: list[XY], line: LineSettings, step: Step
) -> list[Crossing]:
    (x0, y0), (x1, y1) = ends
    length = math.hypot(x1 - x0, y1 - y0)
    away = ((x1 - x0) * (step.y - y0) - (y1 - y0) * (step.x - x0)) / length
    side = 1 if away > 0 else -1
    passage = where.passages.get(name)
    if passage is None or where.last is None:
        where.passages[name] = Passage(side, side)
        return []
    if side != passage.now:
        passage.now = side
        if _over(ends, where.last, step):
            passage.over += side
            passage.seq, passage.t = step.seq, step.t
    if side == passage.side or abs(away) < _MARGIN * step.height:
        # Back for certain: how often it went to and fro meanwhile does not matter.
        if side == passage.side and abs(away) >= _MARGIN * step.height:
            passage.over = 0
        return []
    crossed = passage.over * side > 0
    passage.side, passage.over = side, 0
    direction = line.directions[0 if side < 0 else 1]
    return [Crossing("line_crossed", name, passage.seq, passage.t, direction)] if crossed else []


def _over(ends: list[XY], last: Step, step: Step) -> bool:
    """Whether the way from ``last`` to ``step``, which changes sides, leads over the segment."""
    (x0, y0), (x1, y1) = ends
    wx, wy = step.x - last.x, step.y - last.y
    across = wx * (y1 - y0) - wy * (x1 - x0)
    if not across:
        return False
    share = (wx * (last.y - y0) - wy * (last.x - x0)) / across
    return 0 <= share <= 1


def count(zones: Sequence[str], people: Iterable[Whereabouts]) -> Mapping[str, int]:
    """Return how many people are in each zone."""
    found = dict.fromkeys(zones, 0)
    for where in people:
        for name in where.zones:
            if name in found:
                found[name] += 1
    return found
