"""PLY files, read and written without loss: the moved file differs from the source in its positions only.

The header's lines and every element but the vertices are kept as bytes, and written back as bytes; the vertices are
kept as records, in which writing replaces x, y, z and whatever attribute was given anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError, OutputFileError
from otreg.io.cells import blocks_of_lists, triangles_of_strips
from otreg.io.numbers import as_text, storage_dtype, unchanged
from otreg.io.ply_body import Records, read_binary, read_text, record_dtype
from otreg.io.ply_header import ENCODINGS, NAMES, Element, Header, Property, parse_header
from otreg.io.source import read_bytes
from otreg.shapes import CellBlock, Shape

AXES = ("x", "y", "z")


@dataclass(frozen=True)
class PlyNative:
    """What a PLY file holds besides the Shape: its header, and its vertices as they were stored."""

    header: Header
    vertices: Records
    before: Any  # bytes: the elements in front of the vertices, as stored
    after: Any  # bytes: those behind
    lines: tuple[bytes, ...] = ()  # the vertices of a text file, blank lines included


def read_ply(path: Path) -> Shape:
    """The shape in a PLY file: vertices, faces, edges, triangle strips, and every scalar attribute.

    Raises FormatError that names the header line, element or record that breaks a rule.
    """
    data = read_bytes(path)
    header = parse_header(data)
    vertex = next((e for e in header.elements if e.name.lower() in ("vertex", "vertices")), None)
    if vertex is None:
        raise FormatError("the header has no element 'vertex', so the file holds no points")
    axes = [vertex.find(axis) for axis in AXES]
    if axes[0] is None or axes[1] is None or any(axis is not None and axis.is_list for axis in axes):
        raise FormatError("element 'vertex' must have the numeric properties x and y (and z)")
    elements, native, warnings = _read_body(header, vertex, data)
    vertices = elements[vertex.name]
    points = np.stack([vertices.scalars[axis.name] for axis in axes if axis is not None], axis=1).astype(np.float64)
    names = {axis.name for axis in axes if axis is not None}
    cells, cell_data = _cells_of(elements)
    return Shape(
        points=points,
        cells=cells,
        point_data={name: _plain(values) for name, values in vertices.scalars.items() if name not in names},
        cell_data=cell_data,
        comments=header.comments,
        warnings=warnings,
        native=native,
    )


def write_ply(shape: Shape, path: Path) -> None:
    """Writes a shape as PLY: in its own layout if it came from a PLY file, else as little-endian binary."""
    native = shape.native if isinstance(shape.native, PlyNative) else _fresh(shape)
    with path.open("wb") as file:
        for part in _parts(shape, native):
            file.write(part)


def ply_cannot_hold(shape: Shape) -> str | None:
    """What of a shape that did not come from PLY would be lost in PLY, in words; None if nothing."""
    if any(block.kind == "tetra" for block in shape.cells):
        return "tetrahedra"
    lost = [name for name, values in shape.point_data.items() if _ply_columns(name, values) is None]
    if lost:
        return f"the attribute '{lost[0]}' ({shape.point_data[lost[0]].dtype})"
    if shape.cell_data:
        lines = sum(len(block) for block in shape.cells if block.kind == "line")
        if lines and lines != sum(len(block) for block in shape.cells):
            return "attributes of lines and faces in one table"
        lost = [name for name, values in shape.cell_data.items() if _ply_columns(name, values) is None]
        if lost:
            return f"the attribute '{lost[0]}' of cells ({shape.cell_data[lost[0]].dtype})"
    return None


# ---------------------------------------------------------------- reading


def _read_body(header: Header, vertex: Element, data: bytes) -> tuple[dict[str, Records], PlyNative, tuple[str, ...]]:
    text = header.encoding == "ascii"
    lines: list[bytes] = []
    rows: list[bytes] = []
    numbers = np.zeros(0, np.int64)
    position = 0 if text else header.size
    if text:
        lines = data[header.size :].split(header.newline)
        filled = [i for i, line in enumerate(lines) if line.strip()]
        rows = [lines[i] for i in filled]
        numbers = np.array(filled, dtype=np.int64) + len(header.lines) + 1
    elements: dict[str, Records] = {}
    span = (position, position)
    for element in header.elements:
        start = position
        if text:
            elements[element.name] = read_text(element, rows, position, numbers)
        else:
            elements[element.name] = read_binary(element, data, position, header.byte_order)
        position = elements[element.name].stop
        if element is vertex:
            span = (start, position)
    if text:
        surplus = len(rows) - position
        first = int(numbers[span[0]]) - len(header.lines) - 1 if span[0] < len(rows) else len(lines)
        last = int(numbers[span[1] - 1]) - len(header.lines) if span[1] > span[0] else first
        native = PlyNative(
            header,
            elements[vertex.name],
            before=b"".join(line + header.newline for line in lines[:first]),
            after=b"".join(header.newline + line for line in lines[last:]),
            lines=tuple(lines[first:last]),
        )
        warnings = (f"{surplus} lines after the last element are ignored",) if surplus else ()
    else:
        surplus = len(data) - position
        native = PlyNative(header, elements[vertex.name], data[header.size : span[0]], data[span[1] :])
        warnings = (f"{surplus} bytes after the last element are ignored",) if surplus else ()
    return elements, native, warnings


def _cells_of(elements: dict[str, Records]) -> tuple[tuple[CellBlock, ...], dict[str, np.ndarray[Any, Any]]]:
    """Cells of the elements 'face', 'tristrips' and 'edge', and their attributes where one kind of element has all."""
    blocks: list[CellBlock] = []
    owners: list[Records] = []
    for name, records in elements.items():
        found: list[CellBlock] = []
        indices = next((c for n, c in records.lists.items() if n.lower() in ("vertex_indices", "vertex_index")), None)
        ends = [records.scalars.get(n) for n in ("vertex1", "vertex2")]
        if name.lower() == "face" and indices is not None:
            found = blocks_of_lists(indices.counts, _integers(indices.items, name))
        elif name.lower() == "tristrips" and indices is not None:
            found = triangles_of_strips(indices.counts, _integers(indices.items, name))
        elif name.lower() == "edge" and ends[0] is not None and ends[1] is not None:
            found = [CellBlock("line", np.stack([_integers(end, name) for end in ends if end is not None], axis=1))]
        found = [block for block in found if len(block)]
        if found:
            blocks += found
            owners.append(records)
    attributes: dict[str, np.ndarray[Any, Any]] = {}
    if len(owners) == 1:
        count = sum(len(block) for block in blocks)
        attributes = {
            n: _plain(v) for n, v in owners[0].scalars.items() if len(v) == count and not n.startswith("vertex")
        }
    return tuple(blocks), attributes


def _integers(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.int64]:
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise FormatError(f"element '{name}' must index points by whole numbers")
    return values.astype(np.int64)


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A contiguous copy in the machine's byte order that does not hold on to the file's bytes."""
    return np.array(values, dtype=values.dtype.newbyteorder("="))


