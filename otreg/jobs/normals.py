"""Normals turn with the shape: n becomes the cofactor matrix of the Jacobian times n, at the length it had.

The cofactor matrix (det(J) J^-T) is what the area element of a surface is multiplied with, so that normals stay on the
side that the moved faces give them, mirrored maps included, and no inverse is needed where a map folds or flattens.
Normals are attributes: an (n, d) array called ``normals`` or ``Normals`` (as VTK's filters do), or the columns
``nx, ny, nz`` or ``normal_x, normal_y, normal_z`` (as PCD files do).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
ARRAYS = ("normals", "Normals")
COLUMNS = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))
CHUNK = 1 << 16  # points whose Jacobians are held at once: 65,536 x 9 x 8 bytes = 5 MB


def moved_normals(
    point_data: Mapping[str, np.ndarray], points: Array, *, jacobian: Callable[[Array], Array]
) -> dict[str, np.ndarray]:
    """The normal attributes of ``point_data`` after the map, by name, in the dtypes they had; {} when there are none.

    points: (n, d) in file units before the map; jacobian: points (k, d) -> (k, d, d).
    """
    n, d = points.shape  # points, dimension
    moved: dict[str, np.ndarray] = {}
    for columns in (names[:d] for names in COLUMNS):
        if all(name in point_data for name in columns):
            turned = _turn(np.stack([point_data[name] for name in columns], axis=1), points, jacobian=jacobian)
            moved |= {name: turned[:, k].astype(point_data[name].dtype) for k, name in enumerate(columns)}
    for name in ARRAYS:
        normals = point_data.get(name)
        if normals is not None and normals.shape == (n, d) and np.issubdtype(normals.dtype, np.floating):
            moved[name] = _turn(normals, points, jacobian=jacobian).astype(normals.dtype)
    return moved


def _turn(normals: np.ndarray, points: Array, *, jacobian: Callable[[Array], Array]) -> Array:
    normals = normals.astype(np.float64)
    turned = np.empty_like(normals)
    for start in range(0, len(points), CHUNK):
        rows = slice(start, start + CHUNK)
        turned[rows] = np.einsum("nab,nb->na", _cofactors(jacobian(points[rows])), normals[rows])
    before = np.linalg.norm(normals, axis=1)
    after = np.linalg.norm(turned, axis=1)
    # A normal of length 0 (no normal known) stays 0; so does one that a flattened map leaves undefined.
    factor = np.divide(before, after, out=np.zeros_like(before), where=after > 0)
    return turned * factor[:, None]


def _cofactors(matrices: Array) -> Array:
    """(n, d, d) cofactor matrices, d = 2 or 3: their rows are cross products of the other rows."""
    if matrices.shape[1] == 2:
        (a, b), (c, d) = matrices.transpose(1, 2, 0)
        return np.stack([np.stack([d, -c], axis=1), np.stack([-b, a], axis=1)], axis=1)
    first, second, third = matrices.transpose(1, 0, 2)
    return np.stack([np.cross(second, third), np.cross(third, first), np.cross(first, second)], axis=1)
