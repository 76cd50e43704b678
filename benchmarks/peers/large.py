"""Large pairs for benchmarks/registration.py, made of real ones: how long shapes of some 100,000 points take."""

from __future__ import annotations

import trimesh

from otreg import Shape
from otreg.shapes import CellBlock, triangles_of

SAMPLES = 80_000


def refined(shape: Shape) -> Shape:
    """The surface with every triangle cut into four; shapes with the same faces keep their correspondence."""
    points, faces = trimesh.remesh.subdivide(shape.points, triangles_of(shape))
    return Shape(points=points, cells=(CellBlock("triangle", faces),))


def sampled(shape: Shape, *, seed: int) -> Shape:
    """A cloud of points that are spread at random, evenly, over the surface."""
    mesh = trimesh.Trimesh(shape.points, triangles_of(shape), process=False)
    return Shape(points=trimesh.sample.sample_surface(mesh, SAMPLES, seed=seed)[0])