# ---------------------------------------------------------------- writing


def _parts(shape: Shape, native: PlyNative) -> list[Any]:
    """The bytes of the file, part by part: header, elements before, vertices, elements after."""
    header = native.header
    element = next(e for e in header.elements if e.name.lower() in ("vertex", "vertices"))
    new = _new_columns(shape, native, element)
    if not new:
        vertices = _vertex_bytes_as_read(native, element)
        return [header.to_bytes(), native.before, *vertices, native.after]
    header, target = _with_columns(header, element, new)
    columns = {**dict(native.vertices.scalars), **new}
    if header.encoding == "ascii":
        vertices = _text_vertices(native, element, new, header.newline)
    else:
        vertices = [_table(target, columns, native, element, header.byte_order)]
    return [header.to_bytes(), native.before, *vertices, native.after]


def _new_columns(shape: Shape, native: PlyNative, element: Element) -> dict[str, npt.NDArray[Any]]:
    """The vertex columns that are not what was read, in the dtype to store: positions, and attributes given anew."""
    new: dict[str, npt.NDArray[Any]] = {}
    axes = [column for axis in AXES if (column := element.find(axis)) is not None]
    if len(axes) != shape.dimension or len(shape.points) != element.count:
        raise OutputFileError("a PLY shape that was read must be written with its own number of points and coordinates")
    stored = np.stack([native.vertices.scalars[a.name] for a in axes], axis=1).astype(np.float64)
    if not np.array_equal(stored, shape.points):
        # Floats are judged by all axes together: once is enough.
        floats = {t: storage_dtype(shape.points, np.dtype(t)) for t in {a.type for a in axes} if t[0] == "f"}
        for k, axis in enumerate(axes):
            dtype = floats.get(axis.type) or storage_dtype(shape.points, np.dtype(axis.type), axis=k)
            new[axis.name] = shape.points[:, k].astype(dtype)
    for name, values in shape.point_data.items():
        old = native.vertices.scalars.get(name)
        if old is None:
            extra = _ply_columns(name, values)
            if extra is None:
                raise OutputFileError(f"PLY cannot hold the attribute '{name}' ({values.dtype}); write .npz or .vtu")
            new.update(extra)
        elif not unchanged(values, old):
            column = element.find(name.lower())
            declared = np.dtype(column.type) if column is not None else values.dtype
            with np.errstate(all="ignore"):
                cast = np.asarray(values).astype(declared)
            same = np.array_equal(cast, values) or declared.kind == "f"
            new[name] = cast if same else np.asarray(values, dtype=np.float64)
    return new


