"""NumPy files: ``.npy`` holds points, ``.npz`` holds a whole shape without loss. Pickles inside are never read.

In ``.npz``, ``points`` is (n, 2 or 3); an array of n values under another name is a point attribute, ``cell_data.NAME``
an attribute of cells; ``cells_0_triangle``, ``cells_1_line``, ... (for polygons also ``..._offsets``) are the cells.
"""

from __future__ import annotations

import math
import re
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError
from otreg.io.numbers import storage_dtype
from otreg.io.source import regular_file
from otreg.shapes import CELL_SIZES, CellBlock, Shape

# What zipfile raises on damaged archives, OSError for places in front of the file's beginning included.
DAMAGED = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError)
Array = npt.NDArray[Any]
CELLS = re.compile(r"cells_(\d+)_(line|triangle|quad|polygon|tetra)$")
ALIASES = {"triangles": "triangle", "faces": "triangle", "quads": "quad", "lines": "line", "edges": "line"}
# A zip file of a few kilobytes can claim terabytes; arrays of shapes do not shrink so far.
LARGEST_RATIO = 200
SMALL = 1 << 28  # bytes that are always allowed


@dataclass(frozen=True)
class NumpyNative:
    """The arrays of the file; "" names the one of a .npy file. ``axes`` names the fields or arrays of coordinates."""

    arrays: Mapping[str, Array]
    axes: tuple[str, ...]


def read_npy(path: Path) -> Shape:
    """The points in a .npy file: an array (n, 2) or (n, 3), or a structured array with fields x, y (and z)."""
    size = regular_file(path)
    with path.open("rb") as file:
        array = _read_array(file, size, path.name)
    if array.dtype.names:
        columns = {name: array[name] for name in array.dtype.names}
        axes = _axes(columns)
        if not axes or array.ndim != 1:
            raise FormatError(f"a structured array must have fields x and y; found {', '.join(array.dtype.names)}")
        others = {name: np.array(values) for name, values in columns.items() if name not in axes}
        return _shape(np.stack([columns[a] for a in axes], axis=1), others, NumpyNative({"": array}, axes))
    return _shape(array, {}, NumpyNative({"": array}, ()))


def read_npz(path: Path) -> Shape:
    """The shape in a .npz file. Raises FormatError when no array in it can be the points."""
    arrays = _read_archive(path)
    axes: tuple[str, ...] = ()
    if "points" not in arrays:
        tables = [name for name, a in arrays.items() if a.ndim == 2 and a.shape[1] in (2, 3) and a.dtype.kind == "f"]
        axes = _axes(arrays) if _axes(arrays) else tuple(tables) if len(tables) == 1 else ()
        if not axes:
            names = ", ".join(arrays) or "nothing"
            raise FormatError(f"must hold an array 'points' (n, 2) or (n, 3), or arrays x, y; found {names}")
    else:
        axes = ("points",)
    points = arrays[axes[0]] if len(axes) == 1 else np.stack([arrays[a] for a in axes], axis=1)
    cells, used = _cells(arrays)
    n = len(points)
    point_data = {
        name: values
        for name, values in arrays.items()
        if name not in axes and name not in used and not name.startswith("cell_data.") and values.shape[:1] == (n,)
    }
    count = sum(len(block) for block in cells)
    cell_data = {
        name.removeprefix("cell_data."): values
        for name, values in arrays.items()
        if name.startswith("cell_data.") and values.shape[:1] == (count,)
    }
    return _shape(points, point_data, NumpyNative(arrays, axes), cells, cell_data)


def write_npy(shape: Shape, path: Path) -> None:
    """Writes the points as .npy, with the dtype and fields of the .npy file that they came from."""
    array = shape.points
    if isinstance(shape.native, NumpyNative):
        array = _restored(shape, shape.native.arrays[""], shape.native.axes)
    header = np.lib.format.header_data_from_array_1_0(array)
    with path.open("wb") as file:
        try:
            np.lib.format.write_array_header_1_0(file, header)
        except ValueError:  # more fields than a short header holds
            np.lib.format.write_array_header_2_0(file, header)
        # Not by NumPy, which says nothing of a full disk but two numbers.
        file.write(array.tobytes("F" if header["fortran_order"] else "C"))


