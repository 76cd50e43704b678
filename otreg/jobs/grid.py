"""A regular grid around a shape: where a map of space is looked at when its points are not enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otreg.errors import ArgumentError

Array = npt.NDArray[np.float64]

# On each side, as a share of the longest one: the outermost points of the shape lie inside the grid, not on its rim.
PADDING = 0.05


@dataclass(frozen=True)
class RegularGrid:
    """Points origin + spacing * (i, j, k) for 0 <= (i, j, k) < counts.

    origin: (d,) in file units; spacing: one for all axes, in file units; counts: how many points along each axis.
    """

    origin: tuple[float, ...]
    spacing: float
    counts: tuple[int, ...]

    @staticmethod
    def around(points: Array, count: int, *, max_points: int) -> RegularGrid:
        """The grid with ``count`` points along the longest side of the bounding box, which it covers with a margin.

        points: (n, d) in file units, not all equal. Raises ArgumentError for a grid of more than ``max_points`` points.
        """
        low, high = points.min(0), points.max(0)
        longest = float((high - low).max())
        sides = high - low + 2 * PADDING * longest
        spacing = longest * (1 + 2 * PADDING) / (count - 1)
        # Rounding must not add a layer to a side that is a whole number of steps.
        counts = tuple(math.ceil(side / spacing - 1e-9) + 1 for side in sides.tolist())
        size = math.prod(counts)
        if size > max_points:
            raise ArgumentError(
                f"a grid must have at most {max_points} points (--max-points); {count} along the longest side make "
                f"{' x '.join(map(str, counts))} = {size}. Choose fewer"
            )
        origin = (low + high) / 2 - spacing * (np.array(counts) - 1) / 2
        return RegularGrid(tuple(float(x) for x in origin), spacing, counts)

    def points(self) -> Array:
        """(k, d) the points, the last axis fastest: values.reshape(counts) is indexed by (i, j, k)."""
        steps = np.stack(np.meshgrid(*(np.arange(count) for count in self.counts), indexing="ij"), axis=-1)
        return np.asarray(self.origin) + self.spacing * steps.reshape(-1, len(self.counts))
