"""Points in text tables (CSV, TXT, XYZ, PTS): two or three numeric columns, or columns named x, y (and z) by a header.

Nothing is guessed: a table with more numeric columns and no header is refused, except under the extensions whose
convention is that x y z come first. All other columns, text ones too, are attributes, written back as they were.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError, OutputFileError
from otreg.io.numbers import as_text, unchanged
from otreg.io.source import read_bytes
from otreg.io.text_lines import TextLines, is_number, numbers_of
from otreg.shapes import Shape

XYZ_FIRST = (".xyz", ".pts", ".asc")  # x y z come first by convention, whatever follows
LONGEST_ROW = 1 << 20  # bytes; a row of a hundred thousand columns is no point
COMMENT = (b"#", b"//", b"%", b"!")
DECIMAL_COMMA = re.compile(rb"[+-]?\d+,\d+([eE][+-]?\d+)?$")
AXIS_NAME = re.compile(r"([xyz])\s*([\[(].*)?$")  # "X", "x [mm]"
FIELDS = {delimiter: re.compile(rb'(?:"[^"]*"|[^%s"])*' % delimiter) for delimiter in (b",", b";", b"\t")}
WORDS = re.compile(rb'(?:"[^"]*"|[^\s"])+')
ODD = re.compile(rb"[^\t\n\v\f\r -~]")  # among these are blanks for NumPy that are none here
BLANK = b""  # the delimiter of columns that are separated by white space

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TableNative:
    """The file's lines, and where in them each column stands."""

    text: TextLines
    rows: tuple[int, ...]  # the lines that hold a point
    delimiter: bytes
    decimal_comma: bool
    axes: tuple[int, ...]  # columns of x, y, z
    points: npt.NDArray[np.float64]  # as they were read
    columns: dict[str, int]  # columns of the attributes
    read: dict[str, npt.NDArray[Any]]


def read_table(path: Path) -> Shape:
    """The points in a text table; its other columns are attributes, named by the header or ``column_4`` (from 1).

    Raises FormatError that names the line: ragged rows, words where numbers must be, too many numeric columns.
    """
    text = TextLines.of(read_bytes(path).removeprefix(b"\xef\xbb\xbf"))
    rows, names, comments, warnings = _layout(text)
    if not rows:
        raise FormatError("holds no rows of numbers")
    first = text.lines[rows[0]]
    delimiter = _delimiter(first)
    sample = [field for row in rows[:20] for field in split_fields(text.lines[row], delimiter)]
    decimal_comma = delimiter != b"," and any(DECIMAL_COMMA.match(field.strip()) for field in sample)
    width = len(names) if names is not None else len(split_fields(first, delimiter))
    table = None if decimal_comma else _plain_numbers(text, rows, delimiter, width)
    fields = None if table is not None else _split_rows(text, rows, delimiter, width)
    numeric = [k for k in range(width) if fields is None or is_number(_point(fields[0][k], decimal_comma))]
    axes = _axes(names, numeric, width, path.suffix.lower())
    others = [k for k in range(width) if k not in axes]
    if table is not None:
        points = np.ascontiguousarray(table[:, axes])
        columns: dict[str, npt.NDArray[Any]] = {_name(names, k): table[:, k].copy() for k in others}
    else:
        assert fields is not None
        words = [_point(row[k], decimal_comma) for row in fields for k in axes]
        points = numbers_of(words, [row + 1 for row in rows], "a coordinate")
        columns = {_name(names, k): _column([row[k] for row in fields], decimal_comma) for k in others}
    places = {_name(names, k): k for k in others}
    native = TableNative(text, tuple(rows), delimiter, decimal_comma, tuple(axes), points, places, columns)
    return Shape(points=points, point_data=columns, comments=comments, warnings=warnings, native=native)


def write_table(shape: Shape, path: Path) -> None:
    """Writes points and attributes as a text table: into its own lines if it came from one, else afresh."""
    native = shape.native
    path.write_bytes(_rewritten(shape, native) if isinstance(native, TableNative) else _fresh(shape, path.suffix))


def table_cannot_hold(shape: Shape) -> str | None:
    """What of a shape would be lost in a text table, in words; None if nothing."""
    if any(len(block) for block in shape.cells):
        return "faces, lines or other cells"
    for name, values in shape.point_data.items():
        text = values.dtype.kind in "US"
        if values.ndim != 1 or values.dtype.kind not in "fiubUS" or '"' in name:
            return f"the attribute '{name}' ({values.dtype}, shape {values.shape})"
        if text and any('"' in str(v) or "\n" in str(v) for v in values):
            return f"the attribute '{name}', whose text holds quotes or line ends"
    return None


