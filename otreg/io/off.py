"""OFF files, with colours (COFF) and normals (NOFF); written back with every line but the vertices' as it was.

Source: Geomview's description of the format. The header word may carry ST (texture), C (colour) and N (normal); a
leading 4 or n means another dimension than 3, which is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError, OutputFileError
from otreg.io.cells import blocks_of_lists
from otreg.io.numbers import as_text, unchanged
from otreg.io.source import read_bytes
from otreg.io.text_lines import TextLines, numbers_of
from otreg.shapes import Shape

KEYWORD = re.compile(rb"(ST)?(C)?(N)?(4)?(n)?OFF(\d*)$")  # some writers leave no blank before the counts


@dataclass(frozen=True)
class OffNative:
    """All lines of the file, those that hold a vertex, and the attributes as they were read."""

    text: TextLines
    rows: npt.NDArray[np.int64]
    read: dict[str, npt.NDArray[Any]]


def read_off(path: Path) -> Shape:
    """The shape in an OFF file; colours are point attributes, normals too. Raises FormatError that names the line."""
    text = TextLines.of(read_bytes(path).removeprefix(b"\xef\xbb\xbf"))
    statements = [(k, words) for k, line in enumerate(text.lines) if (words := line.partition(b"#")[0].split())]
    if not statements:
        raise FormatError("holds nothing but comments")
    row, words = statements[0]
    match = KEYWORD.match(words[0])
    if match is None:
        raise FormatError(f"line {row + 1}: must be OFF, COFF or NOFF; found {words[0][:20].decode('latin-1')!a}")
    if match.group(4) or match.group(5):
        raise FormatError(f"line {row + 1}: {words[0].decode()} holds points of 4 or n coordinates; only 2 and 3 work")
    if b"BINARY" in words[1:2]:
        raise FormatError(f"line {row + 1}: binary OFF is not supported; save it as text or as .ply")
    # The counts stand behind the keyword, or on the next line.
    counts = [word for word in (match.group(6), *words[1:]) if word]
    row, counts, first = (row, counts, 1) if counts else (*_second(statements), 2)
    if len(counts) < 2 or not all(word.isdigit() and len(word) < 18 for word in counts[:2]):
        raise FormatError(f"line {row + 1}: must hold the numbers of vertices and faces")
    n, m = int(counts[0]), int(counts[1])
    if first + n + m > len(statements):
        left = len(statements) - first
        raise FormatError(f"line {row + 1}: claims {n} vertices and {m} faces, but only {left} lines follow")
    vertices, faces = statements[first : first + n], statements[first + n : first + n + m]
    points, point_data = _points_of(vertices, colours=bool(match.group(2)), normals=bool(match.group(3)))
    counts_of_faces, corners = _corners_of(faces)
    rows = np.array([k for k, _ in vertices], dtype=np.int64)
    surplus = len(statements) - first - n - m
    return Shape(
        points=points,
        cells=tuple(blocks_of_lists(counts_of_faces, corners)),
        point_data=point_data,
        warnings=(f"{surplus} lines after the last face are ignored",) if surplus else (),
        native=OffNative(text, rows, point_data),
    )


def write_off(shape: Shape, path: Path) -> None:
    """Writes a shape as OFF: into its own lines if it came from an OFF file, else afresh."""
    native = shape.native
    if not isinstance(native, OffNative):
        path.write_bytes(_fresh(shape))
        return
    if len(shape.points) != len(native.rows):
        raise OutputFileError("an OFF shape that was read must be written with its own number of points")
    values = [shape.points]
    for name, data in shape.point_data.items():
        if name not in native.read:
            raise OutputFileError(f"OFF cannot hold the attribute '{name}'; write .ply, .vtu or .npz")
        if name == "normals":  # they follow the coordinates
            values.append(np.asarray(data, dtype=np.float64))
        elif not unchanged(data, native.read[name]):
            raise OutputFileError(f"OFF cannot hold the new attribute '{name}'; write .ply, .vtu or .npz")
    path.write_bytes(native.text.replaced(native.rows, np.concatenate(values, axis=1), 0))


def off_cannot_hold(shape: Shape) -> str | None:
    """What of a shape that did not come from OFF would be lost in OFF, in words; None if nothing."""
    if shape.dimension != 3:
        return "points with 2 coordinates"
    if any(block.kind in ("line", "tetra") for block in shape.cells):
        return "lines or tetrahedra"
    names = [*shape.point_data, *shape.cell_data]
    return f"the attribute '{names[0]}'" if names else None


def _second(statements: list[tuple[int, list[bytes]]]) -> tuple[int, list[bytes]]:
    if len(statements) < 2:
        raise FormatError("ends behind its first line")
    return statements[1]


def _points_of(
    vertices: list[tuple[int, list[bytes]]], *, colours: bool, normals: bool
) -> tuple[npt.NDArray[np.float64], dict[str, npt.NDArray[Any]]]:
    need = 6 if normals else 3
    short = next(((k, words) for k, words in vertices if len(words) < need), None)
    if short is not None:
        raise FormatError(f"line {short[0] + 1}: a vertex needs {need} numbers; found {len(short[1])}")
    if not vertices:
        return np.zeros((0, 3)), {}
    numbers = [k + 1 for k, _ in vertices]
    table = numbers_of([word for _, words in vertices for word in words[:need]], numbers, "a coordinate of a vertex")
    data: dict[str, npt.NDArray[Any]] = {}
    if normals:
        data["normals"] = table[:, 3:].copy()
    width = min(len(words) for _, words in vertices)
    if colours and width in (need + 3, need + 4):
        colour = [word for _, words in vertices for word in words[need:width]]
        values = numbers_of(colour, numbers, "a colour of a vertex")
        data.update(
            {name: values[:, k].copy() for k, name in enumerate(("red", "green", "blue", "alpha")[: width - need])}
        )
    return np.ascontiguousarray(table[:, :3]), data


def _corners_of(faces: list[tuple[int, list[bytes]]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How many corners each face has, and all corners; a colour may follow them on the line."""
    counts: list[int] = []
    corners: list[int] = []
    for k, words in faces:
        try:
            size = int(words[0])
            indices = [int(word) for word in words[1 : 1 + size]] if size >= 0 else []
        except ValueError as error:
            raise FormatError(f"line {k + 1}: a face must hold whole numbers: {error}") from error
        if len(indices) != size:
            raise FormatError(f"line {k + 1}: a face claims {size} corners; {len(words) - 1} numbers follow")
        counts.append(size)
        corners += indices
    try:
        return np.array(counts, dtype=np.int64), np.array(corners, dtype=np.int64)
    except OverflowError as error:
        raise FormatError("a face has an index beyond 2^63") from error


def _fresh(shape: Shape) -> bytes:
    faces: list[str] = []
    for block in shape.cells:
        flat = [str(i) for i in block.indices.reshape(-1).tolist()]
        offsets = block.offsets
        bounds = (np.arange(len(block) + 1) * block.indices.shape[1] if offsets is None else offsets).tolist()
        faces += [" ".join([str(b - a), *flat[a:b]]) for a, b in pairwise(bounds)]
    texts = iter(as_text(shape.points.reshape(-1)))
    vertices = [f"{x} {y} {z}" for x, y, z in zip(texts, texts, texts, strict=True)]
    comments = [f"# {' '.join(comment.split())}" for comment in shape.comments]
    lines = ["OFF", *comments, f"{len(vertices)} {len(faces)} 0", *vertices, *faces]
    return ("\n".join(lines) + "\n").encode()
