"""Cell blocks out of the lists of indices that files hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from otreg.shapes import CellBlock

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
