"""XML PolyData (``.vtp``), written by VTK itself; needs the extra ``otreg[vtk]``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from otreg.io.cells import lists_of_block
from otreg.io.guarded import require
from otreg.shapes import Shape


def write_vtp(shape: Shape, path: Path) -> None:
    """Writes a shape as .vtp, in float64. Raises MissingDependencyError without pyvista."""
    require("pyvista")
    import pyvista

    mesh = pyvista.PolyData()
    mesh.points = shape.points
    lines = [block for block in shape.cells if block.kind == "line"]
    faces = [block for block in shape.cells if block.kind != "line"]
    if lines:
        mesh.lines = np.concatenate([lists_of_block(block) for block in lines])
    if faces:
        mesh.faces = np.concatenate([lists_of_block(block) for block in faces])
    for name, values in shape.point_data.items():
        mesh.point_data[name] = values
    for name, values in shape.cell_data.items():
        mesh.cell_data[name] = values
    mesh.save(path)