def write_npz(shape: Shape, path: Path) -> None:
    """Writes the whole shape as .npz, with the names and dtypes of the .npz file that it came from."""
    arrays: dict[str, Array]
    if isinstance(shape.native, NumpyNative):
        arrays = dict(shape.native.arrays)
        axes = shape.native.axes
        if len(axes) == 1:
            arrays[axes[0]] = _stored(shape.points, arrays[axes[0]].dtype)
        else:
            arrays.update({a: _stored(shape.points, arrays[a].dtype, axis=k) for k, a in enumerate(axes)})
    else:
        arrays = {"points": shape.points}
        for k, block in enumerate(shape.cells):
            arrays[f"cells_{k}_{block.kind}"] = block.indices
            if block.offsets is not None:
                arrays[f"cells_{k}_{block.kind}_offsets"] = block.offsets
        arrays.update({f"cell_data.{name}": np.asarray(values) for name, values in shape.cell_data.items()})
    arrays.update({name: np.asarray(values) for name, values in shape.point_data.items()})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            # Without a date: the same shape is the same bytes.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def npy_cannot_hold(shape: Shape) -> str | None:
    """What of a shape would be lost in .npy, in words; None if nothing."""
    if any(len(block) for block in shape.cells):
        return "faces, lines or other cells"
    return f"the attribute '{next(iter(shape.point_data))}'" if shape.point_data else None


def npz_cannot_hold(shape: Shape) -> str | None:
    """What of a shape would be lost in .npz, in words; None if nothing."""
    for name, values in (*shape.point_data.items(), *shape.cell_data.items()):
        if values.dtype.hasobject:
            return f"the attribute '{name}', which holds Python objects"
    clash = next((n for n in shape.point_data if n == "points" or n in ALIASES or n.startswith("cell")), None)
    return f"an attribute called '{clash}', a name that .npz uses itself" if clash else None


def _shape(
    points: Array,
    point_data: dict[str, Array],
    native: NumpyNative,
    cells: tuple[CellBlock, ...] = (),
    cell_data: dict[str, Array] | None = None,
) -> Shape:
    if points.ndim != 2 or points.shape[1] not in (2, 3) or points.dtype.kind not in "fiu":
        hint = " (transpose it?)" if points.ndim == 2 and points.shape[0] in (2, 3) else ""
        raise FormatError(f"points must be numbers (n, 2) or (n, 3); found {points.dtype} {points.shape}{hint}")
    return Shape(
        points=np.ascontiguousarray(points, dtype=np.float64),
        cells=cells,
        point_data=point_data,
        cell_data=cell_data or {},
        native=native,
    )


def _axes(columns: Mapping[str, Array]) -> tuple[str, ...]:
    """The names x, y (and z) in whatever case they have here, or nothing."""
    by_axis = {name.lower(): name for name, values in columns.items() if values.ndim == 1}
    axes = tuple(by_axis[a] for a in "xyz" if a in by_axis)
    same = len({len(columns[a]) for a in axes}) == 1
    return axes if "x" in by_axis and "y" in by_axis and same else ()


