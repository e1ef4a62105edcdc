"""A person in Blender: one mesh per garment, moved to each frame's pose."""

from __future__ import annotations

import bpy
import numpy as np

import materials
from bodies import Body
from carried import ITEMS
from clothes import Fabric, Garment, Look, Tailor
from gait import FloatArray, place
from script import Presence

FLOOR = 0.002  # metres: cloth pushed outwards stays above the floor


class Actor:
    """Somebody's meshes. Hidden until `perform` is called for a frame."""

    def __init__(self, body: Body, look: Look, name: str) -> None:
        self._body = body
        tailor = Tailor(body, look)
        tint = tailor.tint()
        surfaces = _surfaces(look, name, float(body.joint("neck01")[2]))
        self._garments: list[tuple[Garment, bpy.types.Object]] = []
        for garment in tailor.outfit():
            thing = _object(body.rest[garment.vertices], garment.faces, surfaces[garment.material])
            _attribute(thing.data, "rest", body.rest[garment.vertices])
            _attribute(thing.data, "tint", tint[garment.vertices])
            if garment.material in ("shirt", "trousers", "skirt", "hair"):
                _smooth(thing)
            self._garments.append((garment, thing))
        self._items = []
        for item in (part for kind in look.carries for part in ITEMS[kind](body)):
            surface = materials.plain(name + item.name, item.colour, 0.75)
            thing = _object(item.vertices, item.faces, surface, smooth=not item.bevel)
            if item.bevel:
                modifier = thing.modifiers.new("bevel", "BEVEL")
                modifier.width, modifier.segments = item.bevel, 3
            self._items.append((item, thing))
        self.hide()

    def hide(self) -> None:
        """Take the person out of the picture."""
        for _, thing in (*self._garments, *self._items):
            thing.hide_render = thing.hide_viewport = True

    def perform(self, presence: Presence) -> tuple[FloatArray, FloatArray]:
        """Show the person as `presence` says.

        Returns world points on the visible surface, shape (n, 3), and keypoints, shape (17, 3).
        """
        posed = self._body.pose(presence.motion)
        vertices = place(posed.vertices, presence.position, presence.heading)
        surface = []
        for garment, thing in self._garments:
            points = vertices[garment.vertices]
            _move(thing, points)
            if garment.offset.any():
                normals = np.empty(len(points) * 3, dtype=np.float32)
                thing.data.vertex_normals.foreach_get("vector", normals)
                points = points + normals.reshape(-1, 3) * garment.offset[:, None]
                points[:, 2] = np.maximum(points[:, 2], FLOOR)
                _move(thing, points)
            surface += [points, *_centres(points, garment.faces)]
        for item, thing in self._items:
            points = place(item.follow(posed), presence.position, presence.heading)
            _move(thing, points)
            surface += [points, *_inside(points, item.faces)]
        keypoints = place(posed.keypoints, presence.position, presence.heading)
        return np.concatenate(surface), keypoints


def _surfaces(look: Look, name: str, neck: float) -> dict[str, bpy.types.Material]:
    """Return a material per garment kind."""
    skirt = look.skirt_cloth or look.trousers
    return {
        "shirt": materials.cloth(name + "shirt", look.shirt, neck),
        "trousers": materials.cloth(name + "trousers", look.trousers, neck, folds=0.45),
        "skirt": materials.cloth(name + "skirt", skirt, neck, folds=0.3),
        "shoes": materials.cloth(
            name + "shoes", Fabric(look.shoes), neck, roughness=0.5, folds=0.1
        ),
        "skin": materials.cloth(
            name + "skin", Fabric(look.skin), neck, roughness=0.5, folds=0.0, tinted=True
        ),
        "hair": materials.cloth(
            name + "hair", Fabric(look.hair), neck, roughness=0.5, folds=0.6, grain=60.0
        ),
        "eye": materials.plain(name + "eye", (0.06, 0.045, 0.04), 0.2),
    }


def _object(
    vertices: FloatArray, faces: list[list[int]], material: object, smooth: bool = True
) -> bpy.types.Object:
    """Add a mesh; `vertices`: shape (n, 3)."""
    mesh = bpy.data.meshes.new("part")
    mesh.from_pydata(vertices.tolist(), [], faces)
    mesh.materials.append(material)
    if smooth:
        mesh.shade_smooth()
    thing = bpy.data.objects.new("part", mesh)
    bpy.context.collection.objects.link(thing)
    return thing


def _smooth(thing: bpy.types.Object) -> None:
    """Round off the coarse helper meshes."""
    modifier = thing.modifiers.new("subdivision", "SUBSURF")
    modifier.levels = modifier.render_levels = 1


def _attribute(mesh: bpy.types.Mesh, name: str, values: FloatArray) -> None:
    """Give each vertex a vector the materials can read; `values`: shape (n, 3)."""
    attribute = mesh.attributes.new(name, "FLOAT_VECTOR", "POINT")
    attribute.data.foreach_set("vector", values.astype(np.float32).ravel())


def _move(thing: bpy.types.Object, points: FloatArray) -> None:
    """Put the vertices at `points`, shape (n, 3), and show the mesh."""
    thing.hide_render = thing.hide_viewport = False
    thing.data.vertices.foreach_set("co", points.astype(np.float32).ravel())
    thing.data.update()


def _centres(points: FloatArray, faces: list[list[int]]) -> list[FloatArray]:
    """Return the middle of every face: coarse meshes alone would leave holes in the truth."""
    quads = np.array([face for face in faces if len(face) == 4])
    return [points[quads].mean(axis=1)] if len(quads) else []


def _inside(points: FloatArray, faces: list[list[int]]) -> list[FloatArray]:
    """Return an 11 by 11 grid of points on every quad, shape (121, 3) each."""
    steps = np.linspace(0, 1, 11)
    across, down = (axis.reshape(-1, 1) for axis in np.meshgrid(steps, steps))
    grids = []
    for face in faces:
        a, b, c, d = points[face]
        upper = (1 - across) * a + across * b
        lower = (1 - across) * d + across * c
        grids.append((1 - down) * upper + down * lower)
    return grids