# ---------------------------------------------------------------- reading


def _layout(text: TextLines) -> tuple[list[int], list[str] | None, tuple[str, ...], tuple[str, ...]]:
    """The lines that hold points, the columns' names if a header gives them, comments, warnings."""
    rows: list[int] = []
    comments: list[str] = []
    names: list[str] | None = None
    for k, line in enumerate(text.lines):
        stripped = line.strip()
        if not stripped:
            continue
        if stripped.startswith(COMMENT):
            comment = stripped.lstrip(b"#/%!").strip()
            comments.append(comment.decode("utf-8", "replace"))
            if not rows and names is None:  # "# x y z" or "//X,Y,Z" is a header
                candidate = _unquoted(comment)
                names = candidate if {"x", "y"} <= {_axis(name) for name in candidate} else None
            continue
        if len(stripped) > LONGEST_ROW:
            raise FormatError(f"line {k + 1}: must be at most {LONGEST_ROW} bytes long; found {len(stripped)}")
        rows.append(k)
    lines = text.lines
    if rows and lines[rows[0]].lower().startswith(b"version:"):  # landmark files of ibug and menpo
        begin = next((i for i, k in enumerate(rows) if lines[k].strip() == b"{"), None)
        end = next((i for i, k in enumerate(rows) if lines[k].strip() == b"}"), None)
        if begin is None or end is None:
            raise FormatError("a 'version: 1' point file must hold its points between '{' and '}'")
        return rows[begin + 1 : end], None, tuple(comments), ()
    if len(rows) > 1 and lines[rows[0]].strip().isdigit() and len(split_fields(lines[rows[1]], BLANK)) > 1:
        claimed = int(lines[rows[0]])
        warnings = (
            () if claimed == len(rows) - 1 else (f"the first line claims {claimed} points; found {len(rows) - 1}",)
        )
        return rows[1:], names, tuple(comments), warnings
    if rows and names is None:
        first = split_fields(lines[rows[0]], _delimiter(lines[rows[0]]))
        if not any(is_number(f) or DECIMAL_COMMA.match(f.strip()) for f in first):
            names, rows = _unquoted(lines[rows[0]]), rows[1:]
            axes = [_axis(name) for name in names]
            if "x" not in axes or "y" not in axes:
                shown = ", ".join(names)[:100]
                raise FormatError(f"the header names no columns x and y; found: {ascii(shown)[1:-1]}")
    return rows, names, tuple(comments), ()


def split_fields(line: bytes, delimiter: bytes) -> list[bytes]:
    """The fields of a row; quotes protect delimiters and stay."""
    if b'"' not in line:
        return line.split(delimiter) if delimiter else line.split()
    if not delimiter:
        return WORDS.findall(line)
    fields = []
    position = 0
    while True:
        match = FIELDS[delimiter].match(line, position)
        stop = match.end() if match else len(line)
        fields.append(line[position:stop])
        if stop >= len(line) or line[stop : stop + 1] != delimiter:  # the end, or a quote that is never closed
            return fields
        position = stop + 1


def _delimiter(line: bytes) -> bytes:
    """How the columns of a row are separated."""
    bare = re.sub(rb'"[^"]*"', b'"', line.strip())
    if b";" in bare:
        return b";"
    words = bare.split()
    if len(words) > 1 and all(DECIMAL_COMMA.match(word) for word in words):  # "1,5 2,5 3,5"
        return BLANK
    if b"\t" in bare:
        parts = bare.split(b"\t")
        if not any(part.strip().endswith(b",") for part in parts):
            # A blank inside a column of words is part of it; among numbers it is one more separator.
            return b"\t" if any(len(p.split()) > 1 and not all(map(is_number, p.split())) for p in parts) else BLANK
    return b"," if b"," in bare else BLANK


def _plain_numbers(text: TextLines, rows: list[int], delimiter: bytes, width: int) -> Floats | None:
    """(n, width) numbers, fast, if the table holds nothing else; None otherwise."""
    lines = text.lines if len(rows) == len(text.lines) else [text.lines[row] for row in rows]
    if ODD.search(b"\n".join(lines)):
        return None
    try:
        separator = delimiter.decode() or None
        table = np.loadtxt(lines, dtype=np.float64, comments=None, delimiter=separator, ndmin=2)
    except ValueError:
        return None
    return table if table.shape == (len(rows), width) else None


