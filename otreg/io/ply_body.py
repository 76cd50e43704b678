"""The body of a PLY file: the records of each element, in text or binary, as columns.

Binary records of one size are viewed in place as a structured array; only lists of changing length are walked record
by record. Every count that the header claims is checked against the bytes that are there before anything is allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError
from otreg.io.ply_header import Element, Property
from otreg.shapes.sizes import steps_within

Column = npt.NDArray[Any]


@dataclass(frozen=True)
class ListColumn:
    """Lists of one property: ``counts`` (n,), and all items one after the other."""

    counts: npt.NDArray[np.int64]
    items: Column


@dataclass(frozen=True)
class Records:
    """One element's columns by property name, and ``stop``: the byte (binary) or line (text) after its last record.

    table: the records as a structured array, when they are binary and all of one size.
    """

    scalars: Mapping[str, Column]
    lists: Mapping[str, ListColumn]
    stop: int
    table: Column | None = field(default=None, compare=False)


# ---------------------------------------------------------------- binary


def record_dtype(element: Element, byte_order: str, list_sizes: tuple[int, ...] = ()) -> np.dtype[np.void]:
    """The structured dtype of one binary record whose lists have the given lengths; fields are named by position."""
    fields: list[Any] = []
    sizes = iter(list_sizes)
    for position, column in enumerate(element.properties):
        if column.count_type is None:
            fields.append((str(position), byte_order + column.type))
        else:
            fields.append((f"{position}#", byte_order + column.count_type))
            fields.append((str(position), byte_order + column.type, (next(sizes),)))
    return np.dtype(fields)


def read_binary(element: Element, data: bytes, start: int, byte_order: str) -> Records:
    """The records of one element that begins at byte ``start``. Raises FormatError when the file is too short."""
    smallest = sum(column.smallest_size for column in element.properties)
    if element.count * smallest > len(data) - start:
        raise FormatError(
            f"element '{element.name}' claims {element.count} records of at least {smallest} bytes, "
            f"but {len(data) - start} bytes are left; the file is cut off or its header is wrong"
        )
    if element.count == 0 or smallest == 0:
        return _no_records(element, start)
    sizes = _first_list_sizes(element, data, start, byte_order)
    dtype = record_dtype(element, byte_order, sizes)
    if element.count * dtype.itemsize <= len(data) - start:
        table = np.frombuffer(data, dtype, element.count, start)
        if all((table[f"{_position(element, c)}#"] == k).all() for c, k in zip(element.lists, sizes, strict=True)):
            return _records_of_table(element, table, start + table.nbytes)
    return _walk(element, data, start, byte_order)


def _no_records(element: Element, stop: int) -> Records:
    empty = {c.name: np.zeros(0, c.type) for c in element.properties}
    lists = {c.name: ListColumn(np.zeros(0, np.int64), empty[c.name]) for c in element.lists}
    return Records({c.name: empty[c.name] for c in element.scalars}, lists, stop)


def _position(element: Element, column: Property) -> int:
    return element.properties.index(column)


def _records_of_table(element: Element, table: Column, stop: int) -> Records:
    scalars, lists = {}, {}
    for position, column in enumerate(element.properties):
        values = table[str(position)]
        if column.is_list:
            counts = np.full(len(table), values.shape[1], dtype=np.int64)
            lists[column.name] = ListColumn(counts, values.reshape(-1))
        else:
            scalars[column.name] = values
    return Records(scalars, lists, stop, table)


def _first_list_sizes(element: Element, data: bytes, start: int, byte_order: str) -> tuple[int, ...]:
    sizes: list[int] = []
    position = start
    for column in element.properties:
        if column.count_type is None:
            position += np.dtype(column.type).itemsize
            continue
        sizes.append(_read_count(data, position, byte_order + column.count_type, element))
        position += np.dtype(column.count_type).itemsize + sizes[-1] * np.dtype(column.type).itemsize
        if position > len(data):
            raise _cut_off(element, 0)
    return tuple(sizes)


def _read_count(data: bytes, position: int, dtype: str, element: Element) -> int:
    size = np.dtype(dtype).itemsize
    if position + size > len(data):
        raise _cut_off(element, 0)
    count = int(np.frombuffer(data, dtype, 1, position)[0])
    if count < 0:
        raise FormatError(f"element '{element.name}', record 0: a list has the negative length {count}")
    return count


def _walk(element: Element, data: bytes, start: int, byte_order: str) -> Records:
    """Records of changing size: find where each list begins, then gather all columns at once."""
    steps: list[tuple[int, Any, int, int]] = []  # scalar bytes before the list, count reader, count size, item size
    lead = 0
    for column in element.properties:
        if column.count_type is None:
            lead += np.dtype(column.type).itemsize
            continue
        reader = struct.Struct(("<" if byte_order == "<" else ">") + _STRUCT_CODES[column.count_type]).unpack_from
        steps.append((lead, reader, np.dtype(column.count_type).itemsize, np.dtype(column.type).itemsize))
        lead = 0
    tail = lead
    found: list[int] = []  # for each record and list: position of the count, count
    position = start
    for record in range(element.count):
        try:
            for before, reader, count_size, item_size in steps:
                position += before
                (count,) = reader(data, position)
                found += (position, count)
                position += count_size + count * item_size
        except struct.error as error:
            raise _cut_off(element, record) from error
        position += tail
    table = np.array(found, dtype=np.int64).reshape(element.count, len(steps), 2)
    if position > len(data):
        raise _cut_off(element, element.count - 1)
    if table[:, :, 1].min() < 0:
        record = int(np.argmax(table[:, :, 1].min(1) < 0))
        raise FormatError(f"element '{element.name}', record {record}: a list has a negative length")
    return _gather(element, data, byte_order, table, start, position)


_STRUCT_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I"}


def _gather(
    element: Element, data: bytes, byte_order: str, table: npt.NDArray[np.int64], start: int, stop: int
) -> Records:
    """Columns of walked records; ``table`` (n, lists, 2) holds each list's position and length."""
    scalars: dict[str, Column] = {}
    lists: dict[str, ListColumn] = {}
    index = 0
    # Where the current run of scalars begins in each record: at its start, then behind each list.
    begins: npt.NDArray[np.int64] | None = None
    ends: npt.NDArray[np.int64] | None = None
    offset = 0
    for column in element.properties:
        item_size = np.dtype(column.type).itemsize
        if column.count_type is not None:
            positions, counts = table[:, index, 0], table[:, index, 1]
            first = positions + np.dtype(column.count_type).itemsize
            places = np.repeat(first, counts) + steps_within(counts) * item_size
            lists[column.name] = ListColumn(counts, _take(data, places, byte_order + column.type))
            ends = first + counts * item_size
            begins, offset, index = ends, 0, index + 1
            continue
        if begins is None:  # records begin behind the last list of the one before, and the scalars after it
            begins = _record_starts(element, table, start)
        scalars[column.name] = _take(data, begins + offset, byte_order + column.type)
        offset += item_size
    return Records(scalars, lists, stop)


