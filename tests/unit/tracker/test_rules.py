"""The rules of visits: who has come, who has left, and who has done neither."""

from __future__ import annotations

import pytest

from posewire.shared.errors import StoreError
from posewire.shared.messages import Person
from posewire.shared.settings import TrackerSettings
from posewire.tracker.tracking import CameraTracker
from posewire.tracker.visits import MOVES, State
from tests.unit.tracker.scenes import (
    FPS,
    Camera,
    Path,
    Scene,
    Walker,
    end_of,
    events_of,
    header,
    person,
    results,
    stand,
    walk,
)


def kinds(people: list[Path], seconds: float) -> list[tuple[str, str | None, int]]:
    return [(e.kind, e.reason, e.visit) for e in events_of(results(people, seconds))]


def test_somebody_walks_through() -> None:
    events = events_of(results([walk(1, -0.1, 1.1)], 12))
    assert [(e.kind, e.reason) for e in events] == [
        ("entered", "walked_in"),
        ("exited", "left_view"),
    ]
    entered, exited = events
    # When they crossed the border, not when that was certain, nor when they were seen first.
    assert entered.t == pytest.approx(1.25, abs=0.11)
    assert exited.t == pytest.approx(6.75, abs=0.11)
    assert 0.5 <= entered.confirmed_at - entered.occurred_at <= 1.0
    assert 1.4 <= exited.confirmed_at - exited.occurred_at <= 1.8
    assert (entered.people, exited.people) == (1, 0)
    assert entered.occurred_at == pytest.approx(1000 + entered.t)


def test_who_is_there_at_the_start_was_in_view() -> None:
    assert kinds([stand(0.5)], 3) == [
        ("entered", "in_view_at_start", 1),
        ("exited", "source_ended", 1),
    ]


def test_who_flits_by_is_nobody() -> None:
    assert kinds([stand(0.5, 1.0, 1.3)], 4) == []


def test_unsure_detections_alone_are_nobody() -> None:
    frames = results([], 4)
    ghosts = [
        type(f)(frame=f.frame, frame_id=f.frame_id, persons=(person(0.5, 0.3, score=0.3),))
        for f in frames
    ]
    assert events_of(ghosts) == []


def test_unsure_sightings_extend_a_visit() -> None:
    frames = results([stand(0.5, 1.0, 3.0)], 8)
    weak = dict.fromkeys(range(5, 10), 0.3) | dict.fromkeys(range(31, 36), 0.3)
    shown = [
        type(f)(frame=f.frame, frame_id=f.frame_id, persons=(person(0.5, 0.3, weak[f.frame.seq]),))
        if f.frame.seq in weak
        else f
        for f in frames
    ]
    entered, exited = events_of(shown)
    # A weak box alone begins nobody in the middle of the picture, but it goes on with somebody.
    assert (entered.seq, exited.seq) == (10, 35)


def test_who_comes_in_over_the_border_may_be_unsure_at_first() -> None:
    frames = results([walk(1, 0.03, 0.6)], 3)
    shown = [
        type(f)(
            frame=f.frame,
            frame_id=f.frame_id,
            persons=tuple(Person(box=p.box, score=0.3) for p in f.persons),
        )
        if f.frame.seq < 14
        else f
        for f in frames
    ]
    assert events_of(shown)[0].seq <= 11


def test_boxes_of_middling_score_count_in_the_end() -> None:
    frames = results([stand(0.5, 1.0)], 6)
    shown = [
        type(f)(
            frame=f.frame,
            frame_id=f.frame_id,
            persons=tuple(Person(box=p.box, score=0.7) for p in f.persons),
        )
        for f in frames
    ]
    entered = events_of(shown)[0]
    assert entered.seq == 10
    assert entered.confirmed_at - entered.occurred_at == pytest.approx(1.8, abs=0.21)


def test_who_goes_behind_a_pillar_and_on_is_the_same() -> None:
    def walker(t: float) -> tuple[float, float] | None:
        x = 0.1 + 0.15 * t
        return None if 0.35 < x < 0.65 else (x, 0.3)

    assert [kind for kind, _reason, _visit in kinds([walker], 6)] == ["entered", "exited"]


def test_who_leaves_where_another_comes_in_is_told_by_the_clothes() -> None:
    scene = Scene(
        [Walker(0.5, 0.4, dress=0), Walker(4.0, -0.4, dress=1)],
        Camera(noise=0.0, misses=0.0, ghosts=0.0),
    )
    events = events_of(scene.results())
    assert [(e.kind, e.visit) for e in events] == [
        ("entered", 1), ("entered", 2), ("exited", 1), ("exited", 2),
    ]  # fmt: skip


def test_nobody_is_let_go_while_a_new_track_may_be_them() -> None:
    # Back in sight just before hidden_after_s, but not yet long enough to be sure of.
    def hidden(t: float) -> tuple[float, float] | None:
        return None if 3 < t < 6.8 else (0.5, 0.3)

    assert [kind for kind, _reason, _visit in kinds([hidden], 10)] == ["entered", "exited"]


