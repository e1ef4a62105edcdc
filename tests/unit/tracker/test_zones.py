"""Zones, lines and masks: who is in, who crosses, and who only sways."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from posewire.shared.messages import PoseResult
from posewire.shared.settings import Areas, TrackerSettings
from posewire.shared.skeleton import INDEX, KEYPOINTS
from posewire.tracker.tracking import CameraTracker
from posewire.tracker.zones import Borders, Crossing, Step, Whereabouts, depth_in, feet, leave
from tests.unit.tracker.scenes import (
    Camera,
    Scene,
    Walker,
    end_of,
    events_of,
    results,
    stand,
    walk,
)

SQUARE = [[0.25, 0.2], [0.75, 0.2], [0.75, 0.8], [0.25, 0.8]]


def areas(**kinds: Any) -> Areas:
    return Areas.model_validate(kinds)


def follow(borders: Borders, places: list[tuple[float, float]], fps: float = 10) -> list[Crossing]:
    """Return what is certain of somebody, one picture height tall, at these places."""
    where, found = Whereabouts(), []
    for seq, (x, y) in enumerate(places):
        found += borders.follow(where, [Step(seq, seq / fps, x, y, 1.0)])
    return [*found, *leave(where, len(places) - 1, (len(places) - 1) / fps)]


@pytest.mark.parametrize(
    ("x", "y", "depth"),
    [
        (0.5, 0.5, 0.25), (0.3, 0.5, 0.05), (0.2, 0.5, -0.05), (0.5, 0.0, -0.2),
        (0.75 + 0.3, 0.8 + 0.4, -0.5),
    ],
)  # fmt: skip
def test_depth_in_a_square(x: float, y: float, depth: float) -> None:
    assert depth_in([tuple(p) for p in SQUARE], x, y) == pytest.approx(depth)  # type: ignore[misc]


@given(st.floats(0, 2 * math.pi), st.floats(0, 2), st.integers(3, 12))
def test_depth_in_a_polygon_has_the_sign_of_inside(
    angle: float, radius: float, corners: int
) -> None:
    polygon = [
        (math.cos(2 * math.pi * i / corners), math.sin(2 * math.pi * i / corners))
        for i in range(corners)
    ]
    inner = math.cos(math.pi / corners)
    depth = depth_in(polygon, radius * math.cos(angle), radius * math.sin(angle))
    if radius < inner - 1e-9:
        assert depth > 0
    if radius > 1 + 1e-9:
        assert depth < 0
    assert abs(depth) <= abs(radius - inner) + abs(1 - inner) + 1e-9


def test_feet_are_between_the_ankles_else_below_the_box() -> None:
    points = [(0.0, 0.0, 0.0)] * len(KEYPOINTS)
    assert feet((0.2, 0.1, 0.4, 0.9), ()) == pytest.approx((0.3, 0.9))
    points[INDEX["r_ankle"]] = (0.25, 0.8, 0.9)
    assert feet((0.2, 0.1, 0.4, 0.9), points) == pytest.approx((0.3, 0.9))
    points[INDEX["l_ankle"]] = (0.35, 0.82, 0.9)
    assert feet((0.2, 0.1, 0.4, 0.9), points) == pytest.approx((0.3, 0.81))


def test_a_stay_in_a_zone_is_stamped_with_its_border() -> None:
    borders = Borders(areas(zones={"shop": {"points": SQUARE, "dwell_s": [1, 2]}}), 1.0)
    places = [(0.02 * i, 0.5) for i in range(51)]
    events = follow(borders, places)
    assert [(e.kind, e.zone, e.seq) for e in events] == [
        ("zone_entered", "shop", 13), ("dwelled", "shop", 23), ("dwelled", "shop", 33),
        ("zone_exited", "shop", 37),
    ]  # fmt: skip
    assert [e.seconds for e in events] == [None, 1, 2, pytest.approx(2.4)]


def test_swaying_on_a_zones_border_is_nothing() -> None:
    borders = Borders(areas(zones={"shop": {"points": SQUARE}}), 1.0)
    outside = [(0.1, 0.5)] + [(0.25 + 0.02 * (-1) ** i, 0.5) for i in range(50)] + [(0.1, 0.5)]
    assert follow(borders, outside) == []
    inside = [(0.5, 0.5)] + [(0.25 + 0.02 * (-1) ** i, 0.5) for i in range(50)] + [(0.5, 0.5)]
    assert [e.kind for e in follow(borders, inside)] == ["zone_entered", "zone_exited"]


def test_who_stands_just_inside_is_in_after_a_while() -> None:
    borders = Borders(areas(zones={"shop": {"points": SQUARE}}), 1.0)
    events = follow(borders, [(0.1, 0.5)] + [(0.27, 0.5)] * 20)
    assert [(e.kind, e.seq) for e in events] == [("zone_entered", 1), ("zone_exited", 20)]


def line(**more: Any) -> Borders:
    gate = {"points": [[0.2, 0.5], [0.8, 0.5]], **more}
    return Borders(areas(lines={"gate": gate}), 1.0)


def test_a_line_is_crossed_once_whichever_way() -> None:
    down = [(0.5, 0.1 + 0.02 * i) for i in range(40)]
    assert [(e.kind, e.direction, e.seq) for e in follow(line(), down)] == [
        ("line_crossed", "out", 21)
    ]
    (back,) = follow(line(directions=["up", "down"]), down[::-1])
    assert (back.zone, back.direction) == ("gate", "up")


def test_swaying_on_a_line_counts_once() -> None:
    to_and_fro = [(0.5, 0.3)] + [(0.5, 0.5 + 0.05 * (-1) ** i) for i in range(31)]
    assert follow(line(), to_and_fro) == []
    (crossed,) = follow(line(), [*to_and_fro, (0.5, 0.7)])
    assert crossed.direction == "out"
    assert follow(line(), [*to_and_fro, (0.5, 0.3)]) == []


def test_who_walks_around_the_end_of_a_line_has_not_crossed_it() -> None:
    around = [(0.5, 0.3), (0.9, 0.3), (0.9, 0.7), (0.5, 0.7)]
    assert follow(line(), around) == []
    assert [e.direction for e in follow(line(), [*around, (0.5, 0.3)])] == ["in"]


def test_who_was_hidden_while_crossing_has_crossed() -> None:
    assert [e.direction for e in follow(line(), [(0.5, 0.2), (0.5, 0.8)])] == ["out"]


def test_events_of_a_zone_lie_within_the_visit() -> None:
    zone = areas(zones={"left": {"points": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}})
    events = events_of(results([walk(1, -0.1, 1.1)], 12), areas=zone)
    assert [e.kind for e in events] == ["entered", "zone_entered", "zone_exited", "exited"]
    entered, zone_in, zone_out, exited = events
    assert zone_in.t >= entered.t
    assert zone_out.t == pytest.approx(4.0, abs=0.2)
    assert zone_out.seconds == pytest.approx(zone_out.t - zone_in.t)
    assert {e.people for e in events[:3]} == {1}
    assert exited.seconds == pytest.approx(exited.t - entered.t)


def test_steps_before_the_visit_was_certain_count() -> None:
    # Over the line within half a second, long before anybody is sure of a person.
    gate = areas(lines={"gate": {"points": [[0.1, 0], [0.1, 1]]}})
    events = events_of(results([walk(1, -0.1, 1.1, speed=0.4)], 8), areas=gate)
    assert [e.kind for e in events] == ["entered", "line_crossed", "exited"]


def test_who_is_lost_in_a_zone_left_it_with_the_last_sight() -> None:
    zone = areas(zones={"left": {"points": [[0, 0], [0.6, 0], [0.6, 1], [0, 1]]}})
    events = events_of(results([stand(0.4, 0, 3)], 9), areas=zone)
    assert [e.kind for e in events] == ["entered", "zone_entered", "zone_exited", "exited"]
    assert events[2].t == events[3].t == pytest.approx(3.0)


def test_other_zones_are_in_force_at_once() -> None:
    frames = results([stand(0.4)], 6)
    tracker = CameraTracker(TrackerSettings(), "door")
    events = [e for f in frames[:20] for e in tracker.update(f).events]
    whole = [[0, 0], [1, 0], [1, 1], [0, 1]]
    tracker.areas = areas(zones={"hall": {"points": whole}})
    update = tracker.update(frames[20])
    assert [(e.kind, e.zone) for e in update.events] == [("zone_entered", "hall")]
    assert update.zones == {"hall": 1}
    assert update.persons[0].zones == ("hall",)
    tracker.areas = areas()
    update = tracker.update(frames[21])
    assert [(e.kind, e.zone) for e in update.events] == [("zone_exited", "hall")]
    assert update.zones == {}
    rest = [e for f in frames[22:] for e in tracker.update(f).events] + [
        *tracker.end(end_of(frames))
    ]
    assert [e.kind for e in [*events, *rest]] == ["entered", "exited"]


def test_masked_people_do_not_exist() -> None:
    poster = areas(masks={"poster": {"points": [[0.3, 0.7], [0.5, 0.7], [0.5, 0.9], [0.3, 0.9]]}})
    frames = results([stand(0.4), stand(0.7)], 4)
    assert [e.visit for e in events_of(frames, areas=poster)] == [1, 1]
    assert len(events_of(frames)) == 4


def test_people_in_zones_are_counted() -> None:
    zones = areas(
        zones={
            "left": {"points": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]},
            "right": {"points": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]},
        }
    )
    tracker = CameraTracker(TrackerSettings(), "door", zones)
    updates = [tracker.update(f) for f in results([stand(0.2), stand(0.35), stand(0.8)], 2)]
    assert updates[-1].zones == {"left": 2, "right": 1}


def test_crossings_do_not_depend_on_the_frame_rate() -> None:
    gate = areas(lines={"gate": {"points": [[0.5, 0.2], [0.5, 1.0]]}})
    walkers = [Walker(0.5, 0.3, dress=0), Walker(1.0, -0.25, feet=0.95, dress=1)]
    for fps in (5.0, 10.0, 30.0):
        frames: list[PoseResult] = Scene(walkers, Camera(fps=fps, seed=1, noise=0.02)).results()
        ways = [e.direction for e in events_of(frames, areas=gate) if e.kind == "line_crossed"]
        assert sorted(map(str, ways)) == ["in", "out"], fps


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"zones": {"a": {"points": [[0, 0], [1, 1]]}}}, "at least 3 items"),
        ({"zones": {"a": {"points": [[0, 0], [1, 0], [1, 2]]}}}, "less than or equal to 1"),
        ({"zones": {"a": {"points": [[0, 0], [0.5, 0.5], [1, 1]]}}}, "enclose next to nothing"),
        ({"zones": {"a": {"points": [[0, 0], [1, 1], [1, 0], [0, 0.9]]}}}, "sides 1 and 3 do"),
        ({"zones": {"a/b": {"points": SQUARE}}}, "should match pattern"),
        ({"zones": {"a": {"points": SQUARE, "dwell": [3]}}}, "Extra inputs"),
        ({"zones": {"a": {"points": SQUARE, "dwell_s": [0]}}}, "greater than 0"),
        ({"lines": {"a": {"points": [[0.5, 0.5], [0.5, 0.5]]}}}, "two ends apart"),
        (
            {"lines": {"a": {"points": [[0, 0], [1, 1]], "directions": ["x", "x"]}}},
            "both directions are called 'x'",
        ),
        (
            {"zones": {"a": {"points": SQUARE}}, "lines": {"a": {"points": [[0, 0], [1, 1]]}}},
            "'a' is the name of a zone and of a line",
        ),
    ],
)
def test_areas_that_make_no_sense_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Areas.model_validate(wrong)
