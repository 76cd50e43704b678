"""A shape from one file format to another: everything but comments, which not all formats have, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from otreg.errors import ArgumentError
from otreg.io import format_for, write_shape
from otreg.jobs.frame_choice import FrameChoice, stated_space
from otreg.jobs.outputs import check_outputs, check_writable_format
from otreg.jobs.reading import Reading, warnings_of
from otreg.shapes import Shape


@dataclass(frozen=True)
class Converted:
    """What was written. path, points, and warnings about the file that was read."""

    path: Path
    points: int
    warnings: tuple[str, ...]


def convert_file(
    source: Path,
    out_path: Path,
    *,
    overwrite: bool = False,
    reading: Reading = Reading(),
    to: str | None = None,
    frame: FrameChoice | None = None,
) -> Converted:
    """Writes the shape of ``source`` as ``out_path``: in the format called ``to``, or that of its extension.

    frame: "RAS" or "LPS" where the file does not say where its axes point and the new format must.
    Raises OutputFileError before any work, and when the format cannot hold all of the shape: the message names those
    that can; InputFileError, FormatError or InputError about the source; ArgumentError when ``frame`` contradicts it.
    """
    check_outputs([out_path], inputs=[source], overwrite=overwrite)
    check_writable_format(out_path, to)
    stated = stated_space(frame)
    shape = reading.shape(source)
    if stated and shape.space not in ("", stated):
        raise ArgumentError(f"frame must be that of the file, {shape.space}; got {stated}. Coordinates are not turned")
    shape = shape if shape.space else replace(shape, space=stated)
    write_shape(shape, out_path, format=to, overwrite=overwrite)
    warnings = warnings_of(shape)
    written = format_for(out_path, to)
    if shape.space and written is not None and not written.says_space:
        warnings.append(f"{out_path}: does not say that its coordinates are in {shape.space}; its format cannot")
    if written is not None and written.only_single and _loses_digits(shape, written.name):
        warnings.append(
            f"{out_path}: {shape.path}'s coordinates were rounded to single precision, all that its format has"
        )
    return Converted(out_path, len(shape.points), tuple(warnings))


def _loses_digits(shape: Shape, format: str) -> bool:
    """Whether single precision rounds the points of a shape that comes from another format."""
    return shape.format != format and not np.array_equal(shape.points.astype(np.float32), shape.points)
