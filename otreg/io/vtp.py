"""XML PolyData (``.vtp``), written here: VTK's own writer aborts the process when the disk is full.

Arrays are base64, uncompressed, each behind its size in bytes. Source: VTK File Formats, "XML file formats".
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

from otreg.shapes import CellBlock, Shape

Array = npt.NDArray[Any]

KINDS = {"f": "Float", "i": "Int", "u": "UInt"}


def write_vtp(shape: Shape, path: Path) -> None:
    """Writes a shape as .vtp, in float64; lines come before faces, as VTK counts cells."""
    lines = [block for block in shape.cells if block.kind == "line"]
    faces = [block for block in shape.cells if block.kind != "line"]
    sizes = {"Points": len(shape.points), "Verts": 0, "Strips": 0}
    sizes |= {"Lines": sum(map(len, lines)), "Polys": sum(map(len, faces))}
    counts = "".join(f' NumberOf{name}="{size}"' for name, size in sizes.items())
    with path.open("wb") as file:
        file.write(b'<?xml version="1.0"?>\n<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" ')
        file.write(f'header_type="UInt64">\n<PolyData>\n<Piece{counts}>\n'.encode())
        for part in (
            *_section("PointData", shape.point_data),
            *_section("CellData", shape.cell_data),
            *_section("Points", {"Points": shape.points}),
            *_section("Lines", _lists(lines)),
            *_section("Polys", _lists(faces)),
        ):
            file.write(part)
        file.write(b"</Piece>\n</PolyData>\n</VTKFile>\n")


def _section(name: str, arrays: Mapping[str, Array]) -> Iterator[bytes]:
    yield f"<{name}>\n".encode()
    for key, values in arrays.items():
        values = np.asarray(values)
        kind = f"{KINDS[values.dtype.kind]}{8 * values.dtype.itemsize}"
        width = values.shape[1] if values.ndim == 2 else 1
        head = f'type="{kind}" Name={quoteattr(key)} NumberOfComponents="{width}" format="binary"'
        raw = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
        yield f"<DataArray {head}>".encode()
        yield base64.b64encode(len(raw).to_bytes(8, "little") + raw)
        yield b"</DataArray>\n"
    yield f"</{name}>\n".encode()


def _lists(blocks: list[CellBlock]) -> dict[str, Array]:
    """The corners of all cells, and where each cell's corners end."""
    sizes = [
        np.full(len(block), block.indices.shape[1]) if block.offsets is None else np.diff(block.offsets)
        for block in blocks
    ]
    corners = [block.indices.reshape(-1) for block in blocks]
    empty = [np.zeros(0, np.int64)]
    return {
        "connectivity": np.concatenate(corners or empty).astype(np.int64),
        "offsets": np.cumsum(np.concatenate(sizes or empty)).astype(np.int64),
    }
