"""What is in a shape, in numbers and words: counts, extent, weights, and the defects that a user should know of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.shapes.shape import Shape
from otreg.shapes.sizes import ORDER, cell_sizes, lumped_sizes, next_corner, order_of, top_blocks

# An area below this fraction of the squared diagonal is rounding, not a face.
ZERO_AREA = 1e-15
# What points weigh by, for shapes of dimension 0 to 3.
MEASURES = ("number", "length", "area", "volume")


def describe(shape: Shape) -> dict[str, Any]:
    """Counts, bounds, sizes, weights, defects and attributes of a shape, in pure JSON types and file units.

    frame: "RAS" or "LPS" where the file says so, else "none". weights: what points weigh by unless an attribute is
    named: their shares in the "length", "area" or "volume" of the cells, or "number" in clouds; total: of the shape,
    zero: how many points weigh nothing. not_finite: values of each numeric attribute that are NaN or infinite.
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
    order = order_of(shape)
    shares = sum((lumped_sizes(block, scaled) for block in top_blocks(shape)), np.zeros(n))
    return {
        "points": n,
        "dimension": d,
        "frame": shape.space or "none",
        "cells": counts,
        "lower": low.tolist(),
        "upper": high.tolist(),
        "diagonal": diagonal,
        "length": total[1],
        "area": total[2],
        "volume": total[3],
        "weights": {
            "by": MEASURES[order],
            "total": total[order] if order else float(n),
            "zero": int((shares <= 0).sum()) if order else 0,
        },
        "unreferenced_points": int(n - used.sum()) if shape.cells else 0,
        "zero_area_faces": int(sum((s <= ZERO_AREA).sum() for o, s in sizes if o == 2)),
        "non_manifold_edges": int((times > 2).sum()),
        "boundary_edges": int((times == 1).sum()),
        "point_attributes": {name: _kind(values) for name, values in shape.point_data.items()},
        "cell_attributes": {name: _kind(values) for name, values in shape.cell_data.items()},
        "not_finite": {
            name: bad
            for name, values in (*shape.point_data.items(), *shape.cell_data.items())
            if values.dtype.kind in "fc" and (bad := int((~np.isfinite(values)).sum()))
        },
    }


def defects(description: Mapping[str, Any]) -> list[str]:
    """One sentence for each kind of defect in what ``describe`` says."""
    found = []
    if count := description["unreferenced_points"]:
        found.append(f"{_points(count)} used by no cell: they weigh nothing")
    if count := description["zero_area_faces"]:
        found.append(f"{count} face{'s have' if count > 1 else ' has'} no area")
    if count := description["non_manifold_edges"]:
        found.append(f"{count} edge{'s belong' if count > 1 else ' belongs'} to more than two faces (not a manifold)")
    if description["diagonal"] == 0:
        found.append("all points are equal")
    elif description["weights"]["by"] != "number" and not description["weights"]["total"] > 0:
        found.append(f"the cells have no {description['weights']['by']}, so all points weigh nothing")
    for name, count in description["not_finite"].items():
        found.append(f"attribute '{name}' holds {count} value{'s' if count > 1 else ''} that are NaN or infinite")
    return found


def _points(count: int) -> str:
    return f"{count} points are" if count > 1 else "1 point is"


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
