"""PCD files of the Point Cloud Library, text, binary or compressed; written back with every other field as it was.

What was compressed is written back uncompressed, with the same fields and types.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError, OutputFileError
from otreg.io.lzf import lzf_decompress
from otreg.io.numbers import storage_dtype, unchanged
from otreg.io.source import read_bytes
from otreg.io.text_lines import TextLines, numbers_of
from otreg.shapes import Shape

KEYS = ("VERSION", "FIELDS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS", "DATA")
KINDS = {"F": "f", "I": "i", "U": "u"}


@dataclass(frozen=True)
class PcdHeader:
    """The header's lines, and the fields that it declares: names, dtypes, values per point."""

    lines: tuple[bytes, ...]
    entries: dict[str, list[str]]
    names: tuple[str, ...]
    dtypes: tuple[np.dtype[Any], ...]
    counts: tuple[int, ...]
    points: int
    data: str  # "ascii", "binary" or "binary_compressed"
    size: int  # bytes

    @property
    def axes(self) -> tuple[int, ...]:
        """The fields that are x, y (and z)."""
        lower = [name.lower() for name in self.names]
        return tuple(lower.index(axis) for axis in "xyz" if axis in lower)

    @property
    def record(self) -> np.dtype[np.void]:
        """One binary point; fields are named by position, since PCD repeats the name "_" for padding."""
        return np.dtype([(str(k), t, (c,)) for k, (t, c) in enumerate(zip(self.dtypes, self.counts, strict=True))])


@dataclass(frozen=True)
class PcdNative:
    """The header, and the points as records (binary) or lines (text)."""

    header: PcdHeader
    records: npt.NDArray[np.void] | None
    tail: bytes
    text: TextLines | None
    rows: npt.NDArray[np.int64]
    read: dict[str, npt.NDArray[Any]]


def read_pcd(path: Path) -> Shape:
    """The points in a PCD file; its other fields are attributes. Organised clouds lose nothing but their NaN points.

    Raises FormatError that names what is wrong.
    """
    data = read_bytes(path)
    header = _parse_header(data)
    if len(header.axes) < 2 or any(header.counts[k] != 1 for k in header.axes):
        raise FormatError(f"FIELDS must name x and y (and z), once each; found {' '.join(header.names)}")
    readers = {"ascii": _read_text, "binary": _read_binary, "binary_compressed": _read_compressed}
    native = readers[header.data](data, header)
    columns = native.read
    points = np.stack([columns[str(k)][:, 0].astype(np.float64) for k in header.axes], axis=1)
    attributes = {}
    for k, name in enumerate(header.names):
        if k not in header.axes and name != "_":
            values = columns[str(k)]
            attributes[name] = np.array(values[:, 0] if header.counts[k] == 1 else values)
    return Shape(points=points, point_data=attributes, native=replace(native, read=attributes))


def write_pcd(shape: Shape, path: Path) -> None:
    """Writes points into the layout of the PCD file that they came from, else as binary PCD."""
    native = shape.native if isinstance(shape.native, PcdNative) else None
    if native is None:
        path.write_bytes(_fresh(shape))
        return
    header = native.header
    if len(shape.points) != header.points or shape.dimension != len(header.axes):
        raise OutputFileError("a PCD shape that was read must be written with its own number of points and coordinates")
    new: dict[int, npt.NDArray[Any]] = {k: shape.points[:, axis] for axis, k in enumerate(header.axes)}
    for name, values in shape.point_data.items():
        if name not in native.read:
            raise OutputFileError(f"the PCD file that was read has no field '{name}'; write .ply, .vtu or .npz")
        if not unchanged(values, native.read[name]):
            new[header.names.index(name)] = np.asarray(values)
    path.write_bytes(_text_bytes(native, new) if native.records is None else _binary_bytes(native, new, shape.points))


def pcd_cannot_hold(shape: Shape) -> str | None:
    """What of a shape would be lost in PCD, in words; None if nothing."""
    if any(len(block) for block in shape.cells):
        return "faces, lines or other cells"
    for name, values in shape.point_data.items():
        if values.dtype.kind not in "fiu" or values.ndim > 2 or values.dtype == np.float16 or len(name.split()) != 1:
            return f"the attribute '{name}' ({values.dtype})"
    return None