def _split_rows(text: TextLines, rows: list[int], delimiter: bytes, expected: int) -> list[list[bytes]]:
    fields = [split_fields(text.lines[row], delimiter) for row in rows]
    for row, values in zip(rows, fields, strict=True):
        if len(values) != expected:
            hint = "; are these decimal commas?" if delimiter == b"," and len(values) == 2 * expected else ""
            raise FormatError(f"line {row + 1}: every row must have {expected} values; found {len(values)}{hint}")
    return fields


def _axes(names: list[str] | None, numeric: list[int], width: int, suffix: str) -> list[int]:
    """The columns of x, y (and z)."""
    if names is not None:
        found = [_axis(name) for name in names]
        double = [axis for axis in "xyz" if found.count(axis) > 1]
        if double:
            raise FormatError(f"the header names more than one column '{double[0]}'")
        return [found.index(axis) for axis in "xyz" if axis in found]
    if len(numeric) in (2, 3):
        return numeric
    if len(numeric) > 3 and suffix in XYZ_FIRST:
        return numeric[:3]
    raise FormatError(
        f"a table without header must have 2 or 3 numeric columns; found {len(numeric)} among {width}. "
        "Name them in a first line (x, y, z, ...)"
    )


def _column(values: list[bytes], decimal_comma: bool) -> npt.NDArray[Any]:
    """An attribute: numbers where all are (empty is NaN), else text."""
    try:
        return np.array([float(_point(v, decimal_comma)) if v.strip() else np.nan for v in values])
    except ValueError:
        return np.array([v.strip().strip(b'"').decode("utf-8", "replace") for v in values])


def _point(field: bytes, decimal_comma: bool) -> bytes:
    field = field.strip().strip(b'"')
    return field.replace(b",", b".") if decimal_comma else field


def _unquoted(line: bytes) -> list[str]:
    return [f.strip().strip(b'"').strip().decode("utf-8", "replace") for f in split_fields(line, _delimiter(line))]


def _axis(name: str) -> str:
    match = AXIS_NAME.match(name.lower())
    return match.group(1) if match else ""


def _name(names: list[str] | None, k: int) -> str:
    return names[k] if names is not None and names[k] else f"column_{k + 1}"


# ---------------------------------------------------------------- writing


def _rewritten(shape: Shape, native: TableNative) -> bytes:
    if len(shape.points) != len(native.rows) or shape.dimension != len(native.axes):
        raise OutputFileError("a table that was read must be written with its own number of points and coordinates")
    new = {column: shape.points[:, k] for k, column in enumerate(native.axes)}
    for name, values in shape.point_data.items():
        if name not in native.columns:
            raise OutputFileError(f"the table that was read has no column '{name}'; write .ply, .vtu or .npz")
        old = native.read[name]
        if not unchanged(values, old):
            new[native.columns[name]] = np.asarray(values)
    texts = {column: _fields(values, native.decimal_comma) for column, values in new.items()}
    lines = list(native.text.lines)
    separator = native.delimiter or (b"\t" if b"\t" in lines[native.rows[0]] else b" ")
    # Where no attribute is new, lines of points that stay are kept as they are spelled.
    kept = (shape.points == native.points).all(axis=1).tolist() if len(new) == len(native.axes) else None
    for i, row in enumerate(native.rows):
        if kept is not None and kept[i]:
            continue
        end = b"\r" if lines[row].endswith(b"\r") else b""
        fields = split_fields(lines[row].rstrip(b"\r"), native.delimiter)
        for column, text in texts.items():
            fields[column] = text[i].encode()
        lines[row] = separator.join(fields) + end
    return b"\n".join(lines)


def _fields(values: npt.NDArray[Any], decimal_comma: bool = False) -> list[str]:
    """The texts of a column; text is quoted where it holds anything that could be taken for a delimiter."""
    if values.dtype.kind in "US":
        return [f'"{v}"' if v == "" or any(c in v for c in " ,;\t#") else v for v in values.astype(str).tolist()]
    texts = as_text(values.astype(np.int64) if values.dtype == bool else values)
    return [text.replace(".", ",") for text in texts] if decimal_comma else texts


def _fresh(shape: Shape, suffix: str) -> bytes:
    delimiter = {".csv": b",", ".tsv": b"\t"}.get(suffix.lower(), BLANK)
    separator = (delimiter or b" ").decode()
    columns = {axis: shape.points[:, k] for k, axis in enumerate("xyz"[: shape.dimension])}
    columns.update({name: np.asarray(values) for name, values in shape.point_data.items()})
    lines = ["# " + " ".join(comment.split()) for comment in shape.comments]
    if shape.point_data or delimiter:
        lines.append(separator.join(_fields(np.array(list(columns)))))
    lines += map(separator.join, zip(*(_fields(v) for v in columns.values()), strict=True))
    return ("\n".join(lines) + "\n").encode()
