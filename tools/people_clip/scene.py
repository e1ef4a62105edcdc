"""The hall: a museum room with a doorway, paintings, a bench, a counter and sun from the left."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import bpy
import mathutils

import camera
import materials

Point = tuple[float, float, float]

WALL_Y = 2.8
WALL_TOP = 4.2
CORRIDOR_Y = 5.4
DOOR = (-3.15, -1.9, 2.25)  # left, right, height
LEFT_WALL_X = -7.0


def quad(name: str, corners: list[Point], uv: list[tuple[float, float]], material: object) -> None:
    """Add a rectangle; `uv`: one pair per corner, metres for boards, 0..1 for paintings."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    mesh.materials.append(material)
    layer = mesh.uv_layers.new()
    for loop, pair in zip(layer.data, uv, strict=True):
        loop.uv = pair
    bpy.context.collection.objects.link(bpy.data.objects.new(name, mesh))


def box(name: str, low: Point, high: Point, material: object, bevel: float = 0.0) -> None:
    """Add a cuboid between two opposite corners, its edges rounded by `bevel` metres."""
    ranges = list(zip(low, high, strict=True))
    corners = [(x, y, z) for x in ranges[0] for y in ranges[1] for z in ranges[2]]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], faces)
    mesh.materials.append(material)
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(thing)
    if bevel:
        modifier = thing.modifiers.new("bevel", "BEVEL")
        modifier.width, modifier.segments = bevel, 3


def build() -> None:
    """Add everything that stands still, with light and camera."""
    _shell()
    _door()
    _paintings()
    _bench()
    _counter()
    _plant((-4.35, 2.25))
    _lights()
    _camera()


def _shell() -> None:
    """Floor, back wall with its doorway, window wall on the left, corridor behind."""
    floor = materials.wood("floor", (0.42, 0.235, 0.11), (0.20, 0.095, 0.04), (1.5, 0.14))
    quad(
        "floor",
        [(-12, -10, 0), (12, -10, 0), (12, CORRIDOR_Y, 0), (-12, CORRIDOR_Y, 0)],
        [(0, 0), (24, 0), (24, 10 + CORRIDOR_Y), (0, 10 + CORRIDOR_Y)],
        floor,
    )
    wall = materials.plaster("wall", (0.19, 0.30, 0.30))
    left, right, top = DOOR
    box("wall", (-12, WALL_Y, 0), (left, WALL_Y + 0.2, WALL_TOP), wall)
    box("wall", (right, WALL_Y, 0), (12, WALL_Y + 0.2, WALL_TOP), wall)
    box("wall", (left, WALL_Y, top), (right, WALL_Y + 0.2, WALL_TOP), wall)
    white = materials.plain("trim", (0.72, 0.70, 0.66), 0.5)
    for start, end in ((-12.0, left), (right, 12.0)):
        box("skirting", (start, WALL_Y - 0.03, 0), (end, WALL_Y, 0.16), white, 0.01)
        box("rail", (start, WALL_Y - 0.025, 0.98), (end, WALL_Y, 1.03), white, 0.01)
        panel = materials.plaster("wainscot", (0.13, 0.215, 0.215))
        box("wainscot", (start, WALL_Y - 0.012, 0.16), (end, WALL_Y, 0.98), panel)
    cream = materials.plaster("corridor", (0.66, 0.58, 0.45))
    box("corridor", (-12, CORRIDOR_Y, 0), (12, CORRIDOR_Y + 0.1, WALL_TOP), cream)
    _window_wall(cream)


def _window_wall(material: object) -> None:
    """A wall with tall windows, out of the picture: it shapes the sun into patches."""
    x = LEFT_WALL_X
    piers = [(-12.0, -5.2), (-3.6, -2.9), (-1.3, -0.6), (1.0, 1.7), (3.3, 8.0)]
    for start, end in piers:
        box("pier", (x - 0.2, start, 0), (x, end, 9.0), material)
    box("sill", (x - 0.2, -12, 0), (x, 8, 0.7), material)
    box("lintel", (x - 0.2, -12, 4.6), (x, 8, 9.0), material)
    for bar in (1.9, 3.2):
        box("bar", (x - 0.12, -12, bar), (x - 0.06, 8, bar + 0.07), material)
    for (_, start), (end, _) in pairwise(piers):
        middle = (start + end) / 2
        box("mullion", (x - 0.12, middle - 0.035, 0.7), (x - 0.06, middle + 0.035, 4.6), material)


