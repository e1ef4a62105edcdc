"""Render a share of the clip's frames, with their truth.

    python render.py --part 0/2 --out DIR

writes DIR/frames/0000.png, DIR/truth/0000.json and so on for every second frame, from frame 0.
Frames that are already there are skipped, so a stopped run can be started again.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import bpy
import numpy as np

import camera
import scene
import truth
from actor import Actor
from bodies import Body
from gait import FloatArray
from script import FRAMES, PEOPLE, Presence, simulate

log = logging.getLogger("people_clip")


def prepare(samples: int, threads: int) -> None:
    """Empty Blender and set up Cycles; raise `samples` for less noise, at linear cost."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    settings = bpy.context.scene
    settings.render.engine = "CYCLES"
    cycles = settings.cycles
    cycles.device, cycles.samples, cycles.use_adaptive_sampling = "CPU", samples, False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_quality, cycles.denoising_prefilter = "BALANCED", "FAST"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 2, 1
    cycles.caustics_reflective = cycles.caustics_refractive = False
    render = settings.render
    render.use_persistent_data = True
    render.threads_mode, render.threads = "FIXED", threads
    render.resolution_x, render.resolution_y = camera.WIDTH, camera.HEIGHT
    render.resolution_percentage = 100
    render.image_settings.file_format = "PNG"
    settings.view_settings.view_transform = "AgX"
    settings.view_settings.look = "AgX - Medium High Contrast"
    settings.view_settings.exposure = 0.35


def scenery_depth() -> FloatArray:
    """Return the empty hall's depth per cell of `truth`'s depth maps, by ray casting."""
    depth = np.full((truth.ROWS, truth.COLUMNS), np.inf)
    graph = bpy.context.evaluated_depsgraph_get()
    origin, forward = camera.POSITION, camera.axes().forward
    for row in range(truth.ROWS):
        for column in range(camera.WIDTH // truth.SCALE):
            direction = camera.ray((column + 0.5) * truth.SCALE, (row + 0.5) * truth.SCALE)
            hit, where, *_ = bpy.context.scene.ray_cast(graph, origin, direction)
            if hit:
                depth[row, column + truth.MARGIN] = (np.array(where) - origin) @ forward
    return depth


class Studio:
    """The hall and its cast, ready to shoot any frame."""

    def __init__(self, samples: int, threads: int) -> None:
        prepare(samples, threads)
        scene.build()
        bodies = [Body(person.phenotype, person.arm_gain) for person in PEOPLE]
        for number, body in enumerate(bodies):
            log.info("person %d: %.2f m, stride %.2f m", number, body.height, body.advance.stride)
        self._script = simulate([body.advance for body in bodies])
        self._actors = [
            Actor(body, person.look, f"person{number} ")
            for number, (body, person) in enumerate(zip(bodies, PEOPLE, strict=True))
        ]
        self._scenery = scenery_depth()

    def stage(self, frame: int) -> list[dict[str, object]]:
        """Put everybody in place for `frame` and return its truth."""
        for actor in self._actors:
            actor.hide()
        return truth.describe([self._figure(p) for p in self._script[frame]], self._scenery)

    def shoot(self, path: Path) -> None:
        """Render the staged frame."""
        bpy.context.scene.render.filepath = str(path.resolve())
        bpy.ops.render.render(write_still=True)

    def _figure(self, presence: Presence) -> truth.Figure:
        surface, keypoints = self._actors[presence.person].perform(presence)
        return truth.Figure(
            presence.visit, presence.person, camera.project(surface), camera.project(keypoints)
        )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--part", default="0/1", help="K/N: frames K, K+N, K+2N, ...")
    parser.add_argument("--out", type=Path, required=True, help="folder for frames and truth")
    parser.add_argument("--samples", type=int, default=8, help="rays per pixel")
    parser.add_argument("--threads", type=int, default=1, help="cores this process may use")
    parser.add_argument("--only", type=int, nargs="*", help="just these frames, again if present")
    parser.add_argument("--truth-only", action="store_true", help="no pictures: a few seconds")
    options = parser.parse_args()
    try:
        options.first, options.step = (int(number) for number in options.part.split("/"))
    except ValueError:
        parser.error(f"--part must look like 0/2, not {options.part!r}")
    if not 0 <= options.first < options.step:
        parser.error(f"--part {options.part}: the first number must be below the second")
    return options


def main() -> None:
    """Render what the command line asks for."""
    options = parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    frames, records = options.out / "frames", options.out / "truth"
    frames.mkdir(parents=True, exist_ok=True)
    records.mkdir(parents=True, exist_ok=True)
    studio = Studio(options.samples, options.threads)
    for frame in options.only or range(options.first, FRAMES, options.step):
        picture = frames / f"{frame:04d}.png"
        if picture.exists() and not options.only and not options.truth_only:
            continue
        started = time.monotonic()
        people = studio.stage(frame)
        (records / f"{frame:04d}.json").write_text(json.dumps(people))
        if not options.truth_only:
            studio.shoot(picture)
            log.info("frame %d: %.1f s", frame, time.monotonic() - started)


if __name__ == "__main__":
    main()
