"""The divergence sees surfaces, not their meshing: weights are areas."""

from pathlib import Path

import numpy as np
import torch

from otreg.io import read_shape
from otreg.measures import Frame, Measure
from otreg.measures.from_shape import measure_from_shape
from otreg.shapes import CellBlock, Shape, triangles_of
from otreg.transport import Sinkhorn

CREATURE = Path(__file__).parents[2] / "sample_data" / "creature.ply"


def with_split_faces(shape: Shape) -> Shape:
    """The same surface with every face of the front half cut into four."""
    faces = triangles_of(shape)
    front = shape.points[faces].mean(1)[:, 0] > shape.points[:, 0].mean()
    a, b, c = (shape.points[faces[front, k]] for k in range(3))
    n, k = len(shape.points), int(front.sum())  # points, faces that are cut
    ab, bc, ca = (n + part * k + np.arange(k) for part in range(3))
    i, j, m = faces[front].T
    new = np.concatenate([np.stack(corner, 1) for corner in ((i, ab, ca), (ab, j, bc), (ca, bc, m), (ab, bc, ca))])
    points = np.concatenate([shape.points, (a + b) / 2, (b + c) / 2, (c + a) / 2])
    return Shape(points, (CellBlock("triangle", np.concatenate([faces[~front], new])),))


def test_refining_half_of_a_mesh_changes_a_tenth_of_a_percent_of_what_it_does_to_bare_vertices():
    shape = read_shape(CREATURE)
    frame = Frame.of(shape.points)
    coarse, fine = (measure_from_shape(mesh, frame) for mesh in (shape, with_split_faces(shape)))
    assert float((coarse.mean - fine.mean).norm()) < 1e-4  # vertices lump the area of their faces
    bare = [Measure(m.points, torch.full_like(m.weights, 1 / len(m))) for m in (coarse, fine)]
    sinkhorn = Sinkhorn(blur=0.05, tolerance=1e-4)
    by_area, by_vertex = sinkhorn(coarse, fine), sinkhorn(*bare)
    assert by_vertex.value > 1e-3
    assert by_area.value < 1e-3 * by_vertex.value
    assert float(by_area.displacement.norm(dim=1).max()) < 0.01
