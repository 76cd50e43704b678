"""The inverse of a transform, as a file: a matrix of linear maps, the spline with the order to invert it of others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otreg.io import file_hash
from otreg.jobs.frame_choice import FrameChoice, stated_space
from otreg.jobs.outputs import check_outputs
from otreg.jobs.provenance import versions
from otreg.jobs.transform_files import check_transform_name, read_transform, write_transform
from otreg.models.chain import inverse_of, preimage_residual, with_provenance, with_space


@dataclass(frozen=True)
class WrittenTransform:
    """A transform file. path: where it is; linear: whether it is one matrix.

    residual: how far the iterations of an inverse ended from their goals, at most, at the control points of the
    splines in it, in file units; None if there are none.
    """

    path: Path
    linear: bool
    residual: float | None = None


def invert_transform(
    transform_path: Path, out_path: Path, *, overwrite: bool = False, frame: FrameChoice | None = None
) -> WrittenTransform:
    """Writes ``out_path``, the transform that undoes that of the file ``transform_path``.

    The extension says in which kind of file: .json, .txt or .mat (matrix), .tfm (ITK, linear).
    frame: "RAS" or "LPS" if the transform does not say where the axes of its files point; .tfm needs it.
    A spline is inverted by iteration wherever its inverse is applied; here it is tried at its control points, and
    NotConvergedError says that there is none. Raises OutputFileError before any work; InputFileError or FormatError
    about the transform; ArgumentError for a matrix without inverse.
    """
    check_outputs([out_path], inputs=[transform_path], overwrite=overwrite)
    check_transform_name(out_path)
    inverse = with_space(inverse_of(read_transform(transform_path)), stated_space(frame))
    residual = preimage_residual(inverse)
    inverse = with_provenance(inverse, {"inverse of": origin(transform_path), "versions": versions()})
    write_transform(inverse, out_path, overwrite=overwrite)
    return WrittenTransform(out_path, linear=inverse.matrix() is not None, residual=residual)


def origin(path: Path) -> dict[str, Any]:
    """Which file a transform was made of, in pure JSON types."""
    return {"path": str(path), "sha256": file_hash(path)}
