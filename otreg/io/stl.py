"""STL files, binary and text: triangles that share no points, kept corner by corner in file order.

STL has no vertices, only the three corners of each triangle; point 3 t + k is corner k of triangle t, and nothing is
merged, so that the moved file has the same triangles in the same order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError, OutputFileError
from otreg.io.numbers import as_text, storage_dtype
from otreg.io.source import read_bytes
from otreg.io.text_lines import TextLines, numbers_of
from otreg.shapes import CellBlock, Shape

HEADER = 84  # bytes: 80 of free text, 4 of count
RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


@dataclass(frozen=True)
class StlNative:
    """A binary file's header and records, or a text file's lines."""

    head: bytes = b""
    records: npt.NDArray[np.void] | None = None
    text: TextLines | None = None
    rows: npt.NDArray[np.int64] | None = None  # lines of the corners
    normal_rows: npt.NDArray[np.int64] | None = None  # lines of the normals


def is_binary_stl(head: bytes, size: int) -> bool:
    """Whether the size of a file is what a binary STL header claims; programs write "solid" there, too."""
    return len(head) >= HEADER and size == HEADER + RECORD.itemsize * int.from_bytes(head[80:84], "little")


def read_stl(path: Path) -> Shape:
    """The triangles of an STL file, three points each. Raises FormatError when its size is not what it claims."""
    data = read_bytes(path)
    if is_binary_stl(data, len(data)):
        return _read_binary(data)
    if re.match(rb"\s*solid\b", data, re.IGNORECASE) and b"\0" not in data:
        return _read_text(data)
    if len(data) < HEADER:
        raise FormatError(f"a binary STL file has at least {HEADER} bytes; found {len(data)}")
    count = int.from_bytes(data[80:84], "little")
    raise FormatError(
        f"the header claims {count} triangles, {HEADER + RECORD.itemsize * count} bytes; the file has {len(data)}: "
        "it is cut off or damaged"
    )


def write_stl(shape: Shape, path: Path) -> None:
    """Writes triangles as STL: in its own layout if it came from an STL file, else as binary. Normals are renewed.

    Far from the origin, where the floats of a binary file would move the shape, it becomes a text file; OutputFileError
    if the triangles have attributes, which text has no place for.
    """
    native = shape.native if isinstance(shape.native, StlNative) else StlNative()
    corners = shape.points.reshape(-1, 3, 3)
    if native.text is not None and native.rows is not None and native.normal_rows is not None:
        old = _points_of_text(native.text, native.rows)
        if np.array_equal(old, shape.points):
            path.write_bytes(b"\n".join(native.text.lines))
            return
        data = native.text.replaced(native.rows, shape.points, 1)
        path.write_bytes(TextLines.of(data).replaced(native.normal_rows, _normals(corners), 2))
        return
    records = np.zeros(len(corners), RECORD) if native.records is None else native.records.copy()
    if len(records) != len(corners):
        raise OutputFileError("an STL shape that was read must be written with its own number of points")
    if native.records is None or not np.array_equal(records["corners"].astype(np.float64), corners):
        if storage_dtype(shape.points, np.dtype(np.float32)) != np.float32:
            if records["attribute"].any():
                raise OutputFileError("binary STL has single precision, too little so far from the origin; write .ply")
            path.write_bytes(_text(corners))
            return
        records["corners"] = corners
        records["normal"] = _normals(corners)
    head = native.head or (b"binary STL".ljust(80) + len(records).to_bytes(4, "little"))
    with path.open("wb") as file:
        file.write(head)
        file.write(records.tobytes())


def stl_cannot_hold(shape: Shape) -> str | None:
    """What of a shape would be lost in STL, in words; None if nothing."""
    if shape.dimension != 3 or any(block.kind != "triangle" for block in shape.cells) or len(shape.cells) != 1:
        return "anything but triangles in space"
    names = [*shape.point_data, *shape.cell_data]
    if names:
        return f"the attribute '{names[0]}'"
    if not np.array_equal(shape.cells[0].indices.reshape(-1), np.arange(len(shape.points))):
        return "points that triangles share, nor their order"
    if storage_dtype(shape.points, np.dtype(np.float32)) != np.float32:
        return "coordinates as precise as these"
    return None


def _read_binary(data: bytes) -> Shape:
    records = np.frombuffer(data, RECORD, offset=HEADER)
    return _soup(records["corners"].reshape(-1, 3).astype(np.float64), StlNative(data[:HEADER], records))


def _read_text(data: bytes) -> Shape:
    text = TextLines.of(data)
    rows: dict[bytes, list[int]] = {b"vertex": [], b"facet": []}
    for k, line in enumerate(text.lines):
        word = line.split(None, 1)[:1]
        if word and word[0].lower() in rows:
            rows[word[0].lower()].append(k)
    corners = np.array(rows[b"vertex"], dtype=np.int64)
    facets = np.array(rows[b"facet"], dtype=np.int64)
    # Each facet has the three corners that follow it, and no more.
    owner = np.searchsorted(facets, corners) - 1
    if not np.array_equal(owner, np.repeat(np.arange(len(facets)), 3)):
        wrong = facets[np.bincount(owner[owner >= 0], minlength=len(facets)) != 3]
        number = int([*wrong, *corners][0]) + 1
        raise FormatError(f"line {number}: every facet must have 3 'vertex' lines; the file is cut off or damaged")
    if b"endsolid" not in data.lower():
        raise FormatError("has no 'endsolid' line; the file is cut off")
    return _soup(_points_of_text(text, corners), StlNative(text=text, rows=corners, normal_rows=facets))


def _points_of_text(text: TextLines, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    words = [text.lines[k].split()[1:] for k in rows.tolist()]
    short = next((k for k, w in zip(rows.tolist(), words, strict=True) if len(w) != 3), None)
    if short is not None:
        raise FormatError(f"line {short + 1}: 'vertex' needs 3 numbers")
    flat = [word for row in words for word in row]
    return numbers_of(flat, (rows + 1).tolist(), "a coordinate").reshape(-1, 3)


def _soup(points: npt.NDArray[np.float64], native: StlNative) -> Shape:
    triangles = np.arange(len(points), dtype=np.int64).reshape(-1, 3)
    return Shape(points=points, cells=(CellBlock("triangle", triangles),), native=native)


def _text(corners: npt.NDArray[np.float64]) -> bytes:
    """A text file with every digit of the coordinates."""
    numbers = np.concatenate([_normals(corners)[:, None], corners], axis=1)
    rows = iter(as_text(numbers.reshape(-1)))
    facet = "facet normal {} {} {}\nouter loop\nvertex {} {} {}\nvertex {} {} {}\nvertex {} {} {}\nendloop\nendfacet\n"
    body = "".join(facet.format(*(next(rows) for _ in range(12))) for _ in range(len(corners)))
    return f"solid shape\n{body}endsolid shape\n".encode()


def _normals(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(t, 3) unit normals, 0 for triangles without area."""
    doubled = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(doubled, axis=1, keepdims=True)
    unit = np.divide(doubled, length, out=np.zeros_like(doubled), where=length > 0)
    return unit.astype(np.float32).astype(np.float64)
