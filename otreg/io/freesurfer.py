"""FreeSurfer's triangle surfaces (``lh.white``, ``rh.pial``, ...): big-endian, single precision, then a free footer.

The comment at the head and the footer, which holds the geometry of the volume, are kept as bytes.
Source: FreeSurfer's description of the surface file format, as nibabel's ``read_geometry`` implements it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from otreg.errors import FormatError, OutputFileError
from otreg.io.numbers import storage_dtype
from otreg.io.source import read_bytes
from otreg.shapes import CellBlock, Shape

MAGIC = b"\xff\xff\xfe"
QUADS = (b"\xff\xff\xff", b"\xff\xff\xfd")


@dataclass(frozen=True)
class FreesurferNative:
    """The bytes in front of the counts, and those behind the triangles."""

    head: bytes
    tail: bytes


def read_freesurfer(path: Path) -> Shape:
    """The surface in a FreeSurfer file, in its own coordinates. Raises FormatError when it is cut off."""
    data = read_bytes(path)
    if data.startswith(QUADS):
        raise FormatError("is a FreeSurfer file of quads, an old kind; convert it with mris_convert")
    if not data.startswith(MAGIC):
        raise FormatError("is not a FreeSurfer surface: its first bytes must be ff ff fe")
    line = data.find(b"\n", 3)
    blank = data.find(b"\n", line + 1)
    if line < 0 or blank < 0 or blank + 9 > len(data):
        raise FormatError("ends in its header; the file is cut off")
    begin = blank + 1
    n, m = (int(count) for count in np.frombuffer(data, ">i4", 2, begin))
    if n < 0 or m < 0 or 12 * (n + m) > len(data) - begin - 8:
        raise FormatError(f"claims {n} points and {m} triangles; {len(data)} bytes cannot hold them. It is cut off")
    coordinates, corners = begin + 8, begin + 8 + 12 * n
    end = corners + 12 * m
    triangles = np.frombuffer(data, ">i4", 3 * m, corners).reshape(m, 3).astype(np.int64)
    comment = data[3:line].decode("utf-8", "replace").strip()
    return Shape(
        points=np.frombuffer(data, ">f4", 3 * n, coordinates).reshape(n, 3).astype(np.float64),
        cells=(CellBlock("triangle", triangles),) if m else (),
        comments=(comment,) if comment else (),
        native=FreesurferNative(data[:begin], data[end:]),
    )


def write_freesurfer(shape: Shape, path: Path) -> None:
    """Writes a surface for FreeSurfer, with the head and the footer that it came with.

    Raises OutputFileError when single precision does not hold the coordinates to a millionth of the surface's size.
    """
    native = shape.native if isinstance(shape.native, FreesurferNative) else None
    if storage_dtype(shape.points, np.dtype(np.float32)) != np.float32:
        raise OutputFileError("FreeSurfer files have single precision, too little so far from the origin; write .ply")
    corners = [block.indices for block in shape.cells]
    triangles = np.concatenate(corners) if corners else np.zeros((0, 3), np.int64)
    head = MAGIC + _comment(shape) if native is None else native.head
    with path.open("wb") as file:
        file.write(head)
        file.write(np.array([len(shape.points), len(triangles)], ">i4").tobytes())
        file.write(shape.points.astype(">f4").tobytes())
        file.write(triangles.astype(">i4").tobytes())
        file.write(b"" if native is None else native.tail)


def freesurfer_cannot_hold(shape: Shape) -> str | None:
    """What of a shape would be lost in a FreeSurfer file, in words; None if nothing."""
    if shape.dimension != 3 or any(block.kind != "triangle" for block in shape.cells) or len(shape.cells) != 1:
        return "anything but one list of triangles in space"
    names = [*shape.point_data, *shape.cell_data]
    if names:
        return f"the attribute '{names[0]}'"
    if storage_dtype(shape.points, np.dtype(np.float32)) != np.float32:
        return "coordinates as precise as these"
    return None


def _comment(shape: Shape) -> bytes:
    return " ".join(" ".join(shape.comments).split())[:200].encode() + b"\n\n"
