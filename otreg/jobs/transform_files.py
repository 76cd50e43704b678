"""Transforms in files: transform.json of every model, 4x4 text and ITK's ``.tfm`` of linear ones.

Text matrices act on column vectors, from source to target, and say nothing about axes. An ITK file holds the inverse,
in LPS: it maps points of the target to points of the source. So a map goes into one only if its space is known.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from otreg.errors import ArgumentError, FormatError, OutputFileError
from otreg.io import is_itk, read_itk, read_json, read_matrix, write_itk, write_json, write_matrix
from otreg.io.source import read_bytes
from otreg.models.chain import in_space, map_from_dict, transform_of_matrix
from otreg.models.point_map import PointMap

EXTENSIONS = (".json", ".txt", ".mat", ".tfm")


def read_transform(path: Path) -> PointMap:
    """The map in a file, which its content tells: JSON, ITK's text or a matrix. From source to target, always.

    Raises InputFileError, or FormatError that names the key, the line or the kind that is wrong.
    """
    try:
        if is_itk(path):
            inverse = read_itk(path)
            return transform_of_matrix(_inverse(inverse, path), space="LPS")
        if path.suffix.lower() == ".json" or read_bytes(path, 64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
            return map_from_dict(read_json(path))
        return transform_of_matrix(read_matrix(path))
    except (FormatError, ArgumentError) as error:
        text = str(error)
        raise FormatError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def check_transform_name(path: Path) -> None:
    """Raises OutputFileError when no kind of transform file has the extension of ``path``."""
    if path.suffix.lower() not in EXTENSIONS:
        raise OutputFileError(f"{path}: a transform is written as one of {' '.join(EXTENSIONS)}; got '{path.suffix}'")


def write_transform(point_map: PointMap, path: Path, *, overwrite: bool = False) -> None:
    """Writes a map in the kind of file that the extension names.

    Raises OutputFileError when that kind cannot hold it (a spline has no matrix, .tfm needs a known space).
    """
    check_transform_name(path)
    suffix = path.suffix.lower()
    if suffix == ".json":
        write_json(path, point_map.to_dict(), overwrite=overwrite)
        return
    matrix = point_map.matrix()
    if matrix is None:
        raise OutputFileError(f"{path}: a map that is not linear has no matrix; write it as .json")
    if suffix != ".tfm":
        write_matrix(path, matrix, overwrite=overwrite)
        return
    if not point_map.space:
        raise OutputFileError(
            f"{path}: .tfm is in LPS, but the transform does not say where the axes of its files point; "
            "give --frame RAS or --frame LPS"
        )
    in_lps = in_space(point_map, "LPS").matrix()
    assert in_lps is not None
    write_itk(path, _inverse(in_lps, path), overwrite=overwrite)


def _inverse(matrix: npt.NDArray[np.float64], path: Path) -> npt.NDArray[np.float64]:
    if np.linalg.matrix_rank(matrix[:-1, :-1]) < len(matrix) - 1:
        raise FormatError(f"{path}: .tfm holds the inverse of a map, but this matrix has none")
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
