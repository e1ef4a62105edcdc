"""What the soak takes for steady."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.soak import Sample, judge, table


def samples(
    own: Callable[[int], float], handles: Callable[[int], int] = lambda _n: 40, pid: int = 7
) -> list[Sample]:
    return [Sample(n * 5.0, pid, int(own(n) * 2), int(own(n)), handles(n)) for n in range(120)]


@pytest.mark.parametrize(
    ("found", "ok"),
    [
        pytest.param(samples(lambda _n: 1e8), True, id="flat"),
        pytest.param(samples(lambda n: 1e8 + n % 7 * 1e6), True, id="noise"),
        pytest.param(samples(lambda n: 1e8 + n * 1e4), True, id="less than 2 %"),
        pytest.param(samples(lambda n: 1e8 + n * 3e4), False, id="more than 2 %"),
        pytest.param(samples(lambda _n: 1e8, lambda n: 40 + n // 30), False, id="handles"),
        pytest.param(samples(lambda _n: 1e8, lambda n: 40 + n % 2), True, id="a passing handle"),
        pytest.param(
            samples(lambda _n: 1e8)[:60] + samples(lambda _n: 1e8, pid=8)[60:], False, id="restart"
        ),
    ],
)
def test_what_is_steady(found: list[Sample], ok: bool) -> None:
    finding = judge("tracker", found)
    assert finding.ok is ok
    assert ("not steady" in table([finding])) is not ok
