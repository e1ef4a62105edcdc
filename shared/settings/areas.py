"""Zones, lines and masks: parts of a camera's picture that mean something.

Points are [x, y], relative to width and height, origin top left. Where a person is, is where their
feet are: between the ankles, else the bottom middle of their box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from posewire.shared.settings._base import Section

_Share = Annotated[float, Field(ge=0, le=1)]
Point = tuple[_Share, _Share]
AreaName = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f/]{1,64}$")
]
_LEAST_AREA = 1e-4
_LEAST_LENGTH = 0.01
_MOST = 64


def _polygon(points: tuple[Point, ...]) -> tuple[Point, ...]:
    pairs = list(zip(points, points[1:] + points[:1], strict=True))
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs) / 2
    if abs(area) < _LEAST_AREA:
        raise ValueError("expected a polygon; these points enclose next to nothing")
    for i, (a, b) in enumerate(pairs):
        for j, (c, d) in enumerate(pairs[:i]):
            neighbours = i - j in (1, len(pairs) - 1)
            if not neighbours and _cross(a, b, c, d):
                raise ValueError(
                    f"expected a polygon whose sides do not cross; sides {j + 1} and {i + 1} do"
                )
    return points


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the segments a-b and c-d cross."""

    def turn(p: Sequence[float], q: Sequence[float], r: Sequence[float]) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0


Polygon = Annotated[
    tuple[Point, ...],
    Field(
        min_length=3,
        max_length=64,
        description="Corners in order, [x, y] relative to width and height; the last one is "
        "joined to the first.",
        examples=[[[0.1, 0.5], [0.4, 0.5], [0.4, 0.95], [0.1, 0.95]]],
    ),
    AfterValidator(_polygon),
]


class ZoneSettings(Section):
    """A part of the floor: who steps on it, who leaves it, who stays."""

    points: Polygon
    dwell_s: tuple[Annotated[float, Field(gt=0, le=86_400)], ...] = Field(
        (),
        max_length=8,
        description="A person who has stayed for so many seconds makes a 'dwelled' event, once a "
        "stay for each number.",
        examples=[[10, 60]],
    )


class LineSettings(Section):
    """A line on the floor: who crosses it, and which way.

    Standing at the first end and looking towards the second, the first direction is over to your
    left, as seen on the picture:

                 in (first)
                    ▲
        points[0] ──┼──▶ points[1]
                    │
                 out (second)
    """

    points: tuple[Point, Point] = Field(
        description="Both ends, [x, y] relative to width and height.",
        examples=[[[0.1, 0.8], [0.9, 0.8]]],
    )
    directions: tuple[AreaName, AreaName] = Field(
        ("in", "out"),
        description="Names of the two ways across. Looking from the first end to the second on "
        "the picture, the first name is for those who go over to the left, the second to the "
        "right.",
    )

    @model_validator(mode="after")
    def _is_a_line(self) -> LineSettings:
        (x0, y0), (x1, y1) = self.points
        if abs(x1 - x0) + abs(y1 - y0) < _LEAST_LENGTH:
            raise ValueError("expected two ends apart from each other")
        if self.directions[0] == self.directions[1]:
            raise ValueError(f"both directions are called {self.directions[0]!r}")
        return self


class MaskSettings(Section):
    """Where people are ignored: a screen, a poster, a mirror, the neighbours' garden."""

    points: Polygon


class Areas(Section):
    """Zones, lines and masks of one camera."""

    zones: dict[AreaName, ZoneSettings] = Field(
        default_factory=dict,
        max_length=_MOST,
        description="Zones by name: events zone_entered, zone_exited, dwelled.",
    )
    lines: dict[AreaName, LineSettings] = Field(
        default_factory=dict, max_length=_MOST, description="Lines by name: events line_crossed."
    )
    masks: dict[AreaName, MaskSettings] = Field(
        default_factory=dict,
        max_length=_MOST,
        description="Masks by name: people whose feet are in one do not exist.",
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Areas:
        if both := self.zones.keys() & self.lines.keys():
            raise ValueError(
                f"{sorted(both)[0]!r} is the name of a zone and of a line: events could not be "
                "told apart"
            )
        return self
