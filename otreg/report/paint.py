"""Pictures of shapes with matplotlib, whose 3-D axes know neither light nor which triangle hides which.

Shapes are projected here, shaded by one light, and drawn from back to front over all of them. That is right wherever
triangles are small against the gaps between surfaces, which drawings of thousands of triangles are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb

from otreg.report.drawing import Drawing
from otreg.shapes import Points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]
# To the right, upwards and towards the viewer; of length one.
_LIGHT = np.array([-0.35, 0.60, 0.72])
_AMBIENT, _DIFFUSE, _SHINE, _SHARPNESS = 0.40, 0.60, 0.15, 24


@dataclass(frozen=True)
class Layer:
    """One shape of a picture: its drawing at ``points`` (n, d), of which the drawing chooses.

    colour: a name, or (v, 3) red, green and blue from 0 to 1 of the drawn vertices; opacity: from 0 to 1.
    """

    drawing: Drawing
    points: Points
    colour: str | Floats
    opacity: float = 1.0


def paint(axes: Axes, layers: Sequence[Layer], camera: Floats) -> None:
    """Draws the layers into the axes, as ``camera`` (see ``camera_of``) sees them, and makes the axes equal."""
    pieces = [_seen(layer, camera) for layer in layers]
    surfaces = [piece for piece, layer in zip(pieces, layers, strict=True) if layer.drawing.kind == "surface"]
    if surfaces:
        corners = np.concatenate([corner for corner, _ in surfaces])
        order = np.argsort(corners[:, :, 2].mean(axis=1))
        colours: Any = np.concatenate([colour for _, colour in surfaces])[order]
        flat: Any = corners[order, :, :2]
        # The edges hide the hairlines between neighbours that antialiasing leaves.
        axes.add_collection(PolyCollection(flat, facecolors=colours, edgecolors=colours, linewidths=0.2), autolim=False)
    for (corner, colour), layer in zip(pieces, layers, strict=True):
        if layer.drawing.kind == "curve":
            segments: Any = corner[:, :, :2]
            axes.add_collection(LineCollection(segments, colors=colour, linewidths=1.5), autolim=False)
        elif layer.drawing.kind == "points":
            order = np.argsort(corner[:, 0, 2])
            across, upwards, _ = corner[order, 0].T
            axes.scatter(across, upwards, c=colour[order], s=_dot(len(corner)), linewidths=0)
    seen = np.concatenate([corner[:, :, :2].reshape(-1, 2) for corner, _ in pieces])
    _frame(axes, seen)


def _frame(axes: Axes, seen: Floats) -> None:
    """Everything in sight, one unit as long upwards as sideways, no ticks; the axes keep their place and size."""
    low, high = seen.min(axis=0), seen.max(axis=0)
    size = axes.get_window_extent()
    width, height = size.width, size.height
    across, upwards = (high - low) * 1.06
    # Units per dot; shapes without any extent get a unit.
    unit = max(across / width, upwards / height) or 1.0 / width
    (x, y) = (low + high) / 2
    axes.set(xlim=(x - unit * width / 2, x + unit * width / 2), ylim=(y - unit * height / 2, y + unit * height / 2))
    axes.set_axis_off()


def _seen(layer: Layer, camera: Floats) -> tuple[Floats, Floats]:
    """(m, k, 3) corners of the pieces to the right, upwards and towards the viewer, and (m, 4) their colours."""
    points = layer.points[layer.drawing.chosen]
    if points.shape[1] == 2:
        points = np.c_[points, np.zeros(len(points))]
    corners = (points @ camera.T)[layer.drawing.corners]
    if isinstance(layer.colour, str):
        colour = np.broadcast_to(to_rgb(layer.colour), (len(corners), 3))
    else:
        colour = layer.colour[layer.drawing.corners].mean(axis=1)
    if layer.drawing.kind == "surface" and layer.points.shape[1] == 3:
        colour = _shaded(corners, colour)
    return corners, np.c_[colour, np.full(len(colour), layer.opacity)]


def _shaded(corners: Floats, colour: Floats) -> Floats:
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + np.finfo(float).tiny
    # Both sides are lit alike: scans and open surfaces are seen from behind as well.
    normals *= np.where(normals[:, 2:] < 0, -1.0, 1.0)
    lit = np.clip(normals @ _LIGHT, 0, 1)[:, None]
    return np.clip(colour * (_AMBIENT + _DIFFUSE * lit) + _SHINE * lit**_SHARPNESS, 0, 1)


def _dot(count: int) -> float:
    """Area of a point's mark in square points: the more there are, the smaller, between a speck and a clear dot."""
    return float(np.clip(9000 / count, 0.8, 12))