def _with_columns(header: Header, element: Element, new: dict[str, npt.NDArray[Any]]) -> tuple[Header, Element]:
    """The header and vertex element with the types of replaced columns and with added columns at the end."""
    lines = list(header.lines)
    columns = list(element.properties)
    added: list[bytes] = []
    end = b"\r" if lines[0].endswith(b"\r") else b""
    for name, values in new.items():
        code = values.dtype.str[1:]
        k = next((k for k, column in enumerate(columns) if column.name == name), None)
        declaration = f"property {NAMES[code]} {name}".encode("latin-1") + end
        if k is None:
            added.append(declaration)
            columns.append(Property(name, code))
        elif columns[k].type != code:
            lines[columns[k].line] = declaration
            columns[k] = replace(columns[k], type=code)
    last = max(column.line for column in element.properties)
    lines[last + 1 : last + 1] = added
    return replace(header, lines=tuple(lines)), replace(element, properties=tuple(columns))


def _vertex_bytes_as_read(native: PlyNative, element: Element) -> list[Any]:
    if native.header.encoding == "ascii":
        return [native.header.newline.join(native.lines)]
    if native.vertices.table is not None:
        return [native.vertices.table.tobytes()]
    if element.count == 0:
        return []
    return [_table(element, dict(native.vertices.scalars), native, element, native.header.byte_order)]


def _table(
    target: Element, columns: dict[str, npt.NDArray[Any]], native: PlyNative, source: Element, byte_order: str
) -> Any:
    """The bytes of the vertices, in the layout of ``target``; lists come from what was read."""
    lists = native.vertices.lists
    if any(np.ptp(c.counts) if len(c.counts) else 0 for c in lists.values()):
        return _ragged_bytes(target, columns, native, byte_order)
    sizes = tuple(int(lists[c.name].counts[0]) for c in target.lists)
    table = np.empty(source.count, record_dtype(target, byte_order, sizes))
    for k, column in enumerate(target.properties):
        if column.is_list:
            table[f"{k}#"] = lists[column.name].counts
            table[str(k)] = lists[column.name].items.reshape(source.count, -1)
        else:
            table[str(k)] = columns[column.name]
    return _raw(table)


def _ragged_bytes(target: Element, columns: dict[str, npt.NDArray[Any]], native: PlyNative, byte_order: str) -> bytes:
    """Vertices that carry lists of changing length (rare): record by record."""
    stops = {name: np.cumsum(c.counts) for name, c in native.vertices.lists.items()}
    out = bytearray()
    for i in range(target.count):
        for column in target.properties:
            dtype = byte_order + column.type
            if column.count_type is None:
                out += np.array(columns[column.name][i], dtype=dtype).tobytes()
                continue
            lists, stop = native.vertices.lists[column.name], int(stops[column.name][i])
            out += np.array(lists.counts[i], dtype=byte_order + column.count_type).tobytes()
            out += lists.items[stop - int(lists.counts[i]) : stop].astype(dtype).tobytes()
    return bytes(out)


def _text_vertices(
    native: PlyNative, element: Element, new: dict[str, npt.NDArray[Any]], newline: bytes
) -> list[bytes]:
    """The vertices' lines with the new columns in their places and all other words as they were."""
    places = {column.name: k for k, column in enumerate(element.properties)}
    if any(places.get(name, -1) > places[c.name] for c in element.lists for name in new):
        raise OutputFileError("text PLY with a list in front of a replaced column cannot be written; use binary PLY")
    texts = {name: [t.encode("ascii") for t in as_text(values)] for name, values in new.items()}
    replaced = [(places[name], text) for name, text in texts.items() if name in places]
    added = [text for name, text in texts.items() if name not in places]
    out = []
    i = 0
    for line in native.lines:
        words = line.split()
        if words:
            for place, text in replaced:
                words[place] = text[i]
            words += [text[i] for text in added]
            i += 1
        out.append(b" ".join(words) + (b"\r" if line.endswith(b"\r") else b""))
    return [newline.join(out)]


# ---------------------------------------------------------------- shapes that did not come from PLY


