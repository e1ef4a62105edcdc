"""Skeletons from heatmaps and part affinity fields.

Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", CVPR 2017, for
networks with OpenPose's COCO layout, such as human-pose-estimation-0001. Peaks are refined below
the grid's stride, where the reference code upsamples all maps: a keypoint's heat is a Gaussian, so
three samples of its logarithm along an axis give the parabola whose top is the keypoint.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from posewire.inference.skeletons import Skeletons
from posewire.shared.skeleton import MIRRORED

Array = npt.NDArray[np.float32]

PARTS = 18
# Keypoints that a field connects, and the field's x and y planes. The last two (shoulder to ear)
# join skeletons that others began and begin none.
_LIMBS = (
    (1, 2, 12), (1, 5, 20), (2, 3, 14), (3, 4, 16), (5, 6, 22), (6, 7, 24), (1, 8, 0), (8, 9, 2),
    (9, 10, 4), (1, 11, 6), (11, 12, 8), (12, 13, 10), (1, 0, 28), (0, 14, 30), (14, 16, 34),
    (0, 15, 32), (15, 17, 36), (2, 16, 18), (5, 17, 26),
)  # fmt: skip
_JOINING_ONLY = 17
_SAMPLES = np.linspace(0.0, 1.0, 12, dtype=np.float32)
_LEAST_FIELD = 0.05
"""A sample agrees with the limb where the field along it is at least this (as in the reference)."""
_LEAST_AGREEMENT = 0.75
_MOST_PEAKS = 64
"""Peaks of one part that are looked at, best first: bounds the pairs in a crowd."""
_LEAST_POINTS = 3


def decode(heatmaps: Array, fields: Array, *, keypoint_score: float) -> Skeletons:
    """Find skeletons.

    Args:
        heatmaps: shape (>= 18, h, w); the planes of the keypoints in OpenPose's order.
        fields: shape (38, h, w), in cells.
        keypoint_score: heat from which a peak is a keypoint.

    Returns:
        Skeletons in cells, measured from the maps' top left corner: the middle of the first cell
        is (0.5, 0.5). A skeleton's score is its keypoints' mean score.
    """
    part, xy, score = find_peaks(heatmaps[:PARTS], keypoint_score)
    connections = _connect(part, xy, fields)
    owners = _assemble(part, connections)
    found = [members for members in owners if len(members) >= _LEAST_POINTS]
    points = np.zeros((len(found), PARTS, 3), dtype=np.float32)
    for row, members in enumerate(found):
        chosen = np.fromiter(members.values(), dtype=np.intp)
        points[row, part[chosen], :2] = xy[chosen] + 0.5
        points[row, part[chosen], 2] = np.minimum(score[chosen], 1.0)
    count = np.maximum((points[:, :, 2] > 0).sum(1), 1)
    return Skeletons(points, (points[:, :, 2].sum(1) / count).astype(np.float32))


def mirror(heatmaps: Array, fields: Array) -> tuple[Array, Array]:
    """Return the maps of the mirrored picture as those of the picture.

    Left and right change places, and fields point the other way along x.
    """
    flipped = fields[_MIRRORED_PLANES, :, ::-1].copy()
    flipped[::2] *= -1  # in every pair of planes x comes first
    return heatmaps[_MIRRORED_PARTS, :, ::-1], flipped


def _mirrored_planes() -> list[int]:
    at = {(a, b): plane for a, b, plane in _LIMBS}
    planes = [0] * (2 * len(_LIMBS))
    for (a, b), plane in at.items():
        other = at[MIRRORED[a], MIRRORED[b]]
        planes[plane : plane + 2] = [other, other + 1]
    return planes


_MIRRORED_PLANES = _mirrored_planes()
_MIRRORED_PARTS = [*MIRRORED, PARTS]


def find_peaks(
    heatmaps: Array, least: float
) -> tuple[npt.NDArray[np.intp], Array, npt.NDArray[np.float32]]:
    """Return the maps' local maxima: plane (m,), refined [x, y] in cell indices (m, 2), heat (m,).

    Ordered by plane, then best first; at most 64 of a plane.
    """
    planes, height, width = heatmaps.shape
    padded = np.full((planes, height + 2, width + 2), -1.0, dtype=np.float32)
    padded[:, 1:-1, 1:-1] = heatmaps
    centre = padded[:, 1:-1, 1:-1]
    # Strict on one side and not on the other: of two equal neighbours one is the peak.
    mask = centre >= least
    mask &= (centre > padded[:, 1:-1, :-2]) & (centre >= padded[:, 1:-1, 2:])
    mask &= (centre > padded[:, :-2, 1:-1]) & (centre >= padded[:, 2:, 1:-1])
    part, y, x = np.nonzero(mask)
    heat = heatmaps[part, y, x]
    # A peak must also top its diagonal neighbours; few are left to look at.
    corners = np.stack([padded[part, y + dy, x + dx] for dy in (0, 2) for dx in (0, 2)])
    keep = heat >= corners.max(0) if len(part) else np.zeros(0, dtype=bool)
    part, y, x, heat = part[keep], y[keep], x[keep], heat[keep]

    def at(dy: int, dx: int) -> Array:
        # Outside of the map the heat goes on as inside: no shift towards the border.
        yy, xx = np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)
        logarithm: Array = np.log(np.maximum(heatmaps[part, yy, xx], 1e-3))
        return logarithm

    middle = at(0, 0)
    shift_x = _parabola(at(0, -1), middle, at(0, 1))
    shift_y = _parabola(at(-1, 0), middle, at(1, 0))
    xy = np.stack([x + shift_x, y + shift_y], axis=1).astype(np.float32)

    order = np.lexsort((-heat, part))
    part, xy, heat = part[order], xy[order], heat[order]
    first = np.searchsorted(part, np.arange(planes))
    few = np.arange(len(part)) - first[part] < _MOST_PEAKS
    return part[few], xy[few], heat[few]


def _parabola(before: Array, middle: Array, after: Array) -> Array:
    """Return where the parabola through three samples has its top, within half a cell."""
    bend = 2 * middle - before - after
    shift = np.where(bend > 1e-6, (after - before) / np.maximum(2 * bend, 1e-6), 0.0)
    return np.clip(shift, -0.5, 0.5).astype(np.float32)


def _connect(
    part: npt.NDArray[np.intp], xy: Array, fields: Array
) -> list[list[tuple[int, int, float]]]:
    """Return for each limb its connections (peak, peak, score), each peak at most once.

    All pairs of all limbs are scored in one go: the mean of the field along the line between the
    peaks, sampled bilinearly, if most samples agree with the limb.
    """
    bounds = np.searchsorted(part, np.arange(PARTS + 1))
    limb_of, start, end = [], [], []
    for limb, (a, b, _plane) in enumerate(_LIMBS):
        firsts = np.arange(bounds[a], bounds[a + 1])
        seconds = np.arange(bounds[b], bounds[b + 1])
        limb_of.append(np.full(len(firsts) * len(seconds), limb))
        start.append(np.repeat(firsts, len(seconds)))
        end.append(np.tile(seconds, len(firsts)))
    limbs, one, two = np.concatenate(limb_of), np.concatenate(start), np.concatenate(end)
    connections: list[list[tuple[int, int, float]]] = [[] for _ in _LIMBS]
    if not len(limbs):
        return connections
    vector = xy[two] - xy[one]
    length = np.hypot(vector[:, 0], vector[:, 1])
    # A limb is no longer than half the maps: what lies further apart is two people's.
    reach = max(fields.shape[1], fields.shape[2]) / 2
    near = (length > 1e-3) & (length < 2 * reach)
    limbs, one, two, vector, length = limbs[near], one[near], two[near], vector[near], length[near]
    planes = np.array([plane for _a, _b, plane in _LIMBS])[limbs]
    along = xy[one][:, None, :] + vector[:, None, :] * _SAMPLES[:, None]
    unit = vector / length[:, None]
    agreement = _sample(fields, planes, along) * unit[:, None, 0]
    agreement += _sample(fields, planes + 1, along) * unit[:, None, 1]
    score = agreement.mean(1) + np.minimum(reach / length - 1, 0)
    good = ((agreement > _LEAST_FIELD).mean(1) >= _LEAST_AGREEMENT) & (score > 0)
    limbs, one, two, score = limbs[good], one[good], two[good], score[good]
    order = np.lexsort((two, one, -score, limbs))
    used: set[tuple[int, int]] = set()
    for index in order:
        number, a, b = int(limbs[index]), int(one[index]), int(two[index])
        if (number, a) not in used and (number, b) not in used:
            used.add((number, a))
            used.add((number, b))
            connections[number].append((a, b, float(score[index])))
    return connections


def _sample(fields: Array, planes: npt.NDArray[np.intp], xy: Array) -> Array:
    """Sample ``fields[planes]`` bilinearly at ``xy``, shape (m, s, 2); returns (m, s)."""
    _planes, height, width = fields.shape
    x = np.clip(xy[..., 0], 0, width - 1)
    y = np.clip(xy[..., 1], 0, height - 1)
    x0 = np.minimum(x.astype(np.intp), width - 2) if width > 1 else np.zeros_like(x, np.intp)
    y0 = np.minimum(y.astype(np.intp), height - 2) if height > 1 else np.zeros_like(y, np.intp)
    dx, dy = x - x0, y - y0
    flat = fields.reshape(-1)
    at = planes[:, None] * (height * width) + y0 * width + x0
    right, down = int(width > 1), width if height > 1 else 0
    top = flat[at] * (1 - dx) + flat[at + right] * dx
    bottom = flat[at + down] * (1 - dx) + flat[at + down + right] * dx
    sampled: Array = top * (1 - dy) + bottom * dy
    return sampled


def _assemble(
    part: npt.NDArray[np.intp], connections: list[list[tuple[int, int, float]]]
) -> list[dict[int, int]]:
    """Join connections to skeletons: a dict from keypoint to peak for each.

    Two skeletons that a connection joins become one if no keypoint is in both.
    """
    people: list[dict[int, int]] = []
    owner: dict[int, int] = {}
    for number, pairs in enumerate(connections):
        for a, b, _score in pairs:
            has_a, has_b = owner.get(a), owner.get(b)
            if has_a is None and has_b is None:
                if number < _JOINING_ONLY:
                    people.append({int(part[a]): a, int(part[b]): b})
                    owner[a] = owner[b] = len(people) - 1
            elif has_a is not None and has_b is not None:
                if has_a != has_b and not people[has_a].keys() & people[has_b].keys():
                    people[has_a].update(people[has_b])
                    for peak in people[has_b].values():
                        owner[peak] = has_a
                    people[has_b] = {}
            else:
                person, new = (has_a, b) if has_a is not None else (has_b, a)
                assert person is not None
                if int(part[new]) not in people[person]:
                    people[person][int(part[new])] = new
                    owner[new] = person
    return people
