"""What a file holds: points, cells, attributes."""

from otreg.shapes.describe import defects, describe
from otreg.shapes.shape import CELL_SIZES, CellBlock, CellKind, Points, Shape, Space
from otreg.shapes.triangles import triangles_of, vertex_normals

__all__ = [
    "CELL_SIZES",
    "CellBlock",
    "CellKind",
    "Points",
    "Shape",
    "Space",
    "defects",
    "describe",
    "triangles_of",
    "vertex_normals",
]