def test_a_short_absence_in_the_middle_is_no_exit() -> None:
    def hidden(t: float) -> tuple[float, float] | None:
        return None if 3 < t < 5 else (0.5, 0.3)

    assert [kind for kind, _reason, _visit in kinds([hidden], 8)] == ["entered", "exited"]


def test_a_long_absence_is_an_exit_and_another_visit() -> None:
    def away(t: float) -> tuple[float, float] | None:
        return None if 3 < t < 11 else (0.5, 0.3)

    assert [(kind, visit) for kind, _reason, visit in kinds([away], 14)] == [
        ("entered", 1), ("exited", 1), ("entered", 2), ("exited", 2),
    ]  # fmt: skip


def test_who_hides_their_legs_stays_the_same() -> None:
    frames = results([stand(0.5)], 6)
    cut = []
    for f in frames:
        (whole,) = f.persons
        x0, y0, x1, y1 = whole.box
        behind = Person(box=(x0, y0, x1, y0 + 0.45 * (y1 - y0)), score=whole.score)
        shown = behind if 2 < f.frame.t < 4 else whole
        cut.append(type(f)(frame=f.frame, frame_id=f.frame_id, persons=(shown,)))
    tracker = CameraTracker(TrackerSettings(), "door")
    tracks = {p.track for f in cut for p in tracker.update(f).persons}
    assert tracks == {1}


def test_two_who_cross_stay_two() -> None:
    events = events_of(results([walk(1, -0.1, 1.1, top=0.25), walk(1, 1.1, -0.1, top=0.4)], 12))
    assert [e.kind for e in events] == ["entered", "entered", "exited", "exited"]
    assert max(e.people for e in events) == 2


def test_swaying_at_the_border_counts_once() -> None:
    def swaying(t: float) -> tuple[float, float] | None:
        return (0.02 if int(t * 2) % 2 else -0.2, 0.3) if 1 < t < 6 else None

    counted = [kind for kind, _reason, _visit in kinds([swaying], 10)]
    assert counted in ([], ["entered", "exited"])


@pytest.mark.parametrize("fps", [5.0, 10.0, 30.0])
def test_frame_rate_does_not_change_what_counts(fps: float) -> None:
    frames = results([walk(1, -0.1, 1.1), stand(0.5, 2.0, 4.0, top=0.1)], 12, fps=fps)
    events = events_of(frames)
    assert [e.kind for e in events].count("entered") == 2
    assert [e.kind for e in events].count("exited") == 2


def test_another_session_ends_the_one_before() -> None:
    tracker = CameraTracker(TrackerSettings(), "door")
    for frame in results([stand(0.5)], 2):
        tracker.update(frame)
    (event,) = tracker.update(results([], 1, session="next")[0]).events
    assert (event.kind, event.reason, event.session) == ("exited", "source_ended", "s")
    assert tracker.people == 0


def test_the_end_of_another_session_is_ignored() -> None:
    tracker = CameraTracker(TrackerSettings(), "door")
    frames = results([stand(0.5)], 2)
    for frame in frames:
        tracker.update(frame)
    assert tracker.end(end_of(results([], 1, session="other"))) == ()
    assert tracker.people == 1


def test_a_frame_that_could_not_be_examined_is_no_absence() -> None:
    tracker = CameraTracker(TrackerSettings(exit_after_s=0.1, hidden_after_s=0.1), "door")
    frames = results([stand(0.5)], 4)
    broken = [
        type(f)(frame=f.frame, frame_id=f.frame_id, error="broken") if f.frame.seq >= 20 else f
        for f in frames
    ]
    assert [e.kind for f in broken for e in tracker.update(f).events] == ["entered"]


def test_ids_are_the_same_in_every_run_and_differ_between_sessions() -> None:
    scene = [walk(1, -0.1, 1.1)]
    first = [e.id for e in events_of(results(scene, 10))]
    assert first == [e.id for e in events_of(results(scene, 10))]
    assert not set(first) & {e.id for e in events_of(results(scene, 10, session="other"))}


def test_moves_are_closed() -> None:
    assert set(MOVES) == set(State)
    assert MOVES[State.GONE] == frozenset()


def test_damaged_state_is_refused() -> None:
    with pytest.raises(StoreError, match="saved state cannot be read"):
        CameraTracker.load(b"junk", TrackerSettings())


def test_persons_carry_track_visit_and_dwell() -> None:
    tracker = CameraTracker(TrackerSettings(), "door")
    updates = [tracker.update(f) for f in results([stand(0.5)], 3)]
    assert updates[0].persons[0].visit is None
    last = updates[-1].persons[0]
    assert (last.track, last.visit) == (1, 1)
    assert last.dwell_s == pytest.approx(2.9)
    assert updates[-1].people == 1
    assert header(29).t == pytest.approx(29 / FPS)
