"""Surfaces as triangles: the triangles of any faces, and the unit normals at the vertices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from otreg.errors import InputError
from otreg.shapes.shape import CellBlock, Shape
from otreg.shapes.sizes import steps_within

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def triangles_of(shape: Shape) -> Integers:
    """(t, 3) triangles of all faces in file order; quads and polygons become fans around their first corner."""
    parts = [fan(block) for block in shape.cells if block.kind in ("triangle", "quad", "polygon")]
    return np.concatenate(parts) if parts else np.zeros((0, 3), np.int64)


def fan(block: CellBlock) -> Integers:
    """(t, 3) triangles of one block of faces; a face of k corners gives k - 2, none if it has fewer than 3."""
    if block.offsets is None:
        corners = block.indices
        k = corners.shape[1]
        return np.stack([corners[:, [0, i, i + 1]] for i in range(1, k - 1)], axis=1).reshape(-1, 3)
    sizes = np.diff(block.offsets)
    count = np.maximum(sizes - 2, 0)
    first = np.repeat(block.offsets[:-1], count)
    step = steps_within(count)
    places = np.stack([first, first + step + 1, first + step + 2], axis=1)
    return block.indices[places]


def vertex_normals(shape: Shape) -> Floats:
    """(n, 3) unit normals of a surface at its vertices, weighted by area; zero where no face has an area.

    They point where the faces do: counterclockwise corners are seen from outside. Raises InputError without faces or
    in the plane.
    """
    triangles = triangles_of(shape)
    if shape.dimension != 3 or not len(triangles):
        raise InputError("normals need faces and 3 coordinates per point; found none")
    # Centred and scaled, so that neither far origins nor huge or tiny units lose digits.
    centre, size = shape.points.mean(0), np.ptp(shape.points, axis=0).max() or 1.0
    a, b, c = np.moveaxis(((shape.points - centre) / size)[triangles], 1, 0)
    doubled = np.cross(b - a, c - a)
    normals = np.stack(
        [np.bincount(triangles.reshape(-1), np.repeat(doubled[:, k], 3), len(shape.points)) for k in range(3)], axis=1
    )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
