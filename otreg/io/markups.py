"""Landmarks of 3D Slicer: ``.mrk.json``, and the older ``.fcsv``. Both say where their axes point.

Writing replaces the positions and nothing else. Source: Slicer's markups schema 1.0.3, and its documentation of the
fiducial CSV file.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError, OutputFileError
from otreg.io.numbers import unchanged
from otreg.io.plain import read_json
from otreg.io.source import read_bytes
from otreg.io.table import TableNative, read_table, split_fields, write_table
from otreg.io.text_lines import TextLines, numbers_of
from otreg.shapes import Shape, Space

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
# In .fcsv, programs also write Slicer's numbers of the systems.
SPACES: dict[str, Space] = {"RAS": "RAS", "LPS": "LPS", "0": "RAS", "1": "LPS", "": ""}
FCSV_HEADER = re.compile(rb"#\s*(CoordinateSystem|columns)\s*=\s*(.*)", re.IGNORECASE)
FCSV_COLUMNS = ["id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label", "desc", "associatedNodeID"]


@dataclass(frozen=True)
class MarkupsNative:
    """The file's bytes, where in it the control points are, and what was read of them."""

    data: bytes
    places: tuple[tuple[int, int], ...]  # markup, control point
    points: npt.NDArray[np.float64]
    labels: npt.NDArray[Any]


def read_markups(path: Path) -> Shape:
    """The control points of all markups in a .mrk.json file, with their ``label``; undefined ones are left out.

    Raises FormatError that names the markup and the control point.
    """
    content = read_json(path)
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list) or not all(isinstance(markup, dict) for markup in markups):
        raise FormatError("is JSON without a list 'markups'; landmarks of Slicer have one")
    systems = {str(markup.get("coordinateSystem", "")) for markup in markups}
    unknown = sorted(systems - {"RAS", "LPS", ""})
    if unknown or len(systems) > 1:
        raise FormatError(f"all markups must be in RAS or all in LPS; found {', '.join(sorted(systems))[:80]}")
    points: list[list[float]] = []
    labels: list[str] = []
    places: list[tuple[int, int]] = []
    undefined = 0
    for m, markup in enumerate(markups):
        controls = markup.get("controlPoints", [])
        if not isinstance(controls, list):
            raise FormatError(f"markup {m}: 'controlPoints' must be a list")
        for c, control in enumerate(controls):
            position = control.get("position") if isinstance(control, dict) else None
            if isinstance(control, dict) and control.get("positionStatus", "defined") in ("undefined", "missing"):
                undefined += 1
                continue
            if position is None or not _is_position(position):
                raise FormatError(f"markup {m}, control point {c}: 'position' must be 3 finite numbers")
            points.append([float(value) for value in position])
            labels.append(str(control.get("label", "")))
            places.append((m, c))
    table = np.array(points, dtype=np.float64).reshape(-1, 3)
    names = np.array(labels, dtype=np.str_)
    system = next(iter(systems), "")
    return Shape(
        points=table,
        point_data={"label": names},
        warnings=(f"{undefined} control points have no position; they are kept as they are",) if undefined else (),
        space=SPACES[system],
        native=MarkupsNative(read_bytes(path), tuple(places), table, names),
    )


def write_markups(shape: Shape, path: Path) -> None:
    """Writes landmarks as .mrk.json: into the content of the file that they came from, else as one list of points."""
    native = shape.native
    if isinstance(native, MarkupsNative):
        path.write_bytes(_rewritten(shape, native))
        return
    text = next(iter(shape.point_data.values()), None)
    labels = [f"{k + 1}" for k in range(len(shape.points))] if text is None else text.astype(str).tolist()
    controls = [
        {"id": f"{k + 1}", "label": label, "position": position, "positionStatus": "defined"}
        for k, (label, position) in enumerate(zip(labels, shape.points.tolist(), strict=True))
    ]
    markup = {"type": "Fiducial", "coordinateSystem": shape.space, "controlPoints": controls}
    path.write_bytes(_json({"@schema": SCHEMA, "markups": [markup]}))


