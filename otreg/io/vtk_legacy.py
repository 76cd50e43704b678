"""Legacy VTK files (``.vtk``) that hold PolyData, text or binary: what medical programs exchange most.

The file is read token by token, because a section may break its lines anywhere; the bytes of the points (and normals)
are remembered, so that writing replaces them and nothing else. Source: VTK File Formats, version 3.0 to 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError, OutputFileError
from otreg.io.cells import (
    blocks_of_lists,
    lists_of_block,
    not_lines_then_faces,
    segments_of_lists,
    triangles_of_strips,
)
from otreg.io.numbers import as_text, storage_dtype, unchanged
from otreg.io.source import read_bytes
from otreg.shapes import CellBlock, Shape

Array = npt.NDArray[Any]
TYPES = {
    **{"unsigned_char": "u1", "char": "i1", "unsigned_short": "u2", "short": "i2", "unsigned_int": "u4", "int": "i4"},
    **{"unsigned_long": "u8", "long": "i8", "float": "f4", "double": "f8", "vtktypeint64": "i8", "vtkidtype": "i4"},
    **{"vtktypeuint64": "u8", "vtktypeint32": "i4", "vtktypeuint32": "u4", "signed_char": "i1", "vtktypeint8": "i1"},
}
NAMES = {code: name for name, code in reversed(TYPES.items()) if not name.startswith(("vtk", "signed"))}
CELLS = ("VERTICES", "LINES", "POLYGONS", "TRIANGLE_STRIPS")
MAX_LINE = 1 << 16


@dataclass(frozen=True)
class Block:
    """An array of the file: its values, and the bytes from ``start`` to ``stop`` that hold them."""

    values: Array
    start: int
    stop: int


@dataclass(frozen=True)
class VtkNative:
    """The file's bytes, and where in them the points and the point attributes stand."""

    data: bytes
    binary: bool
    points: Block
    points_type: tuple[int, int]  # where the word that names the points' type stands
    attributes: dict[str, Block]


@dataclass
class _Parts:
    """What has been read so far."""

    points: Block | None = None
    points_type: tuple[int, int] = (0, 0)
    lists: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    point_blocks: dict[str, Block] = field(default_factory=dict)
    cell_blocks: dict[str, Block] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_vtk(path: Path) -> Shape:
    """The surface, curve or cloud in a legacy VTK file; its scalars, vectors, normals and fields are attributes.

    Raises FormatError for other data sets than PolyData, and names the section that breaks a rule.
    """
    scanner = _Scanner(read_bytes(path))
    version, title = scanner.line(), scanner.line()
    if not version.startswith("# vtk DataFile Version"):
        raise FormatError("must start with '# vtk DataFile Version'")
    encoding = scanner.word().upper()
    if encoding not in ("ASCII", "BINARY"):
        raise FormatError(f"the third line must be ASCII or BINARY; found {encoding[:20]!r}")
    scanner.binary = encoding == "BINARY"
    keyword, dataset = scanner.word().upper(), scanner.word().upper()
    if keyword != "DATASET" or dataset != "POLYDATA":
        raise FormatError(f"holds {dataset.lower()[:40] or 'nothing'}, not a shape; only DATASET POLYDATA is read")
    parts = _read_sections(scanner)
    if parts.points is None:
        raise FormatError("has no POINTS section")
    points = parts.points.values.reshape(-1, 3).astype(np.float64)
    cells = _cells(parts.lists)
    count = sum(len(block) for block in cells)
    cell_data = {name: block.values for name, block in parts.cell_blocks.items() if len(block.values) == count}
    point_data = {name: block.values for name, block in parts.point_blocks.items() if len(block.values) == len(points)}
    native = VtkNative(scanner.data, scanner.binary, parts.points, parts.points_type, parts.point_blocks)
    return Shape(
        points=points,
        cells=cells,
        point_data=point_data,
        cell_data=cell_data,
        comments=(title,) if title else (),
        warnings=tuple(parts.warnings),
        native=native,
    )


def write_vtk(shape: Shape, path: Path) -> None:
    """Writes a shape as legacy VTK: into the bytes of the file that it came from, else as binary version 3.0."""
    native = shape.native
    path.write_bytes(_rewritten(shape, native) if isinstance(native, VtkNative) else _fresh(shape))


def vtk_cannot_hold(shape: Shape) -> str | None:
    """What of a shape that did not come from VTK would be lost in legacy PolyData, in words; None if nothing."""
    lost = not_lines_then_faces(shape)
    if lost is not None:
        return lost
    for name, values in (*shape.point_data.items(), *shape.cell_data.items()):
        if values.dtype.str[1:] not in NAMES or values.ndim > 2 or len(name.split()) != 1 or not name.isascii():
            return f"the attribute '{name}' ({values.dtype})"
    return None


