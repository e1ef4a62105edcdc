"""Each cause is told once, and the log is never flooded nor silent for ever."""

from __future__ import annotations

from posewire.shared.causes import Causes


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_cause_is_told_once_and_again_while_it_goes_on() -> None:
    clock = Clock()
    causes = Causes(clock)
    assert causes.due("door", "no picture: 17 bytes") == 1
    assert [causes.due("door", f"no picture: {n} bytes") for n in range(100)] == [0] * 100
    assert causes.due("hall", "no picture: 17 bytes") == 1
    clock.now += 601
    assert causes.due("door", "no picture: 3 bytes") == 101


def test_ever_new_causes_neither_flood_the_log_nor_silence_it() -> None:
    """A thousand lines, and then nothing ever: that was the old way."""
    clock = Clock()
    causes = Causes(clock)
    lines = 0
    for n in range(10_000):
        clock.now += 0.01
        lines += causes.due("door", "a" * (n % 5000)) > 0
    assert 20 <= lines <= 20 + 100 / 60 * 20 + 1
    clock.now += 60
    assert causes.due("door", "something else") == 1
    assert len(causes._told) <= 256
