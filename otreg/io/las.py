"""LAS and LAZ point clouds, from laser scanners. Runs only in the child process of :mod:`otreg.io.guarded`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from otreg.errors import FormatError
from otreg.io.source import read_bytes
from otreg.shapes import Shape

RECORD = 54  # bytes: the header of a variable length record


def read_las(path: Path) -> Shape:
    """The points of a LAS or LAZ file in float64, with all dimensions of a point as attributes.

    Raises FormatError when the file is cut off or holds no points.
    """
    import laspy

    data = read_bytes(path)
    if not data.startswith(b"LASF"):
        raise FormatError("is not a LAS file: its first bytes must be LASF")
    data, warnings = _with_fitting_records(data)
    with laspy.open(io.BytesIO(data), read_evlrs=False) as reader:
        header = reader.header
        count, size = int(header.point_count), int(header.point_format.size)
        if count == 0:
            raise FormatError("holds no points")
        begin = int(header.offset_to_point_data)
        if not header.are_points_compressed and begin + count * size > len(data):
            raise FormatError(
                f"claims {count} points of {size} bytes behind byte {begin}; the file has {len(data)}. It is cut off"
            )
        records: Any = reader.read_points(count)
        if len(records) != count:
            raise FormatError(f"claims {count} points, but holds {len(records)}; the file is cut off")
        points = np.stack([np.asarray(records[axis], dtype=np.float64) for axis in "xyz"], axis=1)
        names = [name for name in header.point_format.dimension_names if name not in ("X", "Y", "Z")]
        attributes = {name: np.array(records[name]) for name in names}
    return Shape(points=points, point_data=attributes, warnings=warnings)


def _with_fitting_records(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The file without the records in front of its points, if their number cannot be true; the points need none."""
    if len(data) <= 104:
        raise FormatError(f"a LAS header has more than 104 bytes; found {len(data)}")
    header, begin, count = (int.from_bytes(data[a:b], "little") for a, b in ((94, 96), (96, 100), (100, 104)))
    if count * RECORD <= begin - header:
        return data, ()
    if data[104] & 0x80:  # LAZ, which needs one of them
        raise FormatError(f"claims {count} records in front of the points, more than fit there; the file is damaged")
    warning = f"the header claims {count} records in front of the points, more than fit there; they are left out"
    return data[:100] + bytes(4) + data[104:], (warning,)
