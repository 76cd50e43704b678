"""GIFTI surfaces (``.surf.gii``), read without trust and written back with everything but the coordinates as it was.

A GIFTI file is XML around arrays in text, base64 or compressed base64. Entities and data in other files are refused,
nothing is unpacked beyond what an array's dimensions claim, and writing replaces the bytes of the arrays that changed.
Source: GIFTI Surface Data Format 1.0, https://www.nitrc.org/projects/gifti.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError, OutputFileError
from otreg.io.numbers import as_text, storage_dtype, unchanged
from otreg.io.source import read_bytes
from otreg.shapes import CellBlock, Shape, Space

Values = npt.NDArray[Any]

TYPES = {
    "NIFTI_TYPE_UINT8": "u1",
    "NIFTI_TYPE_INT32": "i4",
    "NIFTI_TYPE_FLOAT32": "f4",
    "NIFTI_TYPE_FLOAT64": "f8",
    "NIFTI_TYPE_INT8": "i1",
    "NIFTI_TYPE_INT16": "i2",
    "NIFTI_TYPE_UINT16": "u2",
    "NIFTI_TYPE_UINT32": "u4",
}
NAMES = {code: name for name, code in TYPES.items()}
# These name a system of coordinates whose axes point right, anterior, superior.
RAS_SPACES = {"SCANNER_ANAT", "ALIGNED_ANAT", "TALAIRACH", "MNI_152"}
DEFLATE_LIMIT = 1032  # deflate never shrinks further, so an array that claims more is cut off
POINTSET, TRIANGLE = "NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE"


@dataclass
class DataArray:
    """One array of the file: its attributes, what is said about it, and where in the file it stands."""

    attributes: Mapping[str, str]
    tag: tuple[int, int]  # bytes of the start tag
    content: tuple[int, int] = (0, 0)  # bytes of the text of its <Data>
    names: dict[str, str] = field(default_factory=dict)
    space: str = ""

    @property
    def intent(self) -> str:
        return self.attributes.get("Intent", "")

    @property
    def code(self) -> str:
        kind = self.attributes.get("DataType", "")
        if kind not in TYPES:
            raise FormatError(f"{self.intent}: data type '{kind[:40]}' is not supported; known are {', '.join(TYPES)}")
        return TYPES[kind]

    @property
    def dimensions(self) -> tuple[int, ...]:
        words = [self.attributes.get("Dimensionality", "1")]
        words += [self.attributes.get(f"Dim{k}", "") for k in range(int(words[0]) if words[0] in "123456" else 0)]
        if len(words) < 2 or not all(word.isascii() and word.isdigit() and len(word) < 18 for word in words):
            raise FormatError(f"{self.intent}: needs Dimensionality and Dim0, Dim1, ... as numbers >= 0")
        return tuple(int(word) for word in words[1:])

    @property
    def byte_order(self) -> str:
        return ">" if self.attributes.get("Endian") == "BigEndian" else "<"

    @property
    def order(self) -> Any:
        return "F" if self.attributes.get("ArrayIndexingOrder") == "ColumnMajorOrder" else "C"


@dataclass(frozen=True)
class GiftiNative:
    """The file's bytes, its points, and the attributes as they were read."""

    data: bytes
    pointset: DataArray
    arrays: Mapping[str, DataArray]
    read: Mapping[str, Values]