def _cells(arrays: Mapping[str, Array]) -> tuple[tuple[CellBlock, ...], set[str]]:
    """The cells, in the order of their numbers, and the names of the arrays that hold them."""
    found: list[tuple[int, CellBlock]] = []
    used: set[str] = set()
    for name, array in arrays.items():
        match = CELLS.match(name)
        kind: Any = match.group(2) if match else ALIASES.get(name)
        if kind is None or array.dtype.kind not in "iu":
            continue
        offsets = arrays.get(f"{name}_offsets")
        indices = array.astype(np.int64)
        if kind == "polygon":
            if offsets is None or not _bounds(offsets, len(indices)):
                raise FormatError(f"array '{name}' needs '{name}_offsets' that rise from 0 to its length")
            block = CellBlock(kind, indices.reshape(-1), offsets.astype(np.int64))
            used.add(f"{name}_offsets")
        elif indices.ndim == 2 and indices.shape[1] == CELL_SIZES[kind]:
            block = CellBlock(kind, indices)
        elif match:
            raise FormatError(f"array '{name}' must be (m, {CELL_SIZES[kind]}); found {array.shape}")
        else:
            continue  # an array that happens to be called "faces"
        used.add(name)
        found.append((int(match.group(1)) if match else len(found), block))
    return tuple(block for _, block in sorted(found, key=lambda item: item[0])), used


def _bounds(offsets: Array, length: int) -> bool:
    whole = offsets.ndim == 1 and offsets.dtype.kind in "iu" and len(offsets) > 0
    return bool(whole and offsets[0] == 0 and offsets[-1] == length and (np.diff(offsets.astype(np.int64)) >= 0).all())


def _restored(shape: Shape, array: Array, axes: tuple[str, ...]) -> Array:
    if not axes:
        order: Any = "F" if np.isfortran(array) else "C"
        return np.array(_stored(shape.points, array.dtype), order=order)
    columns = {name: array[name] for name in array.dtype.names or ()}
    columns.update({a: _stored(shape.points, array.dtype[a], axis=k) for k, a in enumerate(axes)})
    columns.update({name: np.asarray(values) for name, values in shape.point_data.items()})
    table = np.empty(len(array), [(name, values.dtype, values.shape[1:]) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    return table


def _stored(points: npt.NDArray[np.float64], dtype: np.dtype[Any], *, axis: int | None = None) -> Array:
    """The points, or one axis of them, in the dtype that they had if it is precise enough."""
    values = points if axis is None else points[:, axis]
    return values.astype(storage_dtype(points, dtype, axis=axis))


def _read_archive(path: Path) -> dict[str, Array]:
    size = regular_file(path)
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
            claimed = sum(member.file_size for member in members)
            if claimed > max(SMALL, LARGEST_RATIO * size):
                raise FormatError(f"claims to unpack {size} bytes to {claimed}; this is not a shape")
            for member in members:
                with archive.open(member) as stream:
                    name = member.filename.removesuffix(".npy")
                    arrays[name] = _read_array(stream, member.file_size, name)
    except FormatError:
        raise
    except DAMAGED as error:
        raise FormatError(f"is not a readable .npz archive: {error}") from error
    return arrays


def _read_array(file: IO[bytes], size: int, name: str) -> Array:
    """One array; its header's claim is checked against the bytes that there are before anything is allocated."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise FormatError(f"array '{name}' has format version {version}; 1.0 and 2.0 can be read")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files that Python 2 wrote; they are read all the same
            dimensions, fortran, dtype = read_header(file)
    except (tokenize.TokenError, SyntaxError) as error:  # the header is a Python literal, or should be one
        raise FormatError(f"array '{name}' has a damaged header: {error}") from error
    if dtype.hasobject:
        raise FormatError(f"array '{name}' holds pickled Python objects, which are never read; save plain numbers")
    claimed = math.prod(dimensions) * dtype.itemsize
    if claimed > size or any(k < 0 for k in dimensions):
        raise FormatError(f"array '{name}' claims {dimensions} of {dtype}, {claimed} bytes; the file has {size}")
    data = file.read(claimed)
    if len(data) < claimed:
        raise FormatError(f"array '{name}' is cut off: {claimed} bytes claimed, {len(data)} found")
    array = np.frombuffer(data, dtype, math.prod(dimensions)) if claimed else np.zeros(math.prod(dimensions), dtype)
    return array.reshape(dimensions, order="F" if fortran else "C")