def _door() -> None:
    """Casing of the doorway, and the green sign above it."""
    white = materials.plain("casing", (0.74, 0.72, 0.68), 0.45)
    left, right, top = DOOR
    front, back = WALL_Y - 0.05, WALL_Y + 0.22
    box("casing", (left - 0.11, front, 0), (left + 0.02, back, top), white, 0.01)
    box("casing", (right - 0.02, front, 0), (right + 0.11, back, top), white, 0.01)
    box("lintel", (left - 0.15, front - 0.02, top), (right + 0.15, back, top + 0.14), white, 0.01)
    sign = materials.glow("exit", (0.05, 0.55, 0.22), 0.9)
    middle = (left + right) / 2
    box("sign", (middle - 0.19, front - 0.03, top + 0.24), (middle + 0.19, front, top + 0.41), sign)


def _framed(name: str, centre_x: float, centre_z: float, size: tuple[float, float]) -> list[Point]:
    """Add a frame with a mount around it and return the corners of its canvas."""
    gold = materials.plain("frame", (0.33, 0.20, 0.07), 0.35)
    mount = materials.plain("mount", (0.70, 0.68, 0.62), 0.9)
    half_x, half_z = size[0] / 2, size[1] / 2
    x0, x1, z0, z1 = centre_x - half_x, centre_x + half_x, centre_z - half_z, centre_z + half_z
    for rim, depth, material in ((0.16, 0.05, gold), (0.10, 0.058, mount)):
        low = (x0 - rim, WALL_Y - depth, z0 - rim)
        box(name, low, (x1 + rim, WALL_Y, z1 + rim), material, 0.008)
    y = WALL_Y - 0.062
    return [(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)]


def _paintings() -> None:
    """Three abstract landscapes along the back wall."""
    sunset = [
        (0.0, (0.02, 0.035, 0.07)),
        (0.32, (0.04, 0.09, 0.15)),
        (0.40, (0.62, 0.20, 0.05)),
        (0.62, (0.75, 0.42, 0.12)),
        (1.0, (0.16, 0.22, 0.36)),
    ]
    meadow = [
        (0.0, (0.06, 0.10, 0.03)),
        (0.36, (0.24, 0.26, 0.05)),
        (0.46, (0.60, 0.52, 0.24)),
        (0.56, (0.42, 0.55, 0.62)),
        (1.0, (0.18, 0.33, 0.52)),
    ]
    dunes = [
        (0.0, (0.36, 0.17, 0.07)),
        (0.34, (0.60, 0.36, 0.16)),
        (0.50, (0.68, 0.56, 0.40)),
        (0.58, (0.50, 0.20, 0.14)),
        (1.0, (0.10, 0.06, 0.12)),
    ]
    square = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    for name, bands, x, size in (
        ("sunset", sunset, -0.75, (1.0, 0.8)),
        ("meadow", meadow, 1.0, (1.4, 0.95)),
        ("dunes", dunes, 3.35, (1.7, 0.9)),
    ):
        surface = materials.painting(name, bands, seed=x * 3)
        quad(name, _framed(name, x, 1.78, size), square, surface)
        _spot(name, (x, WALL_Y - 1.5, 3.9), (x, WALL_Y, 1.6), watts=55, angle=46)


def _bench() -> None:
    """A leather bench in front of the doorway's wall: people pass behind it."""
    leather = materials.plain("leather", (0.16, 0.065, 0.03), 0.42)
    steel = materials.plain("steel", (0.03, 0.03, 0.03), 0.4)
    for x in (-3.9, -3.32, -2.74):
        box("cushion", (x, 1.05, 0.34), (x + 0.57, 1.5, 0.46), leather, 0.03)
    box("rail", (-3.88, 1.1, 0.29), (-2.19, 1.45, 0.335), steel)
    for x in (-3.8, -2.34):
        box("leg", (x, 1.12, 0), (x + 0.06, 1.43, 0.3), steel)


def _counter() -> None:
    """A reception counter on the right: people pass behind it."""
    oak = materials.wood("oak", (0.40, 0.24, 0.12), (0.24, 0.125, 0.055), (3.0, 0.1), 0.5)
    stone = materials.plain("stone", (0.62, 0.60, 0.56), 0.25)
    dark = materials.plain("plinth", (0.025, 0.025, 0.03), 0.5)
    x0, x1, y0, y1, top = 1.95, 4.05, 1.0, 1.55, 1.02
    box("plinth", (x0 + 0.04, y0 + 0.05, 0), (x1 - 0.04, y1, 0.1), dark)
    box("body", (x0, y0 + 0.02, 0.1), (x1, y1, top), dark)
    slats = 21
    step = (x1 - x0) / slats
    for slat in range(slats):
        x = x0 + slat * step
        front = [(x + 0.012, y0), (x + step - 0.012, y0)]
        low, high = (front[0][0], y0 - 0.01, 0.1), (front[1][0], y0 + 0.02, top)
        box("slat", low, high, oak, 0.006)
    box("top", (x0 - 0.05, y0 - 0.06, top), (x1 + 0.05, y1 + 0.05, top + 0.05), stone, 0.012)
    screen = materials.plain("screen", (0.015, 0.015, 0.018), 0.3)
    box("screen", (3.3, 1.3, top + 0.14), (3.78, 1.33, top + 0.42), screen, 0.008)
    box("stand", (3.5, 1.3, top + 0.05), (3.58, 1.36, top + 0.2), screen)
    paper = materials.plain("paper", (0.75, 0.73, 0.68), 0.8)
    box("leaflets", (2.2, 1.1, top + 0.05), (2.36, 1.3, top + 0.09), paper)
    flyer = materials.plain("flyer", (0.5, 0.12, 0.05))
    box("leaflets", (2.42, 1.1, top + 0.05), (2.58, 1.3, top + 0.075), flyer)


