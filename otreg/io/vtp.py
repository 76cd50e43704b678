"""XML PolyData (``.vtp``), written here: VTK's own writer aborts the process when the disk is full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.io.vtk_xml import vtk_document
from otreg.shapes import CellBlock, Shape

Array = npt.NDArray[Any]


def write_vtp(shape: Shape, path: Path) -> None:
    """Writes a shape as .vtp, in float64; lines come before faces, as VTK counts cells."""
    lines = [block for block in shape.cells if block.kind == "line"]
    faces = [block for block in shape.cells if block.kind != "line"]
    counts = {"Points": len(shape.points), "Verts": 0, "Strips": 0}
    counts |= {"Lines": sum(map(len, lines)), "Polys": sum(map(len, faces))}
    sections = {
        "PointData": shape.point_data,
        "CellData": shape.cell_data,
        "Points": {"Points": shape.points},
        "Lines": _lists(lines),
        "Polys": _lists(faces),
    }
    with path.open("wb") as file:
        file.writelines(vtk_document("PolyData", counts=counts, sections=sections))


def _lists(blocks: list[CellBlock]) -> dict[str, Array]:
    """The corners of all cells, and where each cell's corners end."""
    sizes = [
        np.full(len(block), block.indices.shape[1]) if block.offsets is None else np.diff(block.offsets)
        for block in blocks
    ]
    corners = [block.indices.reshape(-1) for block in blocks]
    empty = [np.zeros(0, np.int64)]
    return {
        "connectivity": np.concatenate(corners or empty).astype(np.int64),
        "offsets": np.cumsum(np.concatenate(sizes or empty)).astype(np.int64),
    }
