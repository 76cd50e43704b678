"""Moving a shape, or any table of points, with a transform that was found before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from otreg.errors import FormatError, InputError
from otreg.io import read_json, write_shape
from otreg.jobs.normals import moved_normals
from otreg.jobs.outputs import check_outputs, check_writable_format
from otreg.jobs.reading import Reading, warnings_of
from otreg.models.transform import Transform
from otreg.shapes import Shape


@dataclass(frozen=True)
class AppliedTransform:
    """What was moved. path: the file written; points: how many it has; warnings: about the shape that was read."""

    path: Path
    points: int
    warnings: tuple[str, ...]


def read_transform(path: Path) -> Transform:
    """The transform in a transform.json. Raises InputFileError, or FormatError that names the key that is wrong."""
    content = read_json(path)
    try:
        return Transform.from_dict(content)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def moved_shape(shape: Shape, transform: Transform) -> Shape:
    """The shape where ``transform`` (in file units) sends it; normals turn, everything else stays.

    Raises InputError when the shape and the transform differ in dimension.
    """
    if shape.dimension != transform.dimension:
        where = f"{shape.path}: " if shape.path else ""
        raise InputError(
            f"{where}has {shape.dimension} coordinates per point, the transform moves points of {transform.dimension}; "
            "use a shape of the transform's dimension"
        )
    normals = moved_normals(shape.point_data, shape.points, jacobian=transform.jacobian)
    return shape.with_points(transform(shape.points), normals)


def apply_transform(
    transform_path: Path, shape_path: Path, out_path: Path, *, overwrite: bool = False, reading: Reading = Reading()
) -> AppliedTransform:
    """Writes ``out_path``: the shape or the points of ``shape_path``, moved by the transform file ``transform_path``.

    Coordinates are taken to be in the unit of the shapes that the transform was found on.
    Raises OutputFileError before any work; InputFileError, FormatError or InputError about what cannot be used.
    """
    check_outputs([out_path], inputs=[transform_path, shape_path], overwrite=overwrite)
    check_writable_format(out_path)
    transform = read_transform(transform_path)
    shape = reading.shape(shape_path)
    write_shape(moved_shape(shape, transform), out_path, overwrite=overwrite)
    return AppliedTransform(path=out_path, points=len(shape.points), warnings=tuple(warnings_of(shape)))