def read_gifti(path: Path) -> Shape:
    """The surface in a GIFTI file; other arrays with one row per point are attributes. Raises FormatError."""
    data = read_bytes(path)
    arrays = _Parser(data).arrays
    pointsets = [array for array in arrays if array.intent == POINTSET]
    if len(pointsets) != 1:
        found = ", ".join(sorted({array.intent for array in arrays})) or "no arrays"
        raise FormatError(f"must hold one {POINTSET}; found {len(pointsets)} among {found}. Give the .surf.gii file")
    points = _decoded(pointsets[0], data)
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind != "f":
        raise FormatError(f"{POINTSET} must hold n rows of 3 floats; found {points.dtype} {points.shape}")
    cells: list[CellBlock] = []
    attributes: dict[str, DataArray] = {}
    values: dict[str, Values] = {}
    warnings: list[str] = []
    for array in arrays:
        if array.intent == TRIANGLE:
            cells.append(_triangles(_decoded(array, data)))
        elif array is not pointsets[0]:
            name = _unused(array.names.get("Name") or array.intent.removeprefix("NIFTI_INTENT_").lower(), values)
            if len(points) in array.dimensions[:1]:
                attributes[name], values[name] = array, _decoded(array, data)
            else:
                warnings.append(f"the array '{name}' has no row for each point; it is kept as it is")
    return Shape(
        points=np.ascontiguousarray(points, dtype=np.float64),
        cells=tuple(block for block in cells if len(block)),
        point_data=values,
        warnings=tuple(warnings),
        space=_space(pointsets[0].space),
        native=GiftiNative(data, pointsets[0], attributes, values),
    )


def write_gifti(shape: Shape, path: Path) -> None:
    """Writes a surface as GIFTI: into the bytes of the file that it came from, else afresh, compressed."""
    native = shape.native
    path.write_bytes(_rewritten(shape, native) if isinstance(native, GiftiNative) else _fresh(shape))


def gifti_cannot_hold(shape: Shape) -> str | None:
    """What of a shape that did not come from GIFTI would be lost in it, in words; None if nothing."""
    if shape.dimension != 3:
        return "points with 2 coordinates"
    if any(block.kind != "triangle" for block in shape.cells) or len(shape.cells) > 1:
        return "anything but one list of triangles"
    if shape.cell_data:
        return f"the attribute '{next(iter(shape.cell_data))}' of cells"
    if shape.space == "LPS":
        return "coordinates in LPS"
    for name, values in shape.point_data.items():
        if values.dtype.str[1:] not in NAMES or values.ndim > 2 or not name.isprintable() or name != name.strip():
            return f"the attribute '{name}' ({values.dtype})"
    return None


def _triangles(corners: Values) -> CellBlock:
    whole = corners.dtype.kind in "iu" or (np.isfinite(corners).all() and (corners == np.rint(corners)).all())
    if corners.ndim != 2 or corners.shape[1] != 3 or not whole:  # some programs write integers as floats
        raise FormatError(f"{TRIANGLE} must hold rows of 3 whole numbers; found {corners.dtype} {corners.shape}")
    with np.errstate(invalid="ignore"):
        return CellBlock("triangle", corners.astype(np.int64))


def _space(name: str) -> Space:
    return "RAS" if name.strip().removeprefix("NIFTI_XFORM_") in RAS_SPACES else ""


def _unused(name: str, taken: Mapping[str, object]) -> str:
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique


# ---------------------------------------------------------------- reading


