"""The viewer for any one or two shapes, without a registration."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from otreg.errors import InputError
from otreg.report.colours import MOVED, TARGET
from otreg.report.drawing import drawing_of
from otreg.report.page import Page, Table, write_page
from otreg.report.result_page import MOST
from otreg.report.scene import SceneField, SceneShape, scene
from otreg.report.words import number_text
from otreg.shapes import Shape, describe

# Attributes of a shape that can colour it; a page of a scan with dozens would not stay small.
_FIELDS = 12


def write_view(path: Path, first: Shape, second: Shape | None = None, *, overwrite: bool = False) -> None:
    """Writes a page that shows one or two shapes, which can be coloured by their numeric point attributes.

    Raises InputError for shapes of different dimension, OutputFileError.
    """
    write_page(view_page(first, second), path, overwrite=overwrite)


def view_page(first: Shape, second: Shape | None = None) -> Page:
    """What the page of one or two shapes says. Raises InputError for shapes of different dimension."""
    shapes = [first] if second is None else [first, second]
    if len({shape.dimension for shape in shapes}) > 1:
        raise InputError(
            f"shapes in one view must have the same number of coordinates; got {first.dimension} in {_name(first)} and "
            f"{shapes[1].dimension} in {_name(shapes[1])}. Show them one at a time"
        )
    drawn, fields, rows = [], [], []
    for key, shape, colour in zip(("first", "second"), shapes, (MOVED, TARGET), strict=False):
        drawing = drawing_of(shape, most=MOST)
        drawn.append(SceneShape(key, _name(shape), drawing, shape.points, colour))
        for number, name in enumerate(_numeric(shape)):
            label = name if second is None else f"{name} ({_name(shape)})"
            values = shape.point_data[name][drawing.chosen].astype(np.float64)
            fields.append(SceneField(key, f"{key}-{number}", label, "", values))
        facts = describe(shape)
        cells = ", ".join(f"{count:,} {kind}" for kind, count in facts["cells"].items()) or "none"
        low, high = (", ".join(number_text(c) for c in facts[end]) for end in ("lower", "upper"))
        rows.append(
            (_name(shape), number_text(facts["points"]), cells, f"({low}) to ({high})", number_text(facts["diagonal"]))
        )
    names = " and ".join(_name(shape) for shape in shapes)
    return Page(
        title=names,
        scene=scene(drawn, fields=fields),
        view_text=f"The shape{'s' if second is not None else ''} {names}.",
        tables=(Table("What is shown", ("", "points", "cells", "bounds (file units)", "diagonal"), tuple(rows)),),
    )


def _name(shape: Shape) -> str:
    return "shape" if shape.path is None else shape.path.name


def _numeric(shape: Shape) -> list[str]:
    """Attributes with one finite number per point."""
    names = [
        name
        for name, values in shape.point_data.items()
        if values.ndim == 1 and values.dtype.kind in "fiub" and np.isfinite(values).all()
    ]
    return names[:_FIELDS]