def _record_starts(element: Element, table: npt.NDArray[np.int64], start: int) -> npt.NDArray[np.int64]:
    before = 0
    for column in element.properties:
        if column.is_list:
            break
        before += np.dtype(column.type).itemsize
    return table[:, 0, 0] - before


def _take(data: bytes, places: npt.NDArray[np.int64], dtype: str) -> Column:
    """The numbers that begin at the given bytes."""
    size = np.dtype(dtype).itemsize
    raw = np.frombuffer(data, np.uint8)
    return raw[places[:, None] + np.arange(size)].reshape(-1).view(dtype) if len(places) else np.zeros(0, dtype)


def _cut_off(element: Element, record: int) -> FormatError:
    return FormatError(f"element '{element.name}' ends in record {record} of {element.count}: the file is cut off")


# ---------------------------------------------------------------- text


def read_text(element: Element, lines: list[bytes], start: int, numbers: npt.NDArray[np.int64]) -> Records:
    """The records of one element, one a line, from ``lines[start]`` on; ``numbers`` are the lines' numbers in the file.

    Integers up to 2**53 and all floats come out exactly. Raises FormatError that names the line.
    """
    if not element.properties:
        return _no_records(element, start)
    stop = start + element.count
    if stop > len(lines):
        raise FormatError(
            f"element '{element.name}' claims {element.count} lines, but {len(lines) - start} are left; "
            "the file is cut off or its header is wrong"
        )
    if element.count == 0:
        return _no_records(element, start)
    try:
        table = np.loadtxt(lines[start:stop], dtype=np.float64, comments=None, ndmin=2)
    except ValueError:
        table = None  # lists of changing length, or an error that the loop below can name
    records = None if table is None else _columns_of_table(element, table, stop)
    return records or _columns_of_lines(element, lines[start:stop], numbers[start:stop], stop)


