"""Cell blocks out of the lists of indices that files hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from otreg.shapes import CellBlock, Shape

Integers = npt.NDArray[np.int64]


def blocks_of_lists(counts: Integers, items: Integers) -> list[CellBlock]:
    """Faces as one block: triangles or quads if all are, else polygons in file order; no block for no faces.

    counts: (m,) corners of each face; items: all corners, one face after the other.
    """
    if not len(counts):
        return []
    for kind, size in (("triangle", 3), ("quad", 4)):
        if (counts == size).all():
            return [CellBlock(kind, items.reshape(-1, size))]  # type: ignore[arg-type]
    return [CellBlock("polygon", items, np.concatenate([[0], np.cumsum(counts)]))]


def segments_of_lists(counts: Integers, corners: Integers) -> list[CellBlock]:
    """Polylines as one block of segments between neighbours; no block if there are none."""
    if not len(corners):
        return []
    ends = np.zeros(len(corners), dtype=bool)
    ends[np.cumsum(counts[counts > 0]) - 1] = True
    begin = np.flatnonzero(~ends)
    return [CellBlock("line", np.stack([corners[begin], corners[begin + 1]], axis=1))] if len(begin) else []


def triangles_of_strips(counts: Integers, items: Integers) -> list[CellBlock]:
    """Strips a b c d ... are the triangles abc, cbd, ...; -1 begins a new strip, and so does a new record."""
    place = np.arange(len(items))
    cut = items == -1
    starts = np.zeros(len(items) + 1, dtype=bool)
    starts[np.cumsum(counts) - counts] = True
    starts[1:] |= cut
    begin = np.maximum.accumulate(np.where(starts[:-1], place, 0))  # where the strip of each corner begins
    k = place[(place - begin >= 2) & ~cut]
    odd = (k - begin[k]) % 2 == 1
    corners = np.stack([items[k - 2], items[k - 1], items[k]], axis=1)
    corners[odd] = corners[odd][:, [1, 0, 2]]
    return [CellBlock("triangle", corners)] if len(corners) else []


def lists_of_block(block: CellBlock) -> Integers:
    """The cells of a block as "k i_1 ... i_k", one after the other, as VTK stores them."""
    if block.offsets is None:
        m, k = block.indices.shape
        return np.concatenate([np.full((m, 1), k), block.indices], axis=1).reshape(-1)
    return np.insert(block.indices, block.offsets[:-1], np.diff(block.offsets))


def not_lines_then_faces(shape: Shape) -> str | None:
    """What keeps a shape out of formats of points in space, then lines, then faces, in words; None if nothing."""
    if shape.dimension != 3:
        return "points with 2 coordinates"
    if any(block.kind == "tetra" for block in shape.cells):
        return "tetrahedra"
    kinds = [block.kind == "line" for block in shape.cells if len(block)]
    if kinds != sorted(kinds, reverse=True):
        return "lines behind faces"
    return None
