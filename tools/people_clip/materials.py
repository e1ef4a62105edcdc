"""Procedural surfaces: everything in the picture is computed, no image is loaded."""

from __future__ import annotations

from typing import Any

import bpy

from clothes import Colour, Fabric


class Graph:
    """A material's node graph, with one principled shader at its end."""

    def __init__(self, name: str, roughness: float = 0.8, specular: float = 0.3) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self._tree = self.material.node_tree
        self._tree.nodes.clear()
        output = self._tree.nodes.new("ShaderNodeOutputMaterial")
        self.shader = self._tree.nodes.new("ShaderNodeBsdfPrincipled")
        self._tree.links.new(self.shader.outputs[0], output.inputs[0])
        self.shader.inputs["Roughness"].default_value = roughness
        self.shader.inputs["Specular IOR Level"].default_value = specular

    def node(self, kind: str, properties: dict[str, Any] | None = None, **inputs: Any) -> Any:
        """Add a ShaderNode`kind`; `inputs` by name (spaces as _): a value or another's output."""
        node = self._tree.nodes.new(f"ShaderNode{kind}")
        for key, value in (properties or {}).items():
            setattr(node, key, value)
        for key, value in inputs.items():
            self.feed(node.inputs[key.replace("_", " ")], value)
        return node

    def feed(self, socket: Any, value: Any) -> None:
        """Connect `value` to an input if it is an output, else set it."""
        if isinstance(value, bpy.types.NodeSocket):
            self._tree.links.new(value, socket)
        else:
            socket.default_value = value

    def math(self, operation: str, first: Any, second: Any = 0.0) -> Any:
        """Return the output of a scalar operation, e.g. "ADD", "LESS_THAN", "ABSOLUTE"."""
        node = self.node("Math", {"operation": operation})
        self.feed(node.inputs[0], first)
        self.feed(node.inputs[1], second)
        return node.outputs[0]

    def mix(self, factor: Any, first: Any, second: Any) -> Any:
        """Return colour `first` where `factor` is 0 and `second` where it is 1."""
        node = self.node("Mix", {"data_type": "RGBA"})
        for socket, value in zip(
            [node.inputs[0], node.inputs[6], node.inputs[7]], (factor, first, second), strict=True
        ):
            self.feed(socket, (*value, 1.0) if isinstance(value, tuple) else value)
        return node.outputs[2]

    def multiply(self, first: Any, second: Any) -> Any:
        """Return two colours multiplied."""
        node = self.node("VectorMath", {"operation": "MULTIPLY"})
        self.feed(node.inputs[0], first)
        self.feed(node.inputs[1], second)
        return node.outputs[0]

    def ramp(self, factor: Any, stops: list[tuple[float, Colour]]) -> Any:
        """Return the colour at `factor` on a gradient of (position 0..1, colour)."""
        node = self.node("ValToRGB", Fac=factor)
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, colour) in zip(elements, stops, strict=True):
            element.position = position
            element.color = (*colour, 1.0)
        return node.outputs[0]

    def paint(self, colour: Any) -> Graph:
        """Set the base colour (an output or a Colour) and return the graph."""
        value = (*colour, 1.0) if isinstance(colour, tuple) else colour
        self.feed(self.shader.inputs["Base Color"], value)
        return self

    def bump(self, height: Any, strength: float, distance: float) -> None:
        """Bend the normals by a height field; `distance`: metres."""
        node = self.node("Bump", Strength=strength, Distance=distance, Height=height)
        self.feed(self.shader.inputs["Normal"], node.outputs[0])


def plain(name: str, colour: Colour, roughness: float = 0.8) -> bpy.types.Material:
    """Return a uniform surface."""
    return Graph(name, roughness).paint(colour).material


def glow(name: str, colour: Colour, strength: float) -> bpy.types.Material:
    """Return a luminous surface."""
    graph = Graph(name).paint(colour)
    graph.feed(graph.shader.inputs["Emission Color"], (*colour, 1.0))
    graph.shader.inputs["Emission Strength"].default_value = strength
    return graph.material


def plaster(name: str, colour: Colour) -> bpy.types.Material:
    """Return a painted wall with faint cloudiness."""
    graph = Graph(name, 0.75, 0.2)
    where = graph.node("TexCoord").outputs["Object"]
    clouds = graph.node("TexNoise", Vector=where, Scale=1.3, Detail=6.0).outputs[0]
    dark: Colour = tuple(0.86 * c for c in colour)  # type: ignore[assignment]
    light: Colour = tuple(1.12 * c for c in colour)  # type: ignore[assignment]
    graph.paint(graph.ramp(clouds, [(0.3, dark), (0.7, light)]))
    grain = graph.node("TexNoise", Vector=where, Scale=90.0, Detail=2.0).outputs[0]
    graph.bump(grain, 0.12, 0.01)
    return graph.material