def _columns_of_table(element: Element, table: npt.NDArray[np.float64], stop: int) -> Records | None:
    """Columns of a full table, or None if its lists change in length."""
    scalars: dict[str, Column] = {}
    lists: dict[str, ListColumn] = {}
    k = 0
    for column in element.properties:
        if k >= table.shape[1]:
            return None
        if not column.is_list:
            scalars[column.name] = _narrow(table[:, k], column)
            k += 1
            continue
        size = table[0, k]
        if not ((table[:, k] == size).all() and 0 <= size <= table.shape[1] - k - 1 and size == int(size)):
            return None
        counts = np.full(len(table), int(size), dtype=np.int64)
        items = table[:, k + 1 : k + 1 + int(size)].reshape(-1)
        lists[column.name] = ListColumn(counts, _narrow(items, column))
        k += 1 + int(size)
    return Records(scalars, lists, stop) if k == table.shape[1] else None


def _columns_of_lines(element: Element, lines: list[bytes], numbers: npt.NDArray[np.int64], stop: int) -> Records:
    values: dict[str, list[float]] = {column.name: [] for column in element.properties}
    counts: dict[str, list[int]] = {column.name: [] for column in element.lists}
    for line, number in zip(lines, numbers, strict=True):
        try:
            row = [float(word) for word in line.split()]
        except ValueError as error:
            raise FormatError(f"line {number}: element '{element.name}' must hold numbers: {error}") from error
        k = 0
        for column in element.properties:
            if k >= len(row):
                raise FormatError(f"line {number}: element '{element.name}' has too few numbers ({len(row)})")
            if column.is_list:
                size = int(row[k]) if np.isfinite(row[k]) else -1
                if size != row[k] or size < 0 or k + 1 + size > len(row):
                    raise FormatError(
                        f"line {number}: a list of '{column.name}' claims {row[k]:g} items; {_left(row, k)}"
                    )
                counts[column.name].append(size)
                values[column.name] += row[k + 1 : k + 1 + size]
                k += 1 + size
            else:
                values[column.name].append(row[k])
                k += 1
        if k != len(row):
            raise FormatError(f"line {number}: element '{element.name}' has {len(row)} numbers instead of {k}")
    columns = {c.name: _narrow(np.array(values[c.name], dtype=np.float64), c) for c in element.properties}
    lists = {name: ListColumn(np.array(c, dtype=np.int64), columns[name]) for name, c in counts.items()}
    return Records({c.name: columns[c.name] for c in element.scalars}, lists, stop)


def _left(row: list[float], k: int) -> str:
    return f"{len(row) - k - 1} are on the line"


def _narrow(values: npt.NDArray[np.float64], column: Property) -> Column:
    """The values in their declared type; as they are, where text holds numbers that the type cannot."""
    dtype = np.dtype(column.type)
    if dtype.kind == "f":
        return values if dtype == np.float64 or column.name.lower() in ("x", "y", "z") else values.astype(dtype)
    limits = np.iinfo(dtype)
    fits = bool(((values >= limits.min) & (values <= limits.max) & (values == np.rint(values))).all())
    return values.astype(dtype) if fits else values
