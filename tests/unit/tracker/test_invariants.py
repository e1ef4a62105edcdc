"""What always holds, whatever people and detector do; hypothesis looks for the worst."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from services.tracker.tracking import CameraTracker
from shared.messages import PoseResult
from shared.settings import TrackerSettings
from tests.unit.tracker.scenes import end_of, events_of, header, person

people = st.builds(
    person,
    st.floats(0.0, 1.0),
    st.sampled_from([0.1, 0.3, 0.45]),
    st.floats(0.2, 1.0),
    st.sampled_from([0.3, 0.5]),
)


@st.composite
def scenes(draw: st.DrawFn) -> list[PoseResult]:
    """People who stay, jump, vanish and come back as detectors let them; frames are dropped."""
    frames = draw(st.lists(st.lists(people, max_size=4), min_size=5, max_size=40))
    stay = draw(st.integers(1, 8))
    step = draw(st.sampled_from([1, 2, 5]))
    return [
        PoseResult(frame=header(seq * step), frame_id=f"{seq + 1}-0", persons=tuple(persons))
        for seq, persons in enumerate(p for group in frames for p in [group] * stay)
    ]


@given(scenes())
@settings(max_examples=60)
def test_every_visit_enters_once_and_exits_once(frames: list[PoseResult]) -> None:
    events = events_of(frames)
    entered = Counter(e.visit for e in events if e.kind == "entered")
    exited = Counter(e.visit for e in events if e.kind == "exited")
    assert entered == exited
    assert set(entered.values()) <= {1}
    assert len({e.id for e in events}) == len(events)
    people_now = 0
    for event in events:
        people_now += 1 if event.kind == "entered" else -1
        assert event.people == people_now >= 0
    first = {e.visit: e for e in events if e.kind == "entered"}
    assert all(first[e.visit].t <= e.t for e in events)


@given(scenes(), st.data())
@settings(max_examples=40)
def test_a_tracker_restored_anywhere_goes_on_the_same(
    frames: list[PoseResult], data: st.DataObject
) -> None:
    rules = TrackerSettings()
    whole = CameraTracker(rules, "door")
    expected = [whole.update(frame) for frame in frames]
    cuts = data.draw(st.sets(st.integers(0, len(frames) - 1), max_size=5))
    tracker = CameraTracker(rules, "door")
    for index, frame in enumerate(frames):
        if index in cuts:
            tracker = CameraTracker.load(tracker.dump(), rules)
        assert tracker.update(frame) == expected[index]
    assert tracker.end(end_of(frames)) == whole.end(end_of(frames))


@given(scenes())
@settings(max_examples=30)
def test_track_numbers_are_never_used_again(frames: list[PoseResult]) -> None:
    tracker = CameraTracker(TrackerSettings(), "door")
    seen: dict[int, int] = {}
    for frame in frames:
        update = tracker.update(frame)
        numbers = [p.track for p in update.persons]
        assert len(set(numbers)) == len(numbers)
        for number in numbers:
            last = seen.get(number)
            # A number that was out of sight for longer than a lost track is kept is not reused.
            assert last is None or frame.frame.t - frames[last].frame.t <= 3.0
            seen[number] = next(i for i, f in enumerate(frames) if f is frame)
