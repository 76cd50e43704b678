"""What every shape must satisfy, whichever reader it came from; checked here and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from otreg.errors import InputError
from otreg.shapes import CellBlock, Shape

LARGEST = 1e100  # coordinates beyond it would overflow when squared and summed


def checked(shape: Shape, *, drop_invalid: bool = False, max_points: int = 200_000_000) -> Shape:
    """The shape, if its points are usable and its cells index them; InputError that names the first offender if not.

    drop_invalid: remove points that are not finite, and the cells that use them, instead of refusing.
    """
    n = len(shape.points)
    if n == 0:
        raise InputError("holds no points; at least 1 is needed")
    if n > max_points:
        raise InputError(f"holds {n} points, more than the limit of {max_points}; raise --max-points")
    for block in shape.cells:
        _check_block(block, n)
    with np.errstate(invalid="ignore"):
        good = np.logical_and.reduce(np.abs(shape.points) <= LARGEST, axis=1)  # false for NaN
    if good.all():
        return shape
    if not drop_invalid:
        i = int(np.argmin(good))
        raise InputError(
            f"point {i} (counted from 0) is ({', '.join(f'{c:g}' for c in shape.points[i])}); "
            f"{n - int(good.sum())} of {n} points are not finite or beyond {LARGEST:g}; "
            "repair the file, or pass --drop-invalid to leave them out"
        )
    if not good.any():
        raise InputError(f"none of its {n} points is finite")
    return _without(shape, good)


def _check_block(block: CellBlock, n: int) -> None:
    if not len(block) or not block.indices.size:
        return
    if 0 <= block.indices.min() and block.indices.max() < n:
        return
    flat = block.indices.reshape(-1)
    place = int(np.argmax((flat < 0) | (flat >= n)))
    if block.offsets is None:
        cell = place // block.indices.shape[1]
    else:
        cell = int(np.searchsorted(block.offsets, place, side="right")) - 1
    raise InputError(f"{block.kind} {cell} (counted from 0) uses point {flat[place]}, but points are 0 to {n - 1}")


def _without(shape: Shape, keep: npt.NDArray[np.bool_]) -> Shape:
    """The shape without some points, and without the cells that use them."""
    new_index = np.cumsum(keep) - 1
    cells: list[CellBlock] = []
    kept_cells: list[npt.NDArray[np.bool_]] = []
    for block in shape.cells:
        if block.offsets is None:
            whole = np.logical_and.reduce(keep[block.indices], axis=1)
            cells.append(CellBlock(block.kind, new_index[block.indices[whole]]))
        else:
            sizes = np.diff(block.offsets)
            owner = np.repeat(np.arange(len(block)), sizes)
            whole = np.bincount(owner[~keep[block.indices]], minlength=len(block)) == 0
            offsets = np.concatenate([[0], np.cumsum(sizes[whole])])
            cells.append(CellBlock(block.kind, new_index[block.indices[whole[owner]]], offsets))
        kept_cells.append(whole)
    all_kept = np.concatenate(kept_cells) if kept_cells else np.zeros(0, bool)
    lost = int((~keep).sum())
    return replace(
        shape,
        points=shape.points[keep],
        cells=tuple(block for block in cells if len(block)),
        point_data={name: values[keep] for name, values in shape.point_data.items()},
        cell_data={name: values[all_kept] for name, values in shape.cell_data.items()},
        warnings=(
            *shape.warnings,
            f"{lost} points that are not finite and {int((~all_kept).sum())} cells were left out",
        ),
        native=None,  # the file's own layout has more points
    )