def wood(
    name: str, light: Colour, dark: Colour, board: tuple[float, float], roughness: float = 0.35
) -> bpy.types.Material:
    """Return boards of `board` metres (length, width) lying along the surface's U direction.

    The surface's UV coordinates must be in metres.
    """
    graph = Graph(name, roughness, 0.4)
    uv = graph.node("TexCoord").outputs["UV"]
    boards = graph.node(
        "TexBrick",
        {"offset": 0.37, "offset_frequency": 2},
        Vector=uv,
        Scale=1.0,
        Color1=(0.0, 0.0, 0.0, 1.0),
        Color2=(1.0, 1.0, 1.0, 1.0),
        Mortar=(0.5, 0.5, 0.5, 1.0),
    )
    for key, value in (
        ("Mortar Size", 0.0035),
        ("Brick Width", board[0]),
        ("Row Height", board[1]),
    ):
        boards.inputs[key].default_value = value
    shift = graph.node("VectorMath", {"operation": "MULTIPLY"})
    graph.feed(shift.inputs[0], boards.outputs["Color"])
    shift.inputs[1].default_value = (7.0, 31.0, 3.0)  # each board gets its own grain
    stretched = graph.node("Mapping", Vector=uv)
    stretched.inputs["Scale"].default_value = (1.6, 24.0, 1.0)
    moved = graph.node("VectorMath", {"operation": "ADD"})
    graph.feed(moved.inputs[0], stretched.outputs[0])
    graph.feed(moved.inputs[1], shift.outputs[0])
    grain = graph.node(
        "TexNoise", Vector=moved.outputs[0], Scale=1.0, Detail=5.0, Distortion=0.6
    ).outputs[0]
    tone = graph.math("MULTIPLY", grain, 0.65)
    board_tone = graph.math("MULTIPLY", boards.outputs["Color"], 0.42)
    colour = graph.ramp(graph.math("ADD", tone, board_tone), [(0.18, dark), (0.78, light)])
    gap: Colour = tuple(0.3 * c for c in dark)  # type: ignore[assignment]
    graph.paint(graph.mix(boards.outputs["Fac"], colour, gap))
    return graph.material


def painting(name: str, bands: list[tuple[float, Colour]], seed: float) -> bpy.types.Material:
    """Return an abstract landscape: `bands` from the lower edge (0) to the upper (1), blurred."""
    graph = Graph(name, 0.6)
    uv = graph.node("TexCoord").outputs["UV"]
    moved = graph.node("VectorMath", {"operation": "ADD"})
    graph.feed(moved.inputs[0], uv)
    moved.inputs[1].default_value = (seed, seed, 0.0)
    strokes = graph.node("TexNoise", Vector=moved.outputs[0], Scale=3.5, Detail=7.0).outputs[0]
    height = graph.node("SeparateXYZ", Vector=uv).outputs["Y"]
    wobble = graph.math("MULTIPLY", graph.math("SUBTRACT", strokes, 0.5), 0.5)
    graph.paint(graph.ramp(graph.math("ADD", height, wobble), bands))
    return graph.material


def cloth(
    name: str,
    fabric: Fabric,
    neck: float,
    *,
    roughness: float = 0.85,
    folds: float = 0.5,
    grain: float = 9.0,
    tinted: bool = False,
) -> bpy.types.Material:
    """Return a garment's, skin's or hair's surface.

    It hangs on the mesh attribute "rest" (rest position in metres), so patterns move with the
    body. `neck`: height of the neck in that frame. `folds`: raise for deeper creases. `tinted`:
    multiply by the attribute "tint".
    """
    graph = Graph(name, roughness, 0.2)
    rest = graph.node("Attribute", {"attribute_name": "rest"}).outputs["Vector"]
    noise = graph.node("TexNoise", Vector=rest, Scale=grain, Detail=4.0).outputs[0]
    worn = graph.ramp(noise, [(0.3, (0.78, 0.78, 0.78)), (0.7, (1.15, 1.15, 1.15))])
    colour = graph.multiply(_pattern(graph, fabric, rest, neck), worn)
    if tinted:
        tint = graph.node("Attribute", {"attribute_name": "tint"}).outputs["Vector"]
        colour = graph.multiply(colour, tint)
    graph.paint(colour)
    if folds:
        creases = graph.node("Mapping", Vector=rest)
        creases.inputs["Scale"].default_value = (1, 1, 0.6)
        height = graph.node(
            "TexNoise", Vector=creases.outputs[0], Scale=11.0, Detail=3.0, Distortion=1.2
        ).outputs[0]
        graph.bump(height, folds, 0.06)
    return graph.material


def _pattern(graph: Graph, fabric: Fabric, rest: Any, neck: float) -> Any:
    """Return the fabric's colour; see `clothes.Fabric` for the patterns."""
    axes = graph.node("SeparateXYZ", Vector=rest).outputs
    side = graph.math("ABSOLUTE", axes["X"])
    front = graph.math("LESS_THAN", axes["Y"], 0.0)
    if fabric.pattern == "stripes":
        wave = graph.math("SINE", graph.math("MULTIPLY", axes["Z"], 92.0))
        where = graph.math("GREATER_THAN", wave, 0.1)
    elif fabric.pattern == "jacket":
        above_button = graph.math("MAXIMUM", graph.math("SUBTRACT", axes["Z"], neck - 0.42), 0.0)
        opening = graph.math("ADD", graph.math("MULTIPLY", above_button, 0.22), 0.004)
        where = graph.math("MULTIPLY", front, graph.math("LESS_THAN", side, opening))
    elif fabric.pattern == "print":
        up = graph.math("SUBTRACT", axes["Z"], neck - 0.24)
        radius = graph.math("ADD", graph.math("POWER", side, 2.0), graph.math("MULTIPLY", up, up))
        where = graph.math("MULTIPLY", front, graph.math("LESS_THAN", radius, 0.065**2))
    else:
        where = 0.0
    return graph.mix(where, fabric.colour, fabric.second)
