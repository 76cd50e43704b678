"""Wavefront OBJ files: read without splitting or merging vertices, written with every other line as it was.

Materials, texture coordinates, groups and comments are never interpreted and never followed; they survive because
only the ``v`` lines (and ``vn`` lines, when there is one normal per vertex and it was given anew) are rewritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError, OutputFileError
from otreg.io.cells import blocks_of_lists, not_lines_then_faces, segments_of_lists
from otreg.io.numbers import as_text, unchanged
from otreg.io.source import read_bytes
from otreg.io.text_lines import TextLines, numbers_of
from otreg.io.words import BLANK, Words
from otreg.shapes import Shape

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ObjNative:
    """All lines of the file, and which of them hold the points and the normals."""

    text: TextLines
    vertex_rows: Integers
    normal_rows: Integers  # empty unless there is one normal per vertex
    read: dict[str, npt.NDArray[Any]]  # the attributes, as they were


def read_obj(path: Path) -> Shape:
    """The shape in an OBJ file: ``v``, ``f``, ``l`` lines, colours behind ``v``, normals if there is one per vertex.

    Raises FormatError that names the line.
    """
    text = _logical_lines(read_bytes(path))
    rows = _rows_by_keyword(text.lines)
    if not len(rows[b"v"]):
        raise FormatError("has no 'v' lines, so it holds no points")
    vertices = _Statements(text, rows[b"v"])
    points, point_data = _points_of(vertices)
    warnings: list[str] = []
    defined = vertices.rows  # an index may count back from the line that it stands in
    ends, sizes = _indices(_Statements(text, rows[b"l"]), defined, part=0)
    faces = _Statements(text, rows[b"f"])
    corners, counts = _indices(faces, defined, part=0)
    blocks = [*segments_of_lists(sizes, ends), *blocks_of_lists(counts, corners)]
    if len(counts) and counts.min() < 3:
        warnings.append(f"{int((counts < 3).sum())} faces have fewer than 3 corners; they count as area 0")
    normals = _normals_per_vertex(_Statements(text, rows[b"vn"]), faces, corners, len(points))
    if normals is not None:
        point_data["normals"] = normals
    elif len(rows[b"vn"]):
        warnings.append("normals are given per corner, not per vertex; they are kept as they are")
    return Shape(
        points=points,
        cells=tuple(blocks),
        point_data=point_data,
        comments=tuple(_comment(text.lines[row]) for row in rows[b"#"].tolist()),
        warnings=tuple(warnings),
        native=ObjNative(text, defined, rows[b"vn"] if normals is not None else np.zeros(0, np.int64), point_data),
    )


def write_obj(shape: Shape, path: Path) -> None:
    """Writes a shape as OBJ: into its own lines if it came from an OBJ file, else afresh."""
    native = shape.native
    path.write_bytes(_rewritten(shape, native) if isinstance(native, ObjNative) else _fresh(shape))


def obj_cannot_hold(shape: Shape) -> str | None:
    """What of a shape that did not come from OBJ would be lost in OBJ, in words; None if nothing."""
    lost = not_lines_then_faces(shape)
    if lost is not None:
        return lost
    names = [name for name in shape.point_data if name != "normals"]
    if names or shape.cell_data:
        return f"the attribute '{(names or list(shape.cell_data))[0]}'"
    return None


def _rows_by_keyword(lines: Sequence[bytes]) -> dict[bytes, Integers]:
    """The rows of the lines that begin with each of v, vn, f and l, and with a comment's #."""
    text = np.frombuffer(b"\n".join([*lines, b"   "]), dtype=np.uint8)  # three bytes at least from any line's begin on
    lengths = np.fromiter(map(len, lines), np.int64, len(lines))
    begins = np.cumsum(lengths + 1) - (lengths + 1)
    first, second, third = text[begins], text[begins + 1], text[begins + 2]
    short = BLANK[second]
    found = {bytes([letter]): np.flatnonzero((first == letter) & short) for letter in b"vfl"}
    found[b"vn"] = np.flatnonzero((first == ord("v")) & (second == ord("n")) & BLANK[third])
    indented: dict[bytes, list[int]] = {keyword: [] for keyword in found}
    for row in np.flatnonzero(BLANK[first] & (lengths > 0)).tolist():
        for keyword in lines[row].split(None, 1)[:1]:
            if keyword in indented:
                indented[keyword].append(row)
    for keyword, more in indented.items():
        found[keyword] = np.sort(np.concatenate([found[keyword], np.array(more, np.int64)]))
    found[b"#"] = np.flatnonzero(first == ord("#"))
    return found


class _Statements:
    """Some lines with the keyword and the words behind it, comments removed."""

    def __init__(self, text: TextLines, rows: Integers) -> None:
        self.rows = rows
        self.numbers = (rows + 1).tolist()
        lines = [text.lines[row] for row in rows.tolist()]
        together = b"\n".join(lines)
        if b"#" in together or b"\\" in together:
            lines = [_bare(line) for line in lines]
        self.words = Words(lines)
        self.sizes = self.words.counts - 1

    def values(self, first: int, count: int) -> list[bytes]:
        """``count`` words of each line, one line after the other, from word ``first`` on; the keyword is word 0."""
        texts = self.words.texts
        places = self.words.firsts[:, None] + np.arange(first, first + count)
        return [texts[k] for k in places.reshape(-1).tolist()]


def _bare(line: bytes) -> bytes:
    """A line without its comment, in one piece."""
    return line.partition(b"#")[0].replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")


