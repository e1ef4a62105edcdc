"""The choreography: who is in the clip, and where everybody walks, stops and looks.

The hall from above (metres, camera at the bottom):

      door                paintings
    ==    ==================================  wall, y = 2.8
    plant              A   B     counter
          bench                 [=======]
      -4     -2      0       2       4    x
                  camera, y = -8.2
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from camera import FPS
from clothes import Fabric, Look
from gait import FloatArray, Motion

Advance = Callable[[float], float]  # gait phase in cycles -> metres walked

FRAMES = 235
SUBSTEPS = 4  # simulation steps per frame
ARRIVED = 0.25  # metres: nearer than this, a waypoint is reached
TURN_RATE = 170.0  # degrees per second
AWAY, TOWARDS_CAMERA = 90.0, 270.0


@dataclass(frozen=True)
class Person:
    """A body (`phenotype`, see `bodies.Body`) with its clothes and its pace.

    `cycles_per_second`: gait cycles, two steps each. `arm_gain`: how much the arms swing.
    """

    phenotype: dict[str, float]
    look: Look
    cycles_per_second: float = 1.0
    arm_gain: float = 1.0


PEOPLE = [
    Person(  # 0: a woman in a red coat, with a tote bag
        {"gender": 0.97, "age": 0.60, "muscle": 0.45, "weight": 0.42, "height": 0.50},
        Look(
            shirt=Fabric((0.50, 0.028, 0.022)),
            trousers=Fabric((0.012, 0.012, 0.016)),
            skirt=-0.02,
            skirt_cloth=Fabric((0.50, 0.028, 0.022)),
            shoes=(0.02, 0.012, 0.01),
            skin=(0.70, 0.45, 0.34),
            hair=(0.07, 0.028, 0.012),
            long_hair=0.04,
            hair_low=0.12,
            hair_thick=0.02,
            hem=0.12,
            carries=("tote",),
        ),
        cycles_per_second=1.0,
        arm_gain=0.7,
    ),
    Person(  # 1: a tall slim man in a striped jersey
        {"gender": 0.05, "age": 0.58, "muscle": 0.50, "weight": 0.40, "height": 0.46},
        Look(
            shirt=Fabric((0.74, 0.71, 0.64), "stripes", (0.05, 0.08, 0.22)),
            trousers=Fabric((0.03, 0.05, 0.11)),
            shoes=(0.62, 0.62, 0.60),
            skin=(0.62, 0.39, 0.28),
            hair=(0.035, 0.02, 0.012),
            loose=0.8,
            hair_thick=0.02,
        ),
        cycles_per_second=0.98,
    ),
    Person(  # 2: an older, heavy man in an open jacket
        {"gender": 0.06, "age": 0.78, "muscle": 0.52, "weight": 0.76, "height": 0.40},
        Look(
            shirt=Fabric((0.025, 0.035, 0.06), "jacket", (0.62, 0.66, 0.72)),
            trousers=Fabric((0.30, 0.225, 0.13)),
            shoes=(0.10, 0.045, 0.02),
            skin=(0.66, 0.42, 0.31),
            hair=(0.34, 0.32, 0.30),
            hem=0.14,
            loose=1.6,
            beard=True,
        ),
        cycles_per_second=0.99,
        arm_gain=0.8,
    ),
    Person(  # 3: a woman in a yellow T-shirt, with a backpack
        {"gender": 0.92, "age": 0.56, "muscle": 0.60, "weight": 0.50, "height": 0.56},
        Look(
            shirt=Fabric((0.72, 0.47, 0.03), "print", (0.05, 0.10, 0.12)),
            trousers=Fabric((0.07, 0.13, 0.24)),
            shoes=(0.55, 0.06, 0.04),
            skin=(0.20, 0.10, 0.06),
            hair=(0.008, 0.007, 0.006),
            sleeve=0.55,
            hair_thick=0.012,
            hair_low=0.1,
            carries=("backpack", "bun"),
        ),
        cycles_per_second=1.02,
    ),
]


@dataclass(frozen=True)
class Stop:
    """A place to walk to, and to stand at for `stand` seconds facing `facing` degrees."""

    x: float
    y: float
    stand: float = 0.0
    facing: float = TOWARDS_CAMERA
    gesture: str = ""


@dataclass(frozen=True)
class Visit:
    """One walk through the picture, from `start` at `time` seconds through `stops`."""

    person: int
    time: float
    start: tuple[float, float]
    stops: tuple[Stop, ...]


VISITS = [
    # The woman in red looks at the painting in the middle, then leaves to the right.
    Visit(0, 0.9, (-5.0, 0.4), (Stop(0.35, 0.9, 4.6, AWAY), Stop(1.6, 0.5), Stop(5.6, 0.4))),
    # The striped man passes behind the counter, looks at a painting, leaves by the door.
    Visit(
        1,
        1.6,
        (5.6, 2.2),
        (
            Stop(-0.7, 2.05, 0.7, AWAY, "ponder"),
            Stop(-2.45, 2.45),
            Stop(-2.6, 4.0),
            Stop(-6.0, 4.2),
        ),
    ),
    # The man in the jacket stops in front of the woman in red: she is out of sight.
    Visit(2, 3.0, (5.0, 0.1), (Stop(0.03, 0.1, 0.8, TOWARDS_CAMERA, "phone"), Stop(-5.2, 0.0))),
    # The woman with the backpack crosses in the foreground.
    Visit(3, 11.6, (-4.6, -0.8), (Stop(5.2, -0.9),)),
    # The man in the jacket comes back by the door and leaves to the right.
    Visit(
        2,
        12.2,
        (-6.0, 4.2),
        (Stop(-2.6, 3.9), Stop(-1.3, 1.9), Stop(-0.4, 0.7), Stop(5.6, 0.3)),
    ),
    # The striped man comes back from the right and leaves to the left.
    Visit(1, 14.7, (5.2, 0.0), (Stop(-5.6, -0.3),)),
]


@dataclass(frozen=True)
class Presence:
    """Somebody at one instant: floor `position` [x, y] metres, `heading` degrees, `motion`."""

    visit: int
    person: int
    position: FloatArray
    heading: float
    motion: Motion


@dataclass
class _Walker:
    """The state of one visit while it is simulated."""

    position: FloatArray
    heading: float
    phase: float
    walk: float = 1.0
    gesture: str = ""
    gesture_weight: float = 0.0
    next_stop: int = 0
    waited: float | None = None


def _approach(value: float, goal: float, step: float) -> float:
    """Return `value` moved towards `goal` by at most `step`."""
    return value + float(np.clip(goal - value, -step, step))


def _turn_needed(heading: float, wanted: float) -> float:
    """Return the signed shortest turn in degrees, -180..180."""
    return (wanted - heading + 180) % 360 - 180


def _step(walker: _Walker, visit: Visit, person: Person, advance: Advance, dt: float) -> None:
    """Move `walker` on by `dt` seconds."""
    stop = visit.stops[walker.next_stop]
    way = np.array([stop.x, stop.y]) - walker.position
    standing = walker.waited is not None
    if not standing and np.hypot(*way) <= ARRIVED:
        if stop.stand == 0:
            walker.next_stop += 1
            return
        walker.waited, standing = 0.0, True
    if standing:
        walker.waited = (walker.waited or 0.0) + dt
        if walker.waited > stop.stand:
            walker.next_stop, walker.waited = walker.next_stop + 1, None
            return
        wanted, goal = stop.facing, 0.0
        walker.gesture = stop.gesture
    else:
        wanted, goal = float(np.degrees(np.arctan2(way[1], way[0]))), 1.0
    turn = _turn_needed(walker.heading, wanted)
    walker.heading += float(np.clip(turn, -TURN_RATE * dt, TURN_RATE * dt))
    if abs(turn) > 60:
        goal = min(goal, 0.35)
    walker.walk = _approach(walker.walk, goal, 3 * dt)
    # Hands come down before the stop ends.
    shown = standing and stop.stand - (walker.waited or 0.0) > 0.4 and abs(turn) < 60
    walker.gesture_weight = _approach(walker.gesture_weight, float(shown), 2.5 * dt)
    phase = walker.phase + (dt * person.cycles_per_second if walker.walk > 0.02 else 0.0)
    metres = (advance(phase) - advance(walker.phase)) * walker.walk
    metres *= 0.3 if abs(turn) >= 60 else 1.0
    walker.phase = phase
    angle = np.radians(walker.heading)
    walker.position = walker.position + metres * np.array([np.cos(angle), np.sin(angle)])


def simulate(advances: list[Advance]) -> list[list[Presence]]:
    """Play the script; `advances`: each person's `GroundAdvance`. Returns a list per frame."""
    frames: list[list[Presence]] = [[] for _ in range(FRAMES)]
    dt = 1 / FPS / SUBSTEPS
    for number, visit in enumerate(VISITS):
        person = PEOPLE[visit.person]
        first = np.array([visit.stops[0].x, visit.stops[0].y]) - visit.start
        heading = float(np.degrees(np.arctan2(first[1], first[0])))
        walker = _Walker(np.array(visit.start, dtype=float), heading, phase=0.13 * number)
        for tick in range(round(visit.time / dt), FRAMES * SUBSTEPS):
            if walker.next_stop >= len(visit.stops):
                break
            _step(walker, visit, person, advances[visit.person], dt)
            if tick % SUBSTEPS == 0:
                time = tick * dt
                motion = Motion(
                    walker.phase,
                    walker.walk,
                    time,
                    walker.gesture,
                    walker.gesture_weight,
                    head_yaw=8 * np.sin(0.8 * time + number),
                )
                presence = Presence(
                    number, visit.person, walker.position.copy(), walker.heading, motion
                )
                frames[tick // SUBSTEPS].append(presence)
    return frames
