"""How long, large or voluminous cells are, and how that size is shared among their corners.

A quad or a polygon is cut into the triangles between its edges and the mean of its corners, so that its area does not
depend on the corner at which its list begins; the mean's share goes to all corners alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from otreg.shapes.shape import CellBlock, Shape

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Dimension of each kind of cell. Where kinds are mixed, those of the highest dimension are the shape.
ORDER: dict[str, int] = {"line": 1, "triangle": 2, "quad": 2, "polygon": 2, "tetra": 3}


def order_of(shape: Shape) -> int:
    """1 for curves, 2 for surfaces, 3 for volumes, 0 for clouds: the highest dimension of its cells."""
    return max((ORDER[block.kind] for block in shape.cells if len(block)), default=0)


def top_blocks(shape: Shape) -> tuple[CellBlock, ...]:
    """The blocks whose cells have the shape's own dimension."""
    order = order_of(shape)
    return tuple(block for block in shape.cells if len(block) and ORDER[block.kind] == order)


def cell_sizes(block: CellBlock, points: Floats) -> Floats:
    """(m,) lengths, areas or volumes of the cells of one block, >= 0, in the units of ``points``."""
    if ORDER[block.kind] != 2 or block.kind == "triangle":
        return simplex_sizes(points[block.indices])
    corner, owner = _wedges(block, points)
    return totals(owner, simplex_sizes(corner), len(block))


def lumped_sizes(block: CellBlock, points: Floats) -> Floats:
    """(n,) shares of the points in the sizes of one block's cells; they sum to the sum of ``cell_sizes``."""
    n = len(points)
    if ORDER[block.kind] != 2 or block.kind == "triangle":
        k = block.indices.shape[1]
        return totals(block.indices.reshape(-1), np.repeat(cell_sizes(block, points) / k, k), n)
    corner, owner = _wedges(block, points)
    third = simplex_sizes(corner) / 3
    flat = block.indices.reshape(-1)
    sizes = np.bincount(owner, minlength=len(block))
    of_mean = (totals(owner, third, len(block)) / np.maximum(sizes, 1))[owner]
    return totals(flat, third + of_mean, n) + totals(flat[next_corner(block)], third, n)


def simplex_sizes(corners: Floats) -> Floats:
    """(m,) lengths, areas or volumes of the simplices with ``corners`` (m, k, d), k = 2, 3 or 4."""
    edges = corners[:, 1:] - corners[:, :1]
    k = edges.shape[1]
    if k == 1:
        return np.asarray(np.linalg.norm(edges[:, 0], axis=1))
    if k == 2:
        (ax, ay, *az), (bx, by, *bz) = edges[:, 0].T, edges[:, 1].T
        flat = ax * by - ay * bx
        if not az:
            return np.abs(flat) / 2
        return np.sqrt((ay * bz[0] - az[0] * by) ** 2 + (az[0] * bx - ax * bz[0]) ** 2 + flat**2) / 2
    if edges.shape[2] < 3:  # a tetrahedron in the plane
        return np.zeros(len(edges))
    volume = np.einsum("md,md->m", edges[:, 0], np.cross(edges[:, 1], edges[:, 2]))
    return np.abs(volume) / 6


def corner_means(block: CellBlock, values: Floats) -> Floats:
    """(m, k) means over the corners of each cell of one block; values: (c, k), one row for every place in the flat list
    of its corners. Zero for a cell without corners."""
    owner = owners(block)
    count = np.maximum(np.bincount(owner, minlength=len(block)), 1)
    return np.stack([totals(owner, column, len(block)) / count for column in values.T], axis=1)


def totals(places: Integers, values: Floats, n: int) -> Floats:
    """(n,) sums of the values that share a place."""
    return np.asarray(np.bincount(places, values, n), dtype=np.float64)


def next_corner(block: CellBlock) -> Integers:
    """For every place in the flat list of a block's corners, the place of the next corner of the same face."""
    if block.offsets is None:
        m, k = block.indices.shape
        places = np.arange(m * k).reshape(m, k)
        return np.roll(places, -1, axis=1).reshape(-1)
    following = np.arange(1, len(block.indices) + 1)
    filled = np.diff(block.offsets) > 0
    following[block.offsets[1:][filled] - 1] = block.offsets[:-1][filled]
    return following


def steps_within(counts: Integers) -> Integers:
    """0, 1, ..., count - 1 for every count, one after the other: the places of things within their groups."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


def owners(block: CellBlock) -> Integers:
    """For every place in the flat list of a block's corners, the cell that it belongs to."""
    sizes = np.full(len(block), block.indices.shape[1]) if block.offsets is None else np.diff(block.offsets)
    return np.repeat(np.arange(len(block)), sizes)


def _wedges(block: CellBlock, points: Floats) -> tuple[Floats, Integers]:
    """The triangle (corner, next corner, mean of the face) of every corner, (c, 3, d), and the face that it is in."""
    owner = owners(block)
    own = points[block.indices.reshape(-1)]
    return np.stack([own, own[next_corner(block)], corner_means(block, own)[owner]], axis=1), owner