def _ply_columns(name: str, values: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]] | None:
    """An attribute as scalar columns that PLY has types for, or None; vectors become NAME_0, NAME_1, ..."""
    values = np.asarray(values)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:  # PLY has no 64-bit integers
        small = len(values) == 0 or (values.min() >= -(2**31) and values.max() < 2**31)
        values = values.astype(np.int32) if small else values
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    if values.dtype.str[1:] not in NAMES or values.ndim > 2 or any(c.isspace() for c in name) or not name.isascii():
        return None
    if values.ndim == 1:
        return {name: values}
    if name == "normals" and values.shape[1] == 3:
        return {f"n{axis}": values[:, k] for k, axis in enumerate(AXES)}
    return {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}


def _fresh(shape: Shape) -> PlyNative:
    """A little-endian layout for a shape that did not come from PLY."""
    vertex, vertex_table = _scalar_element("vertex", shape.points, shape.point_data, len(shape.points))
    lines = [b"ply", b"format binary_little_endian 1.0"]
    lines += [b"comment " + " ".join(comment.split()).encode("utf-8") for comment in shape.comments]
    after: list[Any] = []
    vertex, lines = _declare(vertex, lines)
    edges = [block for block in shape.cells if block.kind == "line" and len(block)]
    faces = [block for block in shape.cells if block.kind != "line" and len(block)]
    count = sum(len(block) for block in faces)
    if faces:
        face, parts = _scalar_element("face", None, shape.cell_data if not edges else {}, count)
        wide = any(block.offsets is not None and np.diff(block.offsets).max() > 255 for block in faces)
        face = replace(face, properties=(Property("vertex_indices", "i4", "i4" if wide else "u1"), *face.properties))
        face, lines = _declare(face, lines)
        after += _face_tables(face, faces, parts)
    if edges:
        ends = np.concatenate([block.indices for block in edges])
        data = {"vertex1": ends[:, 0].astype(np.int32), "vertex2": ends[:, 1].astype(np.int32)}
        edge, table = _scalar_element("edge", None, {**data, **(shape.cell_data if not faces else {})}, len(ends))
        edge, lines = _declare(edge, lines)
        after.append(_raw(table))
    header = Header("binary_little_endian", (vertex,), shape.comments, (*lines, b"end_header"), b"\n", 0)
    scalars = {column.name: vertex_table[str(k)] for k, column in enumerate(vertex.properties)}
    return PlyNative(
        header, Records(scalars, {}, 0, vertex_table), b"", after[0] if len(after) == 1 else b"".join(after)
    )


def _scalar_element(
    name: str, points: npt.NDArray[np.float64] | None, data: Any, count: int
) -> tuple[Element, npt.NDArray[Any]]:
    columns: dict[str, npt.NDArray[Any]] = {}
    if points is not None:
        columns.update({axis: points[:, k] for k, axis in enumerate(AXES[: points.shape[1]])})
    for key, values in data.items():
        columns.update(_ply_columns(key, values) or {})
    element = Element(name, count, tuple(Property(key, values.dtype.str[1:]) for key, values in columns.items()))
    table = np.empty(count, record_dtype(element, ENCODINGS["binary_little_endian"]))
    for k, values in enumerate(columns.values()):
        table[str(k)] = values
    return element, table


def _declare(element: Element, lines: list[bytes]) -> tuple[Element, list[bytes]]:
    """The element with the line number of each property, and the header lines with its declaration."""
    lines = [*lines, f"element {element.name} {element.count}".encode()]
    columns = []
    for column in element.properties:
        kind = f"list {NAMES[column.count_type]} {NAMES[column.type]}" if column.count_type else NAMES[column.type]
        columns.append(replace(column, line=len(lines)))
        lines.append(f"property {kind} {column.name}".encode())
    return replace(element, properties=tuple(columns)), lines


def _face_tables(face: Element, blocks: list[CellBlock], scalars: npt.NDArray[Any]) -> list[Any]:
    """The bytes of all faces: one table for each run of faces with equally many corners."""
    out: list[Any] = []
    row = 0
    for block in blocks:
        if block.offsets is None:
            runs = [(len(block), block.indices.shape[1])]
        else:
            sizes = np.diff(block.offsets)
            bounds = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
            runs = [(b - a, int(sizes[a])) for a, b in pairwise(bounds)]
        flat = block.indices.reshape(-1)
        begin = 0
        for count, size in runs:
            table = np.empty(count, record_dtype(face, "<", (size,)))
            table["0#"] = size
            table["0"] = flat[begin : begin + size * count].reshape(count, size)
            for k in range(1, len(face.properties)):
                table[str(k)] = scalars[str(k - 1)][row : row + count]
            begin, row = begin + size * count, row + count
            out.append(_raw(table))
    return out


def _raw(table: npt.NDArray[Any]) -> Any:
    """The bytes of a structured array, without a copy."""
    return table.view(np.uint8).data if table.nbytes else b""
