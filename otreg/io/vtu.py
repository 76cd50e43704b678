"""VTK unstructured grids (``.vtu``), which ParaView shows: cells of any kind, and fields on points and cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.io.vtk_xml import vtk_document
from otreg.shapes import CellBlock, Shape

Array = npt.NDArray[Any]

# VTK's numbers of the kinds of cells.
_TYPES = {"vertex": 1, "line": 3, "triangle": 5, "polygon": 7, "quad": 9, "tetra": 10}


def write_vtu(shape: Shape, path: Path) -> None:
    """Writes a shape as compressed .vtu; plane points and vectors get z = 0, a cloud gets a vertex cell per point."""
    parts, order = _parts(shape)
    sizes = np.concatenate([np.full(len(corners), corners.shape[1]) for _, corners in parts])
    cells = {
        "connectivity": np.concatenate([corners.reshape(-1) for _, corners in parts]).astype(np.int64),
        "offsets": np.cumsum(sizes).astype(np.int64),
        "types": np.concatenate([np.full(len(corners), _TYPES[kind], np.uint8) for kind, corners in parts]),
    }
    sections = {
        "Points": {"Points": _padded(shape.points)},
        "Cells": cells,
        "PointData": {name: _field(np.asarray(values)) for name, values in shape.point_data.items()},
        "CellData": {name: _field(np.asarray(values)[order]) for name, values in shape.cell_data.items()},
    }
    counts = {"Points": len(shape.points), "Cells": len(sizes)}
    with path.open("wb") as file:
        file.writelines(vtk_document("UnstructuredGrid", counts=counts, sections=sections, compressed=True))


def vtu_cannot_hold(shape: Shape) -> str | None:
    """What of a shape would be lost in .vtu, in words; None if nothing."""
    for name, values in (*shape.point_data.items(), *shape.cell_data.items()):
        if values.dtype.kind not in "fiub" or values.dtype == np.float16 or values.ndim > 2:
            return f"the attribute '{name}' ({values.dtype})"
    return None


def _parts(shape: Shape) -> tuple[list[tuple[str, Array]], npt.NDArray[np.int64]]:
    """Blocks of cells with equally many corners, and the place in the shape that each cell came from."""
    blocks: list[tuple[str, Array]] = []
    order: list[npt.NDArray[np.int64]] = []
    start = 0
    for block in shape.cells:
        places = np.arange(start, start + len(block))
        start += len(block)
        for kind, indices, rows in _equal_parts(block):
            blocks.append((kind, indices))
            order.append(places[rows])
    if not blocks:
        blocks = [("vertex", np.arange(len(shape.points))[:, None])]
    return blocks, np.concatenate(order) if order else np.zeros(0, np.int64)


def _equal_parts(block: CellBlock) -> list[tuple[str, Array, Array]]:
    if block.offsets is None:
        return [(block.kind, block.indices, np.arange(len(block)))] if len(block) else []
    sizes = np.diff(block.offsets)
    parts = []
    for size in np.unique(sizes).tolist():
        rows = np.flatnonzero(sizes == size)
        indices = block.indices[block.offsets[rows][:, None] + np.arange(size)]
        kind = {1: "vertex", 2: "line", 3: "triangle", 4: "quad"}.get(size, "polygon")
        if size:
            parts.append((kind, indices, rows))
    return parts


def _field(values: Array) -> Array:
    if values.dtype == bool:
        values = values.astype(np.uint8)
    return _padded(values) if values.ndim == 2 and values.shape[1] == 2 else np.ascontiguousarray(values)


def _padded(values: Array) -> Array:
    """(n, 3) points or vectors; a missing third coordinate is 0."""
    if values.shape[1] == 3:
        return np.ascontiguousarray(values)
    return np.concatenate([values, np.zeros((len(values), 1), values.dtype)], axis=1)
