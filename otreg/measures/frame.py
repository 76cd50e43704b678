"""The units-free frame: every length inside the library is a fraction of the target's diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otreg.errors import InputError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """x_frame = (x_file - origin) / scale, in float64.

    origin: (d,) in file units; scale: length of the bounding box's diagonal, in file units.
    """

    origin: tuple[float, ...]
    scale: float

    @staticmethod
    def of(points: Array) -> Frame:
        """The frame of a target: its bounding box's centre becomes 0, its diagonal 1.

        points: (n, d) in file units. Raises InputError when all points are equal.
        """
        low, high = points.min(0), points.max(0)
        scale = float(np.linalg.norm(high - low))
        if not scale > 0:
            raise InputError("all points of the target are equal: a frame needs a positive diagonal")
        return Frame(tuple(float(c) for c in (low + high) / 2), scale)

    def to_frame(self, points: Array) -> Array:
        """(n, d) file units -> (n, d) frame units."""
        return (points - np.asarray(self.origin)) / self.scale

    def to_file(self, points: Array) -> Array:
        """(n, d) frame units -> (n, d) file units."""
        return points * self.scale + np.asarray(self.origin)
