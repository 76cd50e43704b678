"""Moving a shape, landmarks, or any points with a transform that was found before, or back with its inverse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from otreg.errors import InputError
from otreg.io import write_shape
from otreg.jobs.frame_choice import FrameChoice, stated_space
from otreg.jobs.normals import moved_normals
from otreg.jobs.outputs import check_outputs, check_writable_format
from otreg.jobs.reading import Reading, warnings_of
from otreg.jobs.spaces import matched
from otreg.jobs.transform_files import read_transform
from otreg.models.chain import inverse_of
from otreg.models.point_map import PointMap
from otreg.shapes import Shape

__all__ = ["AppliedTransform", "apply_transform", "moved_shape", "read_transform"]


@dataclass(frozen=True)
class AppliedTransform:
    """What was moved. path: the file written; points: how many it has; warnings: about the shape that was read.

    residual: how far, at most, a point would miss its origin if it were moved there again, in file units; None unless
    an inverse was found by iteration.
    """

    path: Path
    points: int
    warnings: tuple[str, ...]
    residual: float | None = None


def moved_shape(shape: Shape, transform: PointMap) -> Shape:
    """The shape where ``transform`` (in file units) sends it; normals turn, everything else stays.

    Raises InputError when the shape and the transform differ in dimension, NotConvergedError where an inverse is not
    found.
    """
    return moved_with_residual(shape, transform)[0]


def moved_with_residual(shape: Shape, transform: PointMap) -> tuple[Shape, float]:
    """The moved shape, and the residual of ``PointMap.moved``. Raises as ``moved_shape`` does."""
    if shape.dimension != transform.dimension:
        where = f"{shape.path}: " if shape.path else ""
        raise InputError(
            f"{where}has {shape.dimension} coordinates per point, the transform moves points of {transform.dimension}; "
            "use a shape of the transform's dimension"
        )
    points, residual = transform.moved(shape.points)
    normals = moved_normals(shape.point_data, shape.points, jacobian=transform.jacobian)
    return shape.with_points(points, normals), residual


def apply_transform(
    transform_path: Path,
    shape_path: Path,
    out_path: Path,
    *,
    overwrite: bool = False,
    reading: Reading = Reading(),
    inverse: bool = False,
    frame: FrameChoice | None = None,
    to: str | None = None,
) -> AppliedTransform:
    """Writes ``out_path``: the shape or the points of ``shape_path``, moved by the transform file ``transform_path``.

    transform_path: transform.json, a 4x4 matrix as text, or a linear .tfm of ITK. inverse: move back with its inverse.
    frame: "RAS" or "LPS" for files that do not say where their axes point, "none" to take coordinates as they are.
    to: name of the format to write, by default that of the extension of ``out_path``.
    Coordinates are taken to be in the unit of the shapes that the transform was found on.
    Raises OutputFileError before any work; InputFileError, FormatError or InputError about what cannot be used;
    ArgumentError for a matrix without inverse; NotConvergedError where the inverse of a spline is not found.
    """
    check_outputs([out_path], inputs=[transform_path, shape_path], overwrite=overwrite)
    check_writable_format(out_path, to)
    stated = stated_space(frame)
    transform = read_transform(transform_path)
    if inverse:
        transform = inverse_of(transform)
    shape = reading.shape(shape_path)
    transform = matched(transform, shape.space, frame, map_path=transform_path, points_path=shape_path)
    shape = shape if shape.space else replace(shape, space=stated)
    moved, residual = moved_with_residual(shape, transform)
    write_shape(moved, out_path, format=to, overwrite=overwrite)
    return AppliedTransform(
        path=out_path,
        points=len(shape.points),
        warnings=tuple(warnings_of(shape)),
        residual=residual if transform.iterates else None,
    )
