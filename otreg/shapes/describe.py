"""What is in a shape, in numbers: counts, extent, sizes, and the defects that a registration should know of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.shapes.shape import Shape
from otreg.shapes.sizes import ORDER, cell_sizes, next_corner

# An area below this fraction of the squared diagonal is rounding, not a face.
ZERO_AREA = 1e-15


def describe(shape: Shape) -> dict[str, Any]:
    """Counts, bounds, sizes, defects and attributes of a shape, in pure JSON types and file units.

    non_manifold_edges: edges of more than two faces; boundary_edges: edges of one face only.
    unreferenced_points: points that no cell uses (0 for clouds, which have no cells).
    """
    n, d = shape.points.shape  # points, dimension
    low, high = shape.points.min(0), shape.points.max(0)
    diagonal = float(np.linalg.norm(high - low))
    scale = diagonal or 1.0
    scaled = (shape.points - (low + high) / 2) / scale
    sizes = [(ORDER[block.kind], cell_sizes(block, scaled)) for block in shape.cells]
    total = {order: float(sum(s.sum() for o, s in sizes if o == order)) * scale**order for order in (1, 2, 3)}
    used = np.zeros(n, dtype=bool)
    counts: dict[str, int] = {}
    for block in shape.cells:
        used[block.indices.reshape(-1)] = True
        counts[block.kind] = counts.get(block.kind, 0) + len(block)
    times = _edge_uses(shape)
    return {
        "points": n,
        "dimension": d,
        "cells": counts,
        "lower": low.tolist(),
        "upper": high.tolist(),
        "diagonal": diagonal,
        "length": total[1],
        "area": total[2],
        "volume": total[3],
        "unreferenced_points": int(n - used.sum()) if shape.cells else 0,
        "zero_area_faces": int(sum((s <= ZERO_AREA).sum() for o, s in sizes if o == 2)),
        "non_manifold_edges": int((times > 2).sum()),
        "boundary_edges": int((times == 1).sum()),
        "point_attributes": {name: _kind(values) for name, values in shape.point_data.items()},
        "cell_attributes": {name: _kind(values) for name, values in shape.cell_data.items()},
    }


def _edge_uses(shape: Shape) -> npt.NDArray[np.int64]:
    """How many faces use each edge, in no particular order."""
    n = len(shape.points)
    keys = []
    for block in shape.cells:
        if ORDER[block.kind] == 2 and len(block):
            begin = block.indices.reshape(-1)
            end = begin[next_corner(block)]
            proper = begin != end  # a corner that is repeated makes no edge
            keys.append((np.minimum(begin, end) * n + np.maximum(begin, end))[proper])
    if not keys:
        return np.zeros(0, np.int64)
    return np.unique(np.concatenate(keys), return_counts=True)[1]


def _kind(values: npt.NDArray[Any]) -> str:
    """An attribute's dtype, and its shape behind the first axis if it has one: "uint8", "float64 x 3"."""
    return " x ".join([values.dtype.name if values.dtype.kind not in "US" else "text", *map(str, values.shape[1:])])
