"""Fields on points, for viewers: ``.vtu`` (ParaView, Slicer), ``.ply`` with scalar columns, ``.npz``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError, OutputFileError
from otreg.io.write import write_shape
from otreg.shapes import CellBlock, Shape

FIELD_FORMATS = (".vtu", ".ply", ".npz")


def write_fields(
    path: Path | str,
    *,
    points: npt.NDArray[np.float64],
    cells: Sequence[CellBlock] = (),
    point_data: Mapping[str, npt.NDArray[Any]],
    overwrite: bool = False,
) -> None:
    """Writes points (n, d) with cells and values per point, (n,) or (n, k), to .vtu, .ply or .npz.

    In .vtu, points and vectors of the plane get a third coordinate 0, and a cloud gets a vertex cell per point.
    Raises FormatError for another extension, OutputFileError when the file exists or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FIELD_FORMATS:
        raise FormatError(f"{path}: fields are written to {', '.join(FIELD_FORMATS)}; got '{path.suffix}'")
    for name, values in point_data.items():
        if len(values) != len(points):
            raise OutputFileError(f"{path}: field '{name}' has {len(values)} values for {len(points)} points")
    shape = Shape(points=np.asarray(points, dtype=np.float64), cells=tuple(cells), point_data=dict(point_data))
    write_shape(shape, path, overwrite=overwrite)
