"""What the page's viewer shows, as one JSON object: shapes, the fields that colour them, arrows.

Arrays are base64 of little-endian numbers. Coordinates are relative to ``offset``, a point of the last
shape if that is far from the origin, because browsers draw in single precision.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from otreg.report.camera import camera_of
from otreg.report.colours import DIVERGING, SEQUENTIAL, colour_stops
from otreg.report.drawing import Drawing
from otreg.shapes import Points

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SceneShape:
    """One shape of the viewer. name: its key; label: for people; points: (n, d), of which the drawing chooses."""

    name: str
    label: str
    drawing: Drawing
    points: Points
    colour: str
    visible: bool = True
    opacity: float = 1.0


@dataclass(frozen=True)
class SceneField:
    """Values of the drawn vertices of one shape. unit: "" for pure numbers; centre: where diverging colours are white,
    None for values that start at their least."""

    shape: str
    name: str
    label: str
    unit: str
    values: Floats
    centre: float | None = None


@dataclass(frozen=True)
class SceneArrows:
    """Vectors at points: where each begins, (k, d), and how far it goes, (k, d), in file units."""

    name: str
    label: str
    start: Points
    vectors: Floats


def scene(
    shapes: Sequence[SceneShape],
    *,
    fields: Sequence[SceneField] = (),
    arrows: Sequence[SceneArrows] = (),
    coloured_by: str = "",
) -> dict[str, Any]:
    """The object that ``viewer.js`` draws. coloured_by: name of the field to begin with, "" for none."""
    drawn = [shape.points[shape.drawing.chosen] for shape in shapes]
    dimension = drawn[-1].shape[1]
    offset = _offset(drawn[-1])
    right, up, backward = camera_of(drawn[-1])
    return {
        "dimension": dimension,
        "offset": offset.tolist(),
        "camera": {"up": up.tolist(), "eye": backward.tolist(), "right": right.tolist()},
        "coloured_by": coloured_by,
        "colours": {"sequential": colour_stops(SEQUENTIAL), "diverging": colour_stops(DIVERGING)},
        "shapes": [
            {
                "name": shape.name,
                "label": shape.label,
                "kind": shape.drawing.kind,
                "colour": shape.colour,
                "visible": shape.visible,
                "opacity": shape.opacity,
                "note": shape.drawing.note,
                "points": _columns(points - offset),
                "corners": _corners(shape.drawing),
            }
            for shape, points in zip(shapes, drawn, strict=True)
        ],
        "fields": [
            {
                "shape": field.shape,
                "name": field.name,
                "label": field.label,
                "unit": field.unit,
                "values": _packed(field.values, "<f4"),
                "largest": float(field.values.max()),
                **_range(field),
            }
            for field in fields
        ],
        "arrows": [
            {
                "name": one.name,
                "label": one.label,
                "start": _columns(one.start - offset),
                "vectors": _columns(one.vectors),
            }
            for one in arrows
        ],
    }


def _offset(points: Points) -> Floats:
    """What to subtract: nothing near the origin, else round numbers in the middle of the points."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, size = (low + high) / 2, float(np.linalg.norm(high - low)) or 1.0
    if float(np.abs(middle).max()) < 100 * size:
        return np.zeros(len(middle))
    step = 10.0 ** np.ceil(np.log10(size))
    return np.round(middle / step) * step


def _range(field: SceneField) -> dict[str, Any]:
    """Ends of the colour scale and its kind; the last percent of the values does not stretch it."""
    kind: Literal["sequential", "diverging"] = "sequential" if field.centre is None else "diverging"
    if field.centre is None:
        low = min(0.0, float(np.percentile(field.values, 1)))
        high = float(np.percentile(field.values, 99))
    else:
        reach = float(np.percentile(np.abs(field.values - field.centre), 99))
        # Determinants of a rotation differ from 1 by rounding only: that is no colour.
        reach = max(reach, 1e-3)
        low, high = field.centre - reach, field.centre + reach
    return {"scale": kind, "low": low, "high": high if high > low else low + 1.0}


def _corners(drawing: Drawing) -> list[dict[str, str]]:
    """Columns of the corners, in two bytes each where these can count the vertices."""
    kind: Literal["<u2", "<u4"] = "<u2" if len(drawing.chosen) <= 1 << 16 else "<u4"
    return [_packed(column, kind) for column in drawing.corners.T]


def _columns(points: Floats) -> list[dict[str, str]]:
    return [_packed(column, "<f4") for column in points.T]


def _packed(values: npt.NDArray[Any], kind: Literal["<f4", "<u2", "<u4"]) -> dict[str, str]:
    """An array as {"kind": "f4", "u2" or "u4", "data": base64}."""
    return {"kind": kind[1:], "data": base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()}