def _plant(place: tuple[float, float]) -> None:
    """A low potted plant with arching leaves beside the doorway."""
    x, y = place
    pot = materials.plain("pot", (0.55, 0.52, 0.48), 0.6)
    green = materials.plain("leaf", (0.045, 0.13, 0.03), 0.45)
    box("pot", (x - 0.2, y - 0.2, 0), (x + 0.2, y + 0.2, 0.42), pot, 0.05)
    golden = math.pi * (3 - math.sqrt(5))
    vertices: list[Point] = []
    faces: list[tuple[int, int, int, int]] = []
    for leaf in range(34):
        angle = leaf * golden
        reach = 0.22 + 0.26 * ((leaf * 7) % 10) / 10
        height = 0.85 - 0.9 * reach + 0.12 * ((leaf * 3) % 5) / 5
        first = len(vertices)
        for joint in range(6):
            along = joint / 5
            out = reach * along
            up = 0.42 + height * (1.6 * along - 0.8 * along * along)
            half = 0.045 * math.sin(math.pi * (0.12 + 0.86 * along))
            for sign in (-1, 1):
                vertices.append(
                    (
                        x + out * math.cos(angle) - sign * half * math.sin(angle),
                        y + out * math.sin(angle) + sign * half * math.cos(angle),
                        up,
                    )
                )
        faces += [(a, a + 1, a + 3, a + 2) for a in range(first, first + 10, 2)]
    mesh = bpy.data.meshes.new("leaves")
    mesh.from_pydata(vertices, [], faces)
    mesh.materials.append(green)
    mesh.shade_smooth()
    bpy.context.collection.objects.link(bpy.data.objects.new("leaves", mesh))


def _aim(thing: bpy.types.Object, place: Iterable[float], target: Iterable[float]) -> None:
    """Put `thing` at `place`, looking at `target`."""
    origin = mathutils.Vector(tuple(place))
    thing.location = origin
    direction = mathutils.Vector(tuple(target)) - origin
    thing.rotation_euler = direction.to_track_quat("-Z", "Y").to_euler()


def _spot(name: str, place: Point, target: Point, *, watts: float, angle: float) -> None:
    """Add a warm spotlight with a cone of `angle` degrees."""
    light = bpy.data.lights.new(name, "SPOT")
    light.energy, light.color = watts, (1.0, 0.86, 0.68)
    light.spot_size, light.spot_blend = math.radians(angle), 0.7
    light.shadow_soft_size = 0.1
    thing = bpy.data.objects.new(name, light)
    bpy.context.collection.objects.link(thing)
    _aim(thing, place, target)


def _area(name: str, place: Point, size: tuple[float, float], watts: float, colour: Point) -> None:
    """Add a rectangular light that shines straight down."""
    light = bpy.data.lights.new(name, "AREA")
    light.shape, light.size, light.size_y = "RECTANGLE", *size
    light.energy, light.color = watts, colour
    thing = bpy.data.objects.new(name, light)
    bpy.context.collection.objects.link(thing)
    thing.location = place


def _lights() -> None:
    """Sun through the windows, soft light from above, warm light in the corridor."""
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs[0].default_value = (0.75, 0.85, 1.0, 1)
    background.inputs[1].default_value = 0.45
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle, sun.color = 7.0, math.radians(1.2), (1.0, 0.87, 0.68)
    thing = bpy.data.objects.new("sun", sun)
    bpy.context.collection.objects.link(thing)
    _aim(thing, (0, 0, 0), (1.0, 0.32, -0.52))
    _area("ceiling", (0, -1.5, 4.6), (9, 5), 220, (1.0, 0.95, 0.88))
    _area("corridor", (-2.5, 4.2, 3.6), (3, 0.8), 75, (1.0, 0.84, 0.62))


def _camera() -> None:
    """Add Blender's camera with the geometry of `camera`."""
    lens = bpy.data.cameras.new("camera")
    lens.sensor_fit, lens.sensor_width = "HORIZONTAL", 36
    lens.lens = camera.FOCAL_PX * 36 / camera.WIDTH
    thing = bpy.data.objects.new("camera", lens)
    bpy.context.collection.objects.link(thing)
    bpy.context.scene.camera = thing
    _aim(thing, camera.POSITION, camera.TARGET)
