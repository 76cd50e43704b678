"""How coordinates become numbers in a file: single precision only while it does not move the shape.

A file that held float32 positions gets float32 positions back, as long as the rounding stays below a millionth of the
shape's own size; far from the origin (map coordinates) it does not, and the positions become float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ROUNDING_ALLOWED = 1e-6  # of the bounding box's diagonal


def storage_dtype(points: Floats, declared: np.dtype[Any], *, axis: int | None = None) -> np.dtype[Any]:
    """The dtype in which points (n, d), or one axis of them, may be stored: ``declared``, or float64 for precision.

    Floats are judged by all axes together, so that a file does not mix precisions; integers by the axis alone.
    """
    if declared == np.float64 or not points.size:
        return declared
    if declared.kind != "f":  # integer coordinates hold integers, and nothing else
        stored = points if axis is None else points[:, axis]
        limits = np.iinfo(declared)
        exact = (stored == np.rint(stored)).all() and stored.min() >= limits.min and stored.max() <= limits.max
        return declared if exact else np.dtype(np.float64)
    with np.errstate(over="ignore"):
        error = np.abs(points.astype(declared).astype(np.float64) - points).max()
    diagonal = float(np.linalg.norm(np.ptp(points, axis=0)))
    return declared if error <= ROUNDING_ALLOWED * diagonal else np.dtype(np.float64)


def as_text(values: npt.NDArray[Any]) -> list[str]:
    """The shortest decimal text of each value that reads back as the same number in its dtype."""
    if values.dtype == np.float32:
        return [str(v) for v in values]
    numbers = values.tolist()
    if values.dtype != np.float64 or not numbers:
        return list(map(repr, numbers))
    from pydantic_core import to_json  # who only reads a file, as the child of otreg.io.guarded, does without it

    # The writer of JSON finds the same digits sooner. It differs from repr in exponents, and in NaN and infinities.
    texts = to_json(numbers)[1:-1].decode("ascii").split(",")
    size = np.abs(values)
    for k in np.flatnonzero(~((size >= 1e-4) & (size < 1e16) | (size == 0))).tolist():
        texts[k] = repr(numbers[k])
    return texts


def unchanged(values: npt.NDArray[Any], read: npt.NDArray[Any]) -> bool:
    """Whether an attribute still is what was read, NaN included, so that its text or bytes can stay as they were."""
    return values is read or bool(np.array_equal(values, read, equal_nan=read.dtype.kind == "f"))