def markups_cannot_hold(shape: Shape) -> str | None:
    """What of a shape would be lost in .mrk.json, in words; None if nothing."""
    if shape.dimension != 3:
        return "points with 2 coordinates"
    if any(len(block) for block in shape.cells):
        return "faces, lines or other cells"
    names = list(shape.point_data)
    if len(names) > 1 or any(values.dtype.kind != "U" for values in shape.point_data.values()):
        return f"attributes other than one text per point ({', '.join(names)[:60]})"
    if not shape.space:
        return "points that do not say whether they are in RAS or LPS (--frame says it)"
    return None


def read_fcsv(path: Path) -> Shape:
    """The landmarks in an .fcsv file of Slicer, with their ``label``; a plain table of points under that name, too.

    Raises FormatError that names the line.
    """
    text = TextLines.of(read_bytes(path).removeprefix(b"\xef\xbb\xbf"))
    said = {m.group(1).lower(): m.group(2).strip().decode() for line in text.lines if (m := FCSV_HEADER.match(line))}
    if not said:
        return read_table(path)
    system = said.get(b"coordinatesystem", "")
    if system.upper() not in SPACES:
        raise FormatError(f"coordinate system '{system[:40]}' is not known; it must be RAS or LPS")
    columns = [name.strip() for name in said[b"columns"].split(",")] if b"columns" in said else FCSV_COLUMNS
    if not {"x", "y", "z"} <= set(columns):
        raise FormatError(f"the columns must include x, y and z; found {', '.join(columns)[:80]}")
    rows = [k for k, line in enumerate(text.lines) if line.strip() and not line.startswith(b"#")]
    fields = [split_fields(text.lines[k].rstrip(b"\r"), b",") for k in rows]
    axes = [columns.index(axis) for axis in "xyz"]
    for k, row in zip(rows, fields, strict=True):
        if len(row) <= max(axes):
            raise FormatError(f"line {k + 1}: must have {len(columns)} values; found {len(row)}")
    points = numbers_of([row[a] for row in fields for a in axes], [k + 1 for k in rows], "a coordinate")
    labels: dict[str, npt.NDArray[Any]] = {}
    place = columns.index("label") if "label" in columns else -1
    if place >= 0:
        texts = [row[place] if place < len(row) else b"" for row in fields]
        labels = {"label": np.array([t.strip().strip(b'"').decode("utf-8", "replace") for t in texts], dtype=np.str_)}
    points = points.reshape(-1, 3)
    places = {"label": place} if labels else {}
    native = TableNative(text, tuple(rows), b",", False, tuple(axes), points, places, labels)
    return Shape(
        points=points,
        point_data=labels,
        space=SPACES[system.upper()],
        native=native,
    )


def write_fcsv(shape: Shape, path: Path) -> None:
    """Writes landmarks into the lines of the .fcsv file that they came from."""
    write_table(shape, path)


def fcsv_cannot_hold(_shape: Shape) -> str | None:
    """New files are written in the format that replaced this one."""
    return "new landmarks, only those that it was read with; the newer .mrk.json can hold them"


def _is_position(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 3
    return numbers and all(
        isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e300 and math.isfinite(v) for v in value
    )


def _rewritten(shape: Shape, native: MarkupsNative) -> bytes:
    if len(shape.points) != len(native.places):
        raise OutputFileError("landmarks that were read must be written with their own number of points")
    for name, values in shape.point_data.items():
        if name != "label" or not unchanged(values, native.labels):
            raise OutputFileError(f".mrk.json cannot hold the new attribute '{name}'; write .csv or .ply")
    if np.array_equal(shape.points, native.points):
        return native.data
    content = json.loads(native.data.decode("utf-8-sig"))
    for (m, c), position in zip(native.places, shape.points.tolist(), strict=True):
        content["markups"][m]["controlPoints"][c]["position"] = position
    return _json(content)


def _json(content: dict[str, Any]) -> bytes:
    try:
        return (json.dumps(content, indent=4, allow_nan=False, ensure_ascii=False) + "\n").encode()
    except (RecursionError, UnicodeEncodeError) as error:
        raise OutputFileError(f"the landmarks cannot be written as JSON: {error}") from error