def _logical_lines(data: bytes) -> TextLines:
    """The lines of the file; a line that a backslash continues is one line with a newline inside.

    Those of vertices and normals become one without, since their words are written anew.
    """
    text = TextLines.of(data.removeprefix(b"\xef\xbb\xbf"))
    if b"\\\n" not in data and b"\\\r\n" not in data:
        return text
    lines: list[bytes] = []
    continued = False
    for line in text.lines:
        if continued and lines[-1].rstrip(b"\\\r").split(None, 1)[:1] in ([b"v"], [b"vn"]):
            lines[-1] = lines[-1].rstrip(b"\r")[:-1] + b" " + line
        elif continued:
            lines[-1] += b"\n" + line
        else:
            lines.append(line)
        # A comment may end in a backslash (a path, say) without hiding the line that follows.
        continued = line.rstrip(b"\r").endswith(b"\\") and not lines[-1].lstrip().startswith(b"#")
    return TextLines(tuple(lines))


def _points_of(vertices: _Statements) -> tuple[npt.NDArray[np.float64], dict[str, npt.NDArray[Any]]]:
    sizes = vertices.sizes
    if sizes.min() < 3:
        k = int(np.argmax(sizes < 3))
        raise FormatError(f"line {vertices.numbers[k]}: 'v' needs 3 numbers; found {sizes[k]}")
    points = numbers_of(vertices.values(1, 3), vertices.numbers, "a coordinate of 'v'")
    data: dict[str, npt.NDArray[Any]] = {}
    if sizes.min() == sizes.max() and sizes[0] in (6, 7):
        colours = numbers_of(vertices.values(sizes[0] - 2, 3), vertices.numbers, "a colour of 'v'")
        data = {name: colours[:, k].copy() for k, name in enumerate(("red", "green", "blue"))}
    return points, data


def _indices(statements: _Statements, defined: Integers, *, part: int) -> tuple[Integers, Integers]:
    """The zero-based indices of all corners, and how many each line has; ``part`` 0 of ``v/vt/vn``, or 2."""
    counts = statements.sizes
    behind_keywords = np.ones(int(statements.words.counts.sum()), dtype=bool)
    behind_keywords[statements.words.firsts] = False
    corners = np.flatnonzero(behind_keywords)
    owner = np.repeat(np.arange(len(counts)), counts)
    raw = statements.words.whole_numbers(corners, slashes=part)
    if raw is None:
        words = [statements.words.texts[k] for k in corners.tolist()]
        words = [[*word.split(b"/"), b"", b""][part] for word in words]
        try:
            raw = np.array([int(word) for word in words], dtype=np.int64)
        except (ValueError, OverflowError):
            if part:
                return np.zeros(0, np.int64), counts
            k = next(k for k, word in enumerate(words) if not _is_index(word))
            shown = ascii(words[k][:40].decode("latin-1"))
            raise FormatError(
                f"line {statements.numbers[owner[k]]}: an index must be a whole number; found {shown}"
            ) from None
    so_far = np.searchsorted(defined, statements.rows)[owner]
    indices = np.where(raw < 0, so_far + raw, raw - 1)
    wrong = (raw == 0) | (indices < 0) | (indices >= len(defined))
    if wrong.any() and not part:
        k = int(np.argmax(wrong))
        raise FormatError(
            f"line {statements.numbers[owner[k]]}: index {raw[k]} is out of range; the file has {len(defined)} points, "
            "counted from 1, or from -1 backwards"
        )
    return indices, counts


def _is_index(word: bytes) -> bool:
    try:
        return -(2**63) <= int(word) < 2**63
    except ValueError:
        return False


def _normals_per_vertex(
    statements: _Statements, faces: _Statements, corners: Integers, n: int
) -> npt.NDArray[np.float64] | None:
    """(n, 3) normals, if there are as many as vertices and every corner uses the normal of its vertex's number."""
    if len(statements.rows) != n or (statements.sizes != 3).any():
        return None
    used, _ = _indices(faces, statements.rows, part=2)
    if len(corners) and not np.array_equal(used, corners):
        return None
    return numbers_of(statements.values(1, 3), statements.numbers, "a coordinate of 'vn'")


def _comment(line: bytes) -> str:
    return line[1:].decode("utf-8", "replace").strip()


# ---------------------------------------------------------------- writing


def _rewritten(shape: Shape, native: ObjNative) -> bytes:
    if len(shape.points) != len(native.vertex_rows):
        raise OutputFileError("an OBJ shape that was read must be written with its own number of points")
    data = native.text.replaced(native.vertex_rows, shape.points, 1)
    for name, values in shape.point_data.items():
        if name in native.read and unchanged(values, native.read[name]):
            continue
        if name != "normals" or not len(native.normal_rows):
            raise OutputFileError(f"OBJ cannot hold the new attribute '{name}'; write .ply, .vtu or .npz")
        data = TextLines.of(data).replaced(native.normal_rows, np.asarray(values, dtype=np.float64), 1)
    return data


def _fresh(shape: Shape) -> bytes:
    lines = [f"# {' '.join(comment.split())}" for comment in shape.comments]
    lines += _table("v", shape.points)
    normals = shape.point_data.get("normals")
    if normals is not None:
        lines += _table("vn", np.asarray(normals, dtype=np.float64))
    for block in shape.cells:
        keyword = "l" if block.kind == "line" else "f"
        form = "{0}" if normals is None or keyword == "l" else "{0}//{0}"
        offsets = block.offsets
        if offsets is None:
            offsets = np.arange(len(block) + 1) * block.indices.shape[1]
        words = [form.format(i) for i in (block.indices.reshape(-1) + 1).tolist()]
        bounds = offsets.tolist()
        lines += [f"{keyword} {' '.join(words[a:b])}" for a, b in pairwise(bounds)]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _table(keyword: str, values: npt.NDArray[np.float64]) -> list[str]:
    texts = iter(as_text(values.reshape(-1)))
    return [f"{keyword} {x} {y} {z}" for x, y, z in zip(texts, texts, texts, strict=True)]
