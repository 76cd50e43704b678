"""Small plain files: JSON, 4x4 matrices as text, and the hash of a file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import ArgumentError, FormatError
from otreg.io.atomic import atomic_write
from otreg.io.source import read_bytes, regular_file


def read_json(path: Path | str) -> Any:
    """What a JSON file holds. Raises InputFileError, or FormatError with the line; NaN and Infinity are refused."""
    path = Path(path)
    try:
        return json.loads(read_bytes(path).decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: JSON must be UTF-8 text; byte {error.start} is not") from error
    except RecursionError as error:
        raise FormatError(f"{path}: JSON is nested too deeply to be read") from error
    except json.JSONDecodeError as error:
        raise FormatError(f"{path}: not valid JSON in line {error.lineno}: {error.msg}") from error
    except ValueError as error:  # what _refuse_constant raises, and integers of thousands of digits
        raise FormatError(f"{path}: not valid JSON: {error}") from error


def write_json(path: Path | str, obj: Any, overwrite: bool = False) -> None:
    """Writes ``obj`` as indented JSON, whole or not at all. Raises ArgumentError for NaN, infinities, odd types."""
    path = Path(path)
    try:
        text = json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"{path}: cannot be written as JSON: {error}") from error
    with atomic_write(path, overwrite=overwrite) as temporary:
        # Names of files need not be UTF-8; Python carries their other bytes as surrogates, and \udce4 is JSON for one.
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def file_hash(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, 64 hexadecimal digits."""
    path = Path(path)
    regular_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_matrix(path: Path | str, matrix: npt.NDArray[np.float64], overwrite: bool = False) -> None:
    """Writes a matrix as text, one row a line, digits enough to read the same float64 numbers back.

    matrix: (d + 1, d + 1), acts on column vectors, as CloudCompare and Open3D read it for d = 3.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ArgumentError(f"a transform matrix must be square and finite; got shape {matrix.shape}")
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_text("".join(" ".join(f"{v:.17g}" for v in row) + "\n" for row in matrix), encoding="ascii")


def read_matrix(path: Path | str) -> npt.NDArray[np.float64]:
    """The (3, 3) or (4, 4) matrix in a text file, one row a line. Raises FormatError when it holds anything else."""
    path = Path(path)
    rows = [line.replace(b",", b" ").split() for line in read_bytes(path).splitlines()]
    rows = [row for row in rows if row and not row[0].startswith(b"#")]
    if len(rows) not in (3, 4) or any(len(row) != len(rows) for row in rows):
        raise FormatError(f"{path}: a transform matrix is 4 rows of 4 numbers (3 of 3 in the plane); found {len(rows)}")
    try:
        matrix = np.array([[float(value) for value in row] for row in rows])
    except ValueError as error:
        raise FormatError(f"{path}: a transform matrix must be numbers: {error}") from error
    if not np.isfinite(matrix).all():
        raise FormatError(f"{path}: a transform matrix must be finite")
    return matrix


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
