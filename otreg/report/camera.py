"""From where a shape is looked at: so that most of it is seen, with z (else y) pointing up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from otreg.shapes import Points

Floats = npt.NDArray[np.float64]

# How far the camera leaves the direction in which the shape is thinnest, so that depth is seen as well.
_ASIDE, _ABOVE = np.radians(25.0), np.radians(22.0)


def camera_of(points: Points) -> Floats:
    """(3, 3) unit rows: to the right, upwards, towards the viewer; of the shape with ``points`` (n, 2 or 3).

    Plane shapes are seen as they are. Others are seen along their thinnest direction, turned a little to the side and
    raised, from the side where the axis has its positive (for y: negative) end.
    """
    if points.shape[1] == 2:
        return np.eye(3)
    centred = points - points.mean(axis=0)
    spread = centred.T @ centred
    thin = np.linalg.eigh(spread)[1][:, 0]
    # The upward axis is the last coordinate that the view does not foreshorten much.
    up = next(axis for axis in np.eye(3)[[2, 1, 0]] if abs(axis @ thin) < 0.8)
    # From the front as most people lay their axes: against y, along z or x.
    thin = thin * _sign(thin @ np.array([0.5, -1.0, 0.75]))
    flat = thin - (thin @ up) * up
    flat /= np.linalg.norm(flat)
    right = np.cross(up, flat)
    turned = np.cos(_ASIDE) * flat + np.sin(_ASIDE) * right
    backward = np.cos(_ABOVE) * turned + np.sin(_ABOVE) * up
    right = np.cross(up, backward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(backward, right), backward])


def _sign(value: float) -> float:
    return 1.0 if value >= 0 else -1.0
