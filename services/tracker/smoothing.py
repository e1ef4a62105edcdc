"""The One-Euro filter (Casiez, Roussel, Vogel: "1€ Filter", CHI 2012), for all points at once."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_DERIVATIVE_CUTOFF_HZ = 1.0
_PLACE = 4
"""Decimals that are kept of a place, in picture heights: finer than a pixel of any camera,"""
_SPEED = 3
"""and of a speed; the checkpoint is so much the smaller (services/tracker/keeping.py)."""


class OneEuro(msgspec.Struct):
    """Smooths points, shape (n, 2). A point that was missing starts afresh when it is back."""

    values: Array
    """(n, 2), rounded to ``_PLACE`` decimals."""
    speeds: Array
    """(n, 2), rounded to ``_SPEED`` decimals."""
    present: list[bool]

    @classmethod
    def begin(cls, count: int) -> OneEuro:
        """Return a filter for ``count`` points, none of them seen yet."""
        return cls(np.zeros((count, 2)), np.zeros((count, 2)), [False] * count)

    def smooth(
        self,
        points: Array,
        present: npt.NDArray[np.bool_],
        seconds: float,
        *,
        min_cutoff_hz: float,
        beta: float,
        size: float,
    ) -> Array:
        """Return the points smoothed; those not ``present`` come back as they are.

        Args:
            points: shape (n, 2).
            present: shape (n,).
            seconds: since the last call.
            min_cutoff_hz: lower is smoother at rest.
            beta: higher follows fast motion sooner.
            size: the person's height in the unit of the points: speed counts in heights.
        """
        known = np.array(self.present) & present
        values, speeds = self.values, self.speeds
        if seconds > 0 and known.any():
            speed = (points - values) / seconds
            speeds = speeds + _share(seconds, _DERIVATIVE_CUTOFF_HZ) * (speed - speeds)
            pace = np.hypot(speeds[:, 0], speeds[:, 1]) / max(size, 1e-6)
            share = _share(seconds, min_cutoff_hz + beta * pace)[:, None]
            smoothed = values + share * (points - values)
        else:
            smoothed = values
        result = np.where(known[:, None], smoothed, points)
        self.values = np.where(present[:, None], result, 0.0).round(_PLACE) + 0.0
        self.speeds = np.where(known[:, None], speeds, 0.0).round(_SPEED) + 0.0
        self.present = present.tolist()
        return result


def _share(seconds: float, cutoff_hz: Array | float) -> Array:
    """Weight of the newest value in a low-pass filter with this cut-off."""
    time_constant = 1 / (2 * np.pi * np.asarray(cutoff_hz, dtype=np.float64))
    return np.asarray(1 / (1 + time_constant / seconds))
