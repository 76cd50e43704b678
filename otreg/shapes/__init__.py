"""What a file holds: points, cells, attributes."""

from otreg.shapes.shape import CELL_SIZES, CellBlock, CellKind, Points, Shape

__all__ = ["CELL_SIZES", "CellBlock", "CellKind", "Points", "Shape"]
