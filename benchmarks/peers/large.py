"""Large pairs for benchmarks/registration.py, made of real ones: how long shapes of 80,000 points take."""

from __future__ import annotations

import trimesh

from otreg import Shape
from otreg.shapes import CellBlock, triangles_of

SAMPLES = 80_000
# Most of a face, that is its first vertices; refined they are 80,051.
FIRST = 20_100


def beginning(shape: Shape) -> Shape:
    """The part of a surface between its first vertices."""
    faces = triangles_of(shape)
    return Shape(points=shape.points[:FIRST], cells=(CellBlock("triangle", faces[(faces < FIRST).all(1)]),))


def refined(shape: Shape) -> Shape:
    """The surface with every triangle cut into four; shapes with the same faces keep their correspondence."""
    points, faces = trimesh.remesh.subdivide(shape.points, triangles_of(shape))
    return Shape(points=points, cells=(CellBlock("triangle", faces),))


def sampled(shape: Shape, *, seed: int) -> Shape:
    """A cloud of points that are spread at random, evenly, over the surface."""
    mesh = trimesh.Trimesh(shape.points, triangles_of(shape), process=False)
    return Shape(points=trimesh.sample.sample_surface(mesh, SAMPLES, seed=seed)[0])