# ---------------------------------------------------------------- reading


class _Scanner:
    """A place in the file, moved forward word by word, line by line, or array by array."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.binary = False
        self.start_of_word = 0

    def line(self) -> str:
        """The rest of the current line."""
        stop = self.data.find(b"\n", self.position, self.position + MAX_LINE)
        stop = len(self.data) if stop < 0 else stop
        text = self.data[self.position : stop]
        self.position = min(stop + 1, len(self.data))
        return text.decode("latin-1").strip()

    def word(self) -> str:
        """The next word, "" at the end of the file."""
        data, position = self.data, self.position
        while data[position : position + 1].isspace():
            position += 1
        self.start_of_word = position
        while (
            position < len(data) and not data[position : position + 1].isspace() and position < self.start_of_word + 512
        ):
            position += 1
        self.position = position
        return data[self.start_of_word : position].decode("latin-1")

    def count(self, what: str) -> int:
        """The next word as a number >= 0."""
        word = self.word()
        if not word.isdigit() or len(word) > 18:
            raise FormatError(f"{what}: a count must be a number >= 0; found {word[:40]!r}")
        return int(word)

    def skip_metadata(self) -> None:
        """Moves behind a METADATA section, which ends with an empty line."""
        self.line()  # the rest of the keyword's own line
        while self.line():
            pass

    def array(self, kind: str, size: int, what: str) -> Block:
        """The next ``size`` numbers of the VTK type ``kind``."""
        code = TYPES.get(kind.lower())
        if code is None:
            raise FormatError(f"{what}: type {kind[:40]!r} is not supported; known are {', '.join(TYPES)}")
        return self._binary_array(code, size, what) if self.binary else self._text_array(code, size, what)

    def _binary_array(self, code: str, size: int, what: str) -> Block:
        self.line()  # the bytes begin behind the line of the keyword
        dtype = np.dtype(">" + code)
        left = len(self.data) - self.position
        if size * dtype.itemsize > left:
            raise FormatError(
                f"{what}: {size * dtype.itemsize} bytes are claimed, {left} are left; the file is cut off"
            )
        values = np.frombuffer(self.data, dtype, size, self.position)
        start, self.position = self.position, self.position + values.nbytes
        return Block(values.astype(code), start, self.position)

    def _text_array(self, code: str, size: int, what: str) -> Block:
        if 2 * size > len(self.data) - self.position + 1:  # a digit and a blank each
            raise FormatError(f"{what}: {size} numbers are claimed, but the file is too short; it is cut off")
        start = self.position
        words: list[bytes] = []
        # Whole lines, until there are enough words: the words of the next section begin on a line of their own.
        while len(words) < size:
            if self.position >= len(self.data):
                raise FormatError(f"{what}: {size} numbers are claimed, {len(words)} found; the file is cut off")
            stop = self.data.find(b"\n", self.position)
            stop = len(self.data) if stop < 0 else stop + 1
            words += self.data[self.position : stop].split()
            self.position = stop
        if len(words) > size:
            raise FormatError(f"{what}: {size} numbers are claimed, but the last line holds {len(words) - size} more")
        try:
            values: Array = np.array([float(word) for word in words])
        except ValueError as error:
            raise FormatError(f"{what}: must hold numbers: {error}") from error
        return Block(_exact(values, words, code, what), start, self.position)


def _exact(values: Array, words: list[bytes], code: str, what: str) -> Array:
    """Integers as integers; floats keep the digits of the text only where they are coordinates (see read_vtk)."""
    if code[0] == "f":
        return values if code == "f8" or what == "POINTS" else values.astype(code)
    if code[1] == "8":
        return np.array([int(word) for word in words], dtype=code)
    limits = np.iinfo(code)
    if not (np.isfinite(values).all() and (values >= limits.min).all() and (values <= limits.max).all()):
        raise FormatError(f"{what}: a value is not a whole number of its type ({NAMES[code]})")
    return values.astype(code)


def _read_sections(scanner: _Scanner) -> _Parts:
    parts = _Parts()
    into: dict[str, Block] | None = None
    tuples = 0
    while keyword := scanner.word().upper():
        if keyword == "POINTS":
            n = scanner.count("POINTS")
            kind = scanner.word()
            parts.points_type = (scanner.start_of_word, scanner.position)
            parts.points = scanner.array(kind, 3 * n, "POINTS")
        elif keyword in CELLS:
            parts.lists[keyword] = _read_cells(scanner, keyword)
        elif keyword in ("POINT_DATA", "CELL_DATA"):
            tuples = scanner.count(keyword)
            into = parts.point_blocks if keyword == "POINT_DATA" else parts.cell_blocks
        elif keyword == "METADATA":
            scanner.skip_metadata()
        elif keyword == "FIELD":
            _read_field(scanner, into if into is not None else {}, parts)
        elif into is not None:
            _read_attribute(scanner, keyword, tuples, into)
        else:
            raise FormatError(f"section {keyword[:40]!r} is not known here")
    return parts


def _read_cells(scanner: _Scanner, keyword: str) -> tuple[Array, Array]:
    """How many corners each cell has, and all corners."""
    m, size = scanner.count(keyword), scanner.count(keyword)
    place = scanner.position
    if scanner.word().upper() == "OFFSETS":  # version 5: m is one more than the number of cells, size of the corners
        offsets = scanner.array(scanner.word(), m, keyword).values.astype(np.int64)
        if scanner.word().upper() != "CONNECTIVITY":
            raise FormatError(f"{keyword}: OFFSETS must be followed by CONNECTIVITY")
        corners = scanner.array(scanner.word(), size, keyword).values.astype(np.int64)
        counts = np.diff(offsets)
        if m and (offsets[0] != 0 or offsets[-1] != size or (counts < 0).any()):
            raise FormatError(f"{keyword}: OFFSETS must rise from 0 to {size}")
        return counts, corners
    scanner.position = place
    flat = scanner.array("int", size, keyword).values.astype(np.int64)
    return _split_lists(flat, m, keyword)


def _split_lists(flat: Array, m: int, keyword: str) -> tuple[Array, Array]:
    """Lists stored as "k i_1 ... i_k", one after the other."""
    if m and len(flat) % m == 0:  # all of one length, as nearly always
        table = flat.reshape(m, -1)
        if (table[:, 0] == table.shape[1] - 1).all():
            return table[:, 0], table[:, 1:].reshape(-1)
    starts = []
    position = 0
    values = flat.tolist()
    for cell in range(m):
        if position >= len(values) or values[position] < 0 or position + values[position] >= len(values):
            raise FormatError(f"{keyword}: cell {cell} does not fit into the {len(values)} numbers that are claimed")
        starts.append(position)
        position += values[position] + 1
    if position != len(values):
        raise FormatError(f"{keyword}: {m} cells use {position} of the {len(values)} numbers that are claimed")
    keep = np.ones(len(flat), dtype=bool)
    keep[starts] = False
    return flat[starts], flat[keep]


def _read_attribute(scanner: _Scanner, keyword: str, n: int, into: dict[str, Block]) -> None:
    if keyword == "LOOKUP_TABLE":  # colours for scalars, not values of points
        scanner.word()
        scanner.array("unsigned_char" if scanner.binary else "float", 4 * scanner.count(keyword), keyword)
        return
    name = scanner.word()
    if keyword == "SCALARS":
        kind, rest = scanner.word(), scanner.line()
        width = int(rest) if rest.isdigit() and 0 < int(rest) < 5 else 1
        place = scanner.position
        if scanner.word().upper() == "LOOKUP_TABLE":
            scanner.word()
        else:
            scanner.position = place - (1 if place else 0)
        block = scanner.array(kind, n * width, f"SCALARS {name}")
    elif keyword in ("NORMALS", "VECTORS"):
        width = 3
        block = scanner.array(scanner.word(), n * width, f"{keyword} {name}")
    elif keyword in ("TENSORS", "TENSORS6"):
        width = 9 if keyword == "TENSORS" else 6
        block = scanner.array(scanner.word(), n * width, f"{keyword} {name}")
    elif keyword == "TEXTURE_COORDINATES":
        width = scanner.count(keyword)
        block = scanner.array(scanner.word(), n * width, f"{keyword} {name}")
    elif keyword == "COLOR_SCALARS":
        width = scanner.count(keyword)
        block = scanner.array("unsigned_char" if scanner.binary else "float", n * width, f"{keyword} {name}")
    elif keyword in ("GLOBAL_IDS", "PEDIGREE_IDS"):
        width = 1
        block = scanner.array(scanner.word(), n, f"{keyword} {name}")
    else:
        raise FormatError(f"attribute section {keyword[:40]!r} is not supported")
    key = "normals" if keyword == "NORMALS" else name
    into[key] = Block(block.values.reshape(n, width) if width > 1 else block.values, block.start, block.stop)


def _read_field(scanner: _Scanner, into: dict[str, Block], parts: _Parts) -> None:
    scanner.word()
    for _ in range(scanner.count("FIELD")):
        name = scanner.word()
        if name.upper() == "METADATA":
            scanner.skip_metadata()
            name = scanner.word()
        width, n = scanner.count(f"FIELD {name}"), scanner.count(f"FIELD {name}")
        kind = scanner.word()
        if kind.lower() in ("string", "variant", "bit"):
            raise FormatError(f"FIELD {name}: type {kind} is not supported; remove this array")
        block = scanner.array(kind, n * width, f"FIELD {name}")
        into[name] = Block(block.values.reshape(n, width) if width > 1 else block.values, block.start, block.stop)


def _cells(lists: dict[str, tuple[Array, Array]]) -> tuple[CellBlock, ...]:
    blocks: list[CellBlock] = []
    if "LINES" in lists:
        blocks += segments_of_lists(*lists["LINES"])
    if "POLYGONS" in lists:
        blocks += blocks_of_lists(*lists["POLYGONS"])
    if "TRIANGLE_STRIPS" in lists:
        blocks += triangles_of_strips(*lists["TRIANGLE_STRIPS"])
    return tuple(block for block in blocks if len(block))


# ---------------------------------------------------------------- writing


def _rewritten(shape: Shape, native: VtkNative) -> bytes:
    old = native.points
    if shape.points.size != old.values.size:
        raise OutputFileError("a VTK shape that was read must be written with its own number of points")
    patches: list[tuple[int, int, bytes]] = []
    if not np.array_equal(old.values.reshape(-1, 3).astype(np.float64), shape.points):
        kind = native.data[slice(*native.points_type)].decode("latin-1")
        code = TYPES[kind.lower()]
        stored = storage_dtype(shape.points, np.dtype(code))
        if stored.str[1:] != code:
            patches.append((*native.points_type, NAMES[stored.str[1:]].encode()))
        patches.append((old.start, old.stop, _encoded(shape.points.astype(stored), native.binary)))
    for name, values in shape.point_data.items():
        block = native.attributes.get(name)
        if block is None:
            raise OutputFileError(f"the VTK file that was read has no attribute '{name}'; write .ply, .vtu or .npz")
        if not unchanged(values, block.values):
            new = np.asarray(values).astype(block.values.dtype)
            patches.append((block.start, block.stop, _encoded(new, native.binary)))
    out: list[bytes] = []
    position = 0
    for start, stop, replacement in sorted(patches):
        out += [native.data[position:start], replacement]
        position = stop
    return b"".join([*out, native.data[position:]])


def _encoded(values: Array, binary: bool) -> bytes:
    """The numbers as big-endian bytes, or as text, a row a line."""
    if binary:
        return values.astype(values.dtype.newbyteorder(">")).tobytes()
    width = values.shape[1] if values.ndim == 2 else 1
    texts = as_text(values.reshape(-1))
    rows = [" ".join(texts[i : i + width]) for i in range(0, len(texts), width)]
    return ("\n" + "\n".join(rows) + "\n").encode()


def _fresh(shape: Shape) -> bytes:
    title = " ".join(" ".join(shape.comments).split()).encode("ascii", "replace")[:200].decode() or "shape"
    parts: list[bytes] = [f"# vtk DataFile Version 3.0\n{title}\nBINARY\nDATASET POLYDATA\n".encode()]
    parts += [f"POINTS {len(shape.points)} double\n".encode(), _encoded(shape.points, True), b"\n"]
    for keyword, kinds in (("LINES", ("line",)), ("POLYGONS", ("triangle", "quad", "polygon"))):
        flat = [lists_of_block(block) for block in shape.cells if block.kind in kinds and len(block)]
        if flat:
            count = sum(len(block) for block in shape.cells if block.kind in kinds)
            values = np.concatenate(flat).astype(">i4")
            parts += [f"{keyword} {count} {len(values)}\n".encode(), values.tobytes(), b"\n"]
    for keyword, data in (("POINT_DATA", shape.point_data), ("CELL_DATA", shape.cell_data)):
        if not data:
            continue
        count = len(next(iter(data.values())))
        parts.append(f"{keyword} {count}\nFIELD attributes {len(data)}\n".encode())
        for name, values in data.items():
            width = values.shape[1] if values.ndim == 2 else 1
            parts.append(f"{name} {width} {count} {NAMES[values.dtype.str[1:]]}\n".encode())
            parts += [_encoded(values, True), b"\n"]
    return b"".join(parts)