class _Parser:
    """Finds the arrays of a file and where their parts stand in it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.arrays: list[DataArray] = []
        self.path: list[str] = []
        self.text: list[str] = []
        self.key = ""
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.EntityDeclHandler = _refuse_entity
        self.parser.XmlDeclHandler = _check_encoding
        try:
            self.parser.Parse(data, True)
        except expat.ExpatError as error:
            raise FormatError(f"line {error.lineno}: is not valid XML: {expat.ErrorString(error.code)}") from error
        if not self.arrays:
            raise FormatError("holds no data arrays; it is not a GIFTI surface")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self.path and name != "GIFTI":
            raise FormatError(f"must be a GIFTI file; its outermost element is <{name[:40]}>")
        self.path.append(name)
        start = self.parser.CurrentByteIndex
        if name == "DataArray":
            if attributes.get("ExternalFileName"):
                raise FormatError(
                    "refers to data in another file, which is not followed; convert it with the arrays inside"
                )
            self.arrays.append(DataArray(attributes, (start, _end_of_tag(self.data, start))))
        elif name == "Data" and self.arrays:
            begin = _end_of_tag(self.data, start)
            self.arrays[-1].content = (begin, begin)
        elif name in ("Name", "Value", "DataSpace"):
            self.text = []
            self.parser.CharacterDataHandler = self.text.append

    def _end(self, name: str) -> None:
        self.path.pop()
        self.parser.CharacterDataHandler = None
        if not self.arrays or "DataArray" not in self.path:
            return
        text = "".join(self.text).strip()
        if name == "Data":
            begin = self.arrays[-1].content[0]
            self.arrays[-1].content = (begin, max(begin, self.parser.CurrentByteIndex))
        elif name == "Name":
            self.key = text
        elif name == "Value":
            self.arrays[-1].names[self.key] = text
        elif name == "DataSpace":
            self.arrays[-1].space = text


def _refuse_entity(*_: object) -> None:
    raise FormatError("declares entities, which a surface does not need; it is not read")


def _check_encoding(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii", "ascii", "iso-8859-1"):
        raise FormatError(f"is XML in {encoding[:40]}; save it as UTF-8")


def _end_of_tag(data: bytes, start: int) -> int:
    """The byte behind the start tag that begins at ``start``; quoted values may hold a '>'."""
    match = re.compile(rb"<(?:\"[^\"]*\"|'[^']*'|[^>\"'])*>").match(data, start)
    return match.end() if match else len(data)


def _decoded(array: DataArray, data: bytes) -> Values:
    """The values of an array, with its dimensions. Raises FormatError when they are not as many as it claims."""
    text = data[slice(*array.content)]
    count, code, what = math.prod(array.dimensions), array.code, array.intent
    encoding = array.attributes.get("Encoding", "")
    if encoding == "ASCII":
        words = text.split()
        if len(words) != count:
            raise FormatError(f"{what}: {count} numbers are claimed, {len(words)} found")
        try:
            # Coordinates keep the digits that are there.
            values = np.array([float(word) for word in words]) if code[0] == "f" else np.array([*map(int, words)], code)
        except (ValueError, OverflowError) as error:
            raise FormatError(f"{what}: must hold numbers of its type: {error}") from error
        if code[0] == "f" and what != POINTSET:
            values = values.astype(code)
        return values.reshape(array.dimensions, order=array.order)
    size = count * int(code[1])
    raw = _unpacked(text, encoding, size, what)
    if len(raw) != size:
        raise FormatError(f"{what}: {size} bytes are claimed, {len(raw)} found; the file is cut off or damaged")
    values = np.frombuffer(raw, array.byte_order + code).astype(code)
    return values.reshape(array.dimensions, order=array.order)


def _unpacked(text: bytes, encoding: str, size: int, what: str) -> bytes:
    if encoding not in ("Base64Binary", "GZipBase64Binary"):
        raise FormatError(f"{what}: encoding '{encoding[:40]}' is not supported; save it as GZipBase64Binary")
    try:
        packed = base64.b64decode(text)
    except binascii.Error as error:
        raise FormatError(f"{what}: is not valid base64: {error}") from error
    if encoding == "Base64Binary":
        return packed
    if size > DEFLATE_LIMIT * (len(packed) + 64):
        raise FormatError(f"{what}: {size} bytes are claimed, more than {len(packed)} compressed ones can hold")
    try:
        return zlib.decompressobj(wbits=47).decompress(packed, size + 1)  # 47: with a zlib or a gzip header
    except zlib.error as error:
        raise FormatError(f"{what}: cannot be unpacked: {error}") from error


# ---------------------------------------------------------------- writing


def _rewritten(shape: Shape, native: GiftiNative) -> bytes:
    old = _decoded(native.pointset, native.data)
    if shape.points.shape != old.shape:
        raise OutputFileError("a GIFTI surface that was read must be written with its own number of points")
    patches: list[tuple[int, int, bytes]] = []
    if not np.array_equal(old.astype(np.float64), shape.points):
        stored = storage_dtype(shape.points, np.dtype(native.pointset.code))
        patches += _patches(native.pointset, shape.points.astype(stored), native.data)
    for name, values in shape.point_data.items():
        if name not in native.arrays:
            raise OutputFileError(f"the GIFTI file that was read has no array '{name}'; write .ply, .vtu or .npz")
        if not unchanged(values, native.read[name]):
            array = native.arrays[name]
            patches += _patches(array, np.asarray(values).astype(array.code), native.data)
    out: list[bytes] = []
    position = 0
    for start, stop, replacement in sorted(patches):
        out += [native.data[position:start], replacement]
        position = stop
    return b"".join([*out, native.data[position:]])


def _patches(array: DataArray, values: Values, data: bytes) -> list[tuple[int, int, bytes]]:
    """What to replace in the file, so that ``array`` holds ``values``: the text of its data, and its type."""
    patches = [(*array.content, _encoded(array, values))]
    code = values.dtype.str[1:]
    if code != array.code:
        tag = re.sub(rb"(DataType\s*=\s*[\"'])\w+", rb"\g<1>" + NAMES[code].encode(), data[slice(*array.tag)])
        patches.append((*array.tag, tag))
    return patches


def _encoded(array: DataArray, values: Values) -> bytes:
    flat = values.reshape(-1, order=array.order)
    encoding = array.attributes.get("Encoding", "")
    if encoding == "ASCII":
        width = values.shape[1] if values.ndim == 2 else 1
        texts = as_text(flat)
        return ("\n" + "\n".join(" ".join(texts[i : i + width]) for i in range(0, len(texts), width)) + "\n").encode()
    raw = flat.astype(array.byte_order + values.dtype.str[1:]).tobytes()
    return base64.b64encode(zlib.compress(raw) if encoding == "GZipBase64Binary" else raw)


def _fresh(shape: Shape) -> bytes:
    single = np.array_equal(shape.points.astype(np.float32), shape.points)
    arrays: list[tuple[str, str, Values]] = [
        (POINTSET, "", shape.points.astype(np.float32 if single else np.float64)),
        *((TRIANGLE, "", block.indices.astype(np.int32)) for block in shape.cells),
        *(("NIFTI_INTENT_NONE", name, np.asarray(values)) for name, values in shape.point_data.items()),
    ]
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<GIFTI Version="1.0" NumberOfDataArrays="{len(arrays)}">\n'
    parts = [head.encode(), b"<MetaData/>\n"]
    for intent, name, values in arrays:
        attributes = {
            "Intent": intent,
            "DataType": NAMES[values.dtype.str[1:]],
            "ArrayIndexingOrder": "RowMajorOrder",
            "Dimensionality": str(values.ndim),
            **{f"Dim{k}": str(size) for k, size in enumerate(values.shape)},
            "Encoding": "GZipBase64Binary",
            "Endian": "LittleEndian",
            "ExternalFileName": "",
            "ExternalFileOffset": "0",
        }
        tag = " ".join(f'{key}="{value}"' for key, value in attributes.items())
        meta = (
            f"<MetaData><MD><Name>Name</Name><Value>{escape(name)}</Value></MD></MetaData>" if name else "<MetaData/>"
        )
        system = _system(shape.space) if intent == POINTSET else ""
        content = _encoded(DataArray(attributes, (0, 0)), values)
        parts += [f"<DataArray {tag}>{meta}{system}<Data>".encode(), content, b"</Data></DataArray>\n"]
    return b"".join([*parts, b"</GIFTI>\n"])


def _system(space: Space) -> str:
    """The element that says where the axes point."""
    name = "NIFTI_XFORM_SCANNER_ANAT" if space == "RAS" else "NIFTI_XFORM_UNKNOWN"
    spaces = f"<DataSpace>{name}</DataSpace><TransformedSpace>{name}</TransformedSpace>"
    unit = " ".join("1" if i == j else "0" for i in range(4) for j in range(4))
    return f"<CoordinateSystemTransformMatrix>{spaces}<MatrixData>{unit}</MatrixData></CoordinateSystemTransformMatrix>"
