"""What the XML files of VTK share: a piece of named arrays in base64. Source: VTK File Formats, "XML file formats"."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_KINDS = {"f": "Float", "i": "Int", "u": "UInt"}
_BLOCK = 1 << 15  # bytes that are compressed together
_LEVEL = 1  # the quickest: most digits of coordinates are noise, which no level shrinks
# Nor are there repetitions to look for among floats: only some of their bytes are more frequent than others.
_STRATEGIES = {"f": zlib.Z_RLE}


def vtk_document(
    kind: Literal["PolyData", "UnstructuredGrid"],
    *,
    counts: Mapping[str, int],
    sections: Mapping[str, Mapping[str, Array]],
    compressed: bool = False,
) -> Iterator[bytes]:
    """The parts of a file, one after the other.

    counts: "Points" and the like -> how many; sections: "Points", "PointData", ... -> arrays (n,) or (n, k) by name.
    """
    numbers = "".join(f' NumberOf{name}="{size}"' for name, size in counts.items())
    compressor = ' compressor="vtkZLibDataCompressor"' if compressed else ""
    yield f'<?xml version="1.0"?>\n<VTKFile type="{kind}" version="1.0" byte_order="LittleEndian" '.encode()
    yield f'header_type="UInt64"{compressor}>\n<{kind}>\n<Piece{numbers}>\n'.encode()
    for name, arrays in sections.items():
        yield f"<{name}>\n".encode()
        for key, values in arrays.items():
            yield from _array(key, np.asarray(values), compressed=compressed)
        yield f"</{name}>\n".encode()
    yield f"</Piece>\n</{kind}>\n</VTKFile>\n".encode()


def _array(name: str, values: Array, *, compressed: bool) -> Iterator[bytes]:
    kind = f"{_KINDS[values.dtype.kind]}{8 * values.dtype.itemsize}"
    width = f' NumberOfComponents="{values.shape[1]}"' if values.ndim == 2 else ""
    yield f'<DataArray type="{kind}" Name={quoteattr(name)}{width} format="binary">'.encode()
    raw = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
    if compressed:
        strategy = _STRATEGIES.get(values.dtype.kind, zlib.Z_DEFAULT_STRATEGY)
        blocks = [_packed(raw[k : k + _BLOCK], strategy) for k in range(0, len(raw), _BLOCK)]
        # The last block has a size of its own, unless it is full.
        yield base64.b64encode(_sizes(len(blocks), _BLOCK, len(raw) % _BLOCK, *map(len, blocks)))
        yield base64.b64encode(b"".join(blocks))
    else:
        yield base64.b64encode(_sizes(len(raw)) + raw)
    yield b"</DataArray>\n"


def _packed(block: bytes, strategy: int) -> bytes:
    packer = zlib.compressobj(_LEVEL, strategy=strategy)
    return packer.compress(block) + packer.flush()


def _sizes(*numbers: int) -> bytes:
    return np.array(numbers, dtype="<u8").tobytes()
