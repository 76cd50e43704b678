"""What a shape file holds, in memory and without loss.

A :class:`Shape` is positions, cells and attributes in file units and in file order. It knows nothing about
transport. Whoever read it may leave a ``native`` payload, with which the same format is written back to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from otreg.errors import InputError

CellKind = Literal["line", "triangle", "quad", "polygon", "tetra"]
Space = Literal["", "RAS", "LPS"]
CELL_SIZES: dict[str, int] = {"line": 2, "triangle": 3, "quad": 4, "tetra": 4}

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CellBlock:
    """Cells of one kind. ``indices`` is (m, k) for fixed sizes; a polygon block is flat with (m + 1,) ``offsets``."""

    kind: CellKind
    indices: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.indices) if self.offsets is None else len(self.offsets) - 1


@dataclass(frozen=True)
class Shape:
    """Positions, cells and attributes of one file.

    points: (n, d) float64 in file units, d = 2 or 3, in file order; always finite.
    cells: blocks of lines, triangles, quads, polygons or tetrahedra that index ``points``.
    point_data, cell_data: attributes by name, first axis n or the number of cells over all blocks.
    comments: free text of the header, in order.
    format: registry name of the format that it came from ("ply", "obj", ...), "" when made in memory.
    path: the file that it came from.
    warnings: sentences about what was odd but accepted.
    space: where the axes point, if the file says so: "RAS" (right, anterior, superior), "LPS", else "".
    native: the codec's private payload for writing the same format back without loss.
    """

    points: Points
    cells: tuple[CellBlock, ...] = ()
    point_data: Mapping[str, np.ndarray] = field(default_factory=dict)
    cell_data: Mapping[str, np.ndarray] = field(default_factory=dict)
    comments: tuple[str, ...] = ()
    format: str = ""
    path: Path | None = None
    warnings: tuple[str, ...] = ()
    space: Space = ""
    native: Any = None

    def __post_init__(self) -> None:
        n, d = self.points.shape  # points, dimension
        if d not in (2, 3):
            raise InputError(f"a shape has 2 or 3 coordinates per point; got {d}")
        for name, values in self.point_data.items():
            if len(values) != n:
                raise InputError(f"attribute '{name}' has {len(values)} values for {n} points")

    @property
    def dimension(self) -> int:
        return int(self.points.shape[1])

    def with_points(self, points: Points, point_data: Mapping[str, np.ndarray] | None = None) -> Shape:
        """The same shape at other positions: everything else survives, the native payload included.

        ``point_data`` replaces the named attributes (normals that turned with the shape).
        """
        if points.shape != self.points.shape:
            raise InputError(f"moved points must have shape {self.points.shape}; got {points.shape}")
        return replace(
            self,
            points=np.ascontiguousarray(points, dtype=np.float64),
            point_data={**self.point_data, **(point_data or {})},
        )