# ---------------------------------------------------------------- reading


def _parse_header(data: bytes) -> PcdHeader:
    entries: dict[str, list[str]] = {}
    lines: list[bytes] = []
    position = 0
    while "DATA" not in entries:
        stop = data.find(b"\n", position, position + (1 << 16))
        if stop < 0:
            raise FormatError("the header has no DATA line")
        line = data[position:stop]
        lines.append(line)
        position = stop + 1
        words = line.decode("latin-1").split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] not in (*KEYS, "COLUMNS"):
            raise FormatError(f"line {len(lines)}: not a PCD header line: {line[:40].decode('latin-1')!a}")
        entries["FIELDS" if words[0] == "COLUMNS" else words[0]] = words[1:]
    missing = [key for key in ("FIELDS", "SIZE", "TYPE") if not entries.get(key)]
    if missing:
        raise FormatError(f"the header has no {missing[0]} line")
    names, sizes, kinds = entries["FIELDS"], entries["SIZE"], entries["TYPE"]
    counts = entries.get("COUNT") or ["1"] * len(names)
    if not len(names) == len(sizes) == len(kinds) == len(counts):
        raise FormatError("FIELDS, SIZE, TYPE and COUNT must have equally many entries")
    try:
        dtypes = tuple(np.dtype(f"<{KINDS[kind]}{int(size)}") for kind, size in zip(kinds, sizes, strict=True))
        numbers = tuple(int(count) for count in counts)
        width, height = (int((entries.get(key) or ["1"])[0]) for key in ("WIDTH", "HEIGHT"))
        points = int(entries["POINTS"][0]) if entries.get("POINTS") else width * height
    except (KeyError, ValueError, TypeError) as error:
        raise FormatError(f"the header's TYPE, SIZE, COUNT, WIDTH, HEIGHT or POINTS is not valid: {error}") from error
    if points < 0 or min(numbers) < 0:
        raise FormatError(f"POINTS and COUNT must be >= 0; found {points}, {min(numbers)}")
    kind = (entries["DATA"] or [""])[0].lower()
    if kind not in ("ascii", "binary", "binary_compressed"):
        raise FormatError(f"DATA must be ascii, binary or binary_compressed; found '{kind[:40]}'")
    return PcdHeader(tuple(lines), entries, tuple(names), dtypes, numbers, points, kind, position)


def _read_binary(data: bytes, header: PcdHeader) -> PcdNative:
    record = header.record
    if header.points * record.itemsize > len(data) - header.size:
        raise FormatError(
            f"claims {header.points} points of {record.itemsize} bytes; {len(data) - header.size} follow the header"
        )
    records = np.frombuffer(data, record, header.points, header.size)
    tail = data[header.size + records.nbytes :]
    columns = {name: records[name] for name in record.names or ()}
    return PcdNative(header, records, tail, None, np.zeros(0, np.int64), columns)


def _read_compressed(data: bytes, header: PcdHeader) -> PcdNative:
    """Compressed points hold all values of one field, then all of the next."""
    packed, size = (int(k) for k in np.frombuffer(data[header.size : header.size + 8].ljust(8, b"\0"), "<u4"))
    body = data[header.size + 8 : header.size + 8 + packed]
    expected = header.points * header.record.itemsize
    # A byte of LZF gives at most 264 / 3 = 88 bytes, so that a false claim is known before anything is unpacked.
    if size != expected or len(body) < packed or size > 88 * packed:
        raise FormatError(f"claims {header.points} points of {expected} bytes; found {len(body)} for {size} unpacked")
    unpacked = lzf_decompress(body, size)
    records = np.empty(header.points, header.record)
    start = 0
    for k, (dtype, count) in enumerate(zip(header.dtypes, header.counts, strict=True)):
        values = np.frombuffer(unpacked, dtype, header.points * count, start)
        start += values.nbytes
        records[str(k)] = values.reshape(header.points, count)
    columns = {name: records[name] for name in records.dtype.names or ()}
    return PcdNative(header, records, data[header.size + 8 + packed :], None, np.zeros(0, np.int64), columns)


