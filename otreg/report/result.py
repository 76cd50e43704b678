"""A result folder as the pages see it: what report.json says, the moved shape with its fields, and the target.

Everything but the target lies in the folder itself: the fields hold the moved points, their cells and the way that they
came, so the source's points are known without its file. The target is looked for where it was; its hash must be the one
that was registered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from otreg.errors import FormatError, InputError, InputFileError
from otreg.io import file_hash, read_json, read_shape
from otreg.jobs import Reading
from otreg.jobs.transform_files import read_transform
from otreg.models.point_map import PointMap
from otreg.shapes import Shape

REPORT = "report.json"
SCHEMA = "otreg.register/"
# What pages show, and what every registration writes.
_NEEDED = (
    *("inputs", "outputs", "settings", "resolved", "frame", "stages", "divergence", "quality"),
    *("converged", "status", "warnings", "seconds", "versions", "platform"),
)


@dataclass(frozen=True)
class Result:
    """What one registration left behind.

    folder: where it lies; record: the content of report.json; source, moved: with cells, moved with the fields of
    brenier.vtu; target: None where its file was not found; point_map: from source to moved; notes: what is missing.
    """

    folder: Path
    record: Mapping[str, Any]
    source: Shape
    moved: Shape
    target: Shape | None
    point_map: PointMap
    notes: tuple[str, ...]


def read_record(folder: Path) -> dict[str, Any]:
    """What report.json in ``folder`` says. Raises InputFileError where there is none, FormatError for another file."""
    path = folder / REPORT
    record = read_json(path)
    kind = record.get("schema") if isinstance(record, dict) else None
    if not (isinstance(kind, str) and kind.startswith(SCHEMA)):
        raise FormatError(
            f"{path}: must be the report of a registration, with 'schema' {SCHEMA}1; got {kind!r}. "
            "Run otreg register again into this folder"
        )
    missing = sorted(set(_NEEDED) - record.keys())
    if missing:
        raise FormatError(f"{path}: lacks '{missing[0]}', so it was edited; run otreg register again into this folder")
    return record


def read_result(folder: Path, *, target: Path | None = None) -> Result:
    """The result in ``folder``; target: where its target lies now, if not where it was.

    Raises InputFileError, FormatError or InputError when the folder is not a complete result, or ``target`` is not the
    file that was registered.
    """
    record = read_record(folder)
    inputs = _inputs(record, folder)
    dimension = inputs["source"]["dimension"]
    moved = _plane(read_shape(folder / "brenier.vtu"), dimension)
    way = moved.point_data.get("registration_displacement")
    if way is None or way.shape != moved.points.shape:
        raise FormatError(
            f"{folder / 'brenier.vtu'}: must hold the field 'registration_displacement', one vector per point; "
            "run otreg register again into this folder"
        )
    source = Shape(points=moved.points - way, cells=moved.cells, path=Path(inputs["source"]["path"]))
    found, notes = _target(inputs["target"], folder, target)
    return Result(
        folder=folder,
        record=record,
        source=source,
        moved=moved,
        target=found,
        point_map=read_transform(folder / "transform.json"),
        notes=notes,
    )


def _inputs(record: Mapping[str, Any], folder: Path) -> Mapping[str, Mapping[str, Any]]:
    inputs = record["inputs"]
    for role in ("source", "target"):
        found = inputs.get(role) if isinstance(inputs, Mapping) else None
        if not (isinstance(found, Mapping) and {"path", "sha256", "format", "dimension"} <= found.keys()):
            raise FormatError(f"{folder / REPORT}: says nothing of its {role}; run otreg register again")
    assert isinstance(inputs, Mapping)
    return inputs


def _plane(shape: Shape, dimension: int) -> Shape:
    """The shape without the third coordinate, 0, that the file format asked for."""
    if shape.dimension == dimension:
        return shape
    vectors = {
        name: values[:, :dimension] if values.ndim == 2 and values.shape[1] == 3 else values
        for name, values in shape.point_data.items()
    }
    return Shape(
        points=np.ascontiguousarray(shape.points[:, :dimension]), cells=shape.cells, point_data=vectors, path=shape.path
    )


def _target(recorded: Mapping[str, Any], folder: Path, given: Path | None) -> tuple[Shape | None, tuple[str, ...]]:
    """The target's shape, or None and a sentence why."""
    changed: Path | None = None
    for path in [given] if given is not None else _places(recorded, folder):
        if given is None and not path.is_file():
            continue
        if file_hash(path) == recorded["sha256"]:
            # Read as it was then; points that are not finite are not drawn anyway.
            reading = Reading(format=recorded["format"], drop_invalid=True)
            shape = reading.shape(path)
            if shape.dimension != recorded["dimension"]:
                raise InputError(f"{path}: has {shape.dimension} coordinates, not the {recorded['dimension']} recorded")
            return replace(shape, path=path), ()
        changed = path
    if given is not None:
        raise InputError(
            f"{given}: is not the target of {folder}, its content differs from what was registered "
            f"(sha256 {recorded['sha256'][:12]}...); give the file as it was then"
        )
    name = recorded["path"]
    if changed is not None:
        return None, (f"the target {changed} has changed since the registration, so it is not shown",)
    return None, (f"the target {name} is not there any more, so it is not shown; say where it is with --target FILE",)


def _places(recorded: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """Where the file may be: where it was, at its name as given, beside the folder and in it."""
    name = Path(recorded["path"])
    if isinstance(recorded.get("absolute"), str):
        yield Path(recorded["absolute"])
    yield name
    yield folder / name.name
    yield folder.absolute().parent / name.name


def result_folders(folder: Path) -> list[Path]:
    """The folders below ``folder`` that hold a result, in the order of their names, however deep."""
    if not folder.is_dir():
        raise InputFileError(f"{folder}: must be a folder with the results of otreg register; there is none")
    return sorted(path.parent for path in folder.rglob(REPORT) if path.parent != folder)