def _read_text(data: bytes, header: PcdHeader) -> PcdNative:
    text = TextLines.of(data[header.size :])
    rows = np.array([k for k, line in enumerate(text.lines) if line.strip()], dtype=np.int64)
    width = sum(header.counts)
    if len(rows) != header.points:
        raise FormatError(f"claims {header.points} points; {len(rows)} lines follow the header")
    first = len(header.lines) + 1
    words = [text.lines[k].split() for k in rows.tolist()]
    bad = next((i for i, w in enumerate(words) if len(w) != width), None)
    if bad is not None:
        raise FormatError(f"line {first + rows[bad]}: a point needs {width} values; found {len(words[bad])}")
    flat = [word for row in words for word in row]
    table = numbers_of(flat, (rows + first).tolist(), "a value").reshape(-1, width)
    columns = {}
    place = 0
    for k, (dtype, count) in enumerate(zip(header.dtypes, header.counts, strict=True)):
        values = table[:, place : place + count]
        place += count
        # Coordinates keep the digits of the text, whatever type the header declares for them.
        columns[str(k)] = values if k in header.axes or dtype.kind != "f" else values.astype(dtype)
    return PcdNative(header, None, b"", text, rows, columns)


# ---------------------------------------------------------------- writing


def _binary_bytes(native: PcdNative, new: dict[int, npt.NDArray[Any]], points: npt.NDArray[np.float64]) -> bytes:
    header = native.header
    dtypes = list(header.dtypes)
    for axis, k in enumerate(header.axes):
        dtypes[k] = storage_dtype(points, dtypes[k], axis=axis).newbyteorder("<")
    target = replace(header, dtypes=tuple(dtypes))
    assert native.records is not None
    records = np.empty(header.points, target.record)
    for k in range(len(header.names)):
        values = new.get(k)
        records[str(k)] = native.records[str(k)] if values is None else values.reshape(header.points, header.counts[k])
    return _with_types(target) + records.tobytes() + native.tail


def _with_types(header: PcdHeader) -> bytes:
    """The header's bytes, with SIZE and TYPE lines written anew where types changed, and never compressed."""
    codes = {"f": "F", "i": "I", "u": "U"}
    new = {
        "SIZE": [str(dtype.itemsize) for dtype in header.dtypes],
        "TYPE": [codes[dtype.kind] for dtype in header.dtypes],
        "DATA": ["binary"] if header.data == "binary_compressed" else header.entries["DATA"],
    }
    lines = list(header.lines)
    for i, line in enumerate(lines):
        key = line.split(None, 1)[:1]
        name = key[0].decode("latin-1") if key else ""
        if name in new and new[name] != header.entries[name]:
            lines[i] = " ".join([name, *new[name]]).encode()
    return b"".join(line + b"\n" for line in lines)


def _text_bytes(native: PcdNative, new: dict[int, npt.NDArray[Any]]) -> bytes:
    starts = np.concatenate([[0], np.cumsum(native.header.counts)])
    body = b"\n".join(native.text.lines) if native.text is not None else b""
    for k, values in new.items():
        columns = np.asarray(values, dtype=np.float64).reshape(len(native.rows), native.header.counts[k])
        body = TextLines.of(body).replaced(native.rows, columns, int(starts[k]))
    return b"".join(line + b"\n" for line in native.header.lines) + body


def _fresh(shape: Shape) -> bytes:
    columns = {axis: shape.points[:, k : k + 1] for k, axis in enumerate("xyz"[: shape.dimension])}
    columns.update({name: np.asarray(v).reshape(len(v), -1) for name, v in shape.point_data.items()})
    table = np.empty(
        len(shape.points), [(str(k), v.dtype.newbyteorder("<"), (v.shape[1],)) for k, v in enumerate(columns.values())]
    )
    for k, values in enumerate(columns.values()):
        table[str(k)] = values
    codes = {"f": "F", "i": "I", "u": "U"}
    lines = [
        "VERSION 0.7",
        f"FIELDS {' '.join(columns)}",
        f"SIZE {' '.join(str(v.dtype.itemsize) for v in columns.values())}",
        f"TYPE {' '.join(codes[v.dtype.kind] for v in columns.values())}",
        f"COUNT {' '.join(str(v.shape[1]) for v in columns.values())}",
        f"WIDTH {len(table)}",
        "HEIGHT 1",
        "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {len(table)}",
        "DATA binary",
    ]
    return "".join(line + "\n" for line in lines).encode() + table.tobytes()
