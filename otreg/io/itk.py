"""ITK transform files (``.tfm``, ``.txt``), text, of linear maps: how Slicer, ANTs and SimpleITK exchange them.

ITK resamples images, so its transforms map points of the fixed image to points of the moving one, in LPS. Here is only
the matrix that a file holds, exactly as ITK applies it to a point; direction and axes are the caller's business.
Source: the parameters as the ITK Software Guide and the classes' ``SetParameters`` describe them.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from otreg.errors import ArgumentError, FormatError
from otreg.io.atomic import atomic_write
from otreg.io.source import read_bytes

Matrix = npt.NDArray[np.float64]

MARK = b"#Insight Transform File"
TYPE = re.compile(r"(\w+?)_(?:double|float)_(\d)_(\d)$")
KNOWN = (
    "AffineTransform, MatrixOffsetTransformBase, TranslationTransform, IdentityTransform, Euler2DTransform, "
    "Rigid2DTransform, Similarity2DTransform, Euler3DTransform, VersorRigid3DTransform, Similarity3DTransform, "
    "VersorTransform"
)
LARGEST = 1 << 20  # bytes; a linear transform has a few hundred


def is_itk(path: Path) -> bool:
    """Whether a file begins like an ITK transform. Raises InputFileError."""
    return read_bytes(path, len(MARK)) == MARK


def read_itk(path: Path | str) -> Matrix:
    """The (d + 1, d + 1) matrix with which ITK maps points: from the fixed image to the moving one, in LPS.

    Composites of linear transforms are multiplied. Raises FormatError that names the kind that is not linear.
    """
    path = Path(path)
    data = read_bytes(path, LARGEST + 1)
    try:
        if len(data) > LARGEST:
            raise FormatError(f"is larger than {LARGEST} bytes; only linear ITK transforms are read")
        return _matrix(data)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def write_itk(path: Path | str, matrix: Matrix, *, overwrite: bool = False) -> None:
    """Writes the matrix with which ITK shall map points (fixed to moving, LPS) as an AffineTransform, digit for digit.

    matrix: (d + 1, d + 1), d = 2 or 3. Raises ArgumentError for others, OutputFileError.
    """
    d = len(matrix) - 1
    if d not in (2, 3) or matrix.shape != (d + 1, d + 1) or not np.isfinite(matrix).all():
        raise ArgumentError(f"an ITK transform needs a finite 4 x 4 or 3 x 3 matrix; got shape {matrix.shape}")
    numbers = [*matrix[:d, :d].reshape(-1).tolist(), *matrix[:d, d].tolist()]
    lines = [
        "#Insight Transform File V1.0",
        "#Transform 0",
        f"Transform: AffineTransform_double_{d}_{d}",
        "Parameters: " + " ".join(map(repr, numbers)),
        "FixedParameters: " + " ".join(["0"] * d),
    ]
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")


def _matrix(data: bytes) -> Matrix:
    if not data.startswith(MARK):
        raise FormatError(f"is not an ITK transform: its first line must be {MARK.decode()} V1.0")
    entries: list[dict[str, str]] = []
    for number, line in enumerate(data.decode("latin-1").splitlines(), start=1):
        key, colon, value = line.partition(":")
        key = key.strip()
        if line.startswith("#") or not line.strip():
            continue
        if not colon or key not in ("Transform", "Parameters", "FixedParameters"):
            raise FormatError(f"line {number}: must be Transform, Parameters or FixedParameters; found {line[:40]!a}")
        if key == "Transform":
            entries.append({})
        elif not entries:
            raise FormatError(f"line {number}: {key} must follow a Transform")
        entries[-1][key] = value.strip()
    matrices = [_one(entry) for entry in entries if not entry["Transform"].startswith("CompositeTransform")]
    if not matrices:
        raise FormatError("holds no transform")
    if len({len(matrix) for matrix in matrices}) != 1:
        raise FormatError("holds transforms of different dimensions")
    product = matrices[0]
    for matrix in matrices[1:]:
        product = product @ matrix  # a composite applies the transform that was added last first
    return product


def _one(entry: dict[str, str]) -> Matrix:
    kind = TYPE.match(entry["Transform"])
    if kind is None or kind.group(2) != kind.group(3) or kind.group(2) not in "23":
        raise FormatError(f"'{entry['Transform'][:60]}' is not a linear transform of 2 or 3 dimensions; known: {KNOWN}")
    name, d = kind.group(1), int(kind.group(2))
    values = _numbers(entry, "Parameters")
    fixed = _numbers(entry, "FixedParameters")
    matrix, shift = _parts(name, d, values)
    centre = np.zeros(d)
    if name not in ("TranslationTransform", "IdentityTransform") and len(fixed):
        if len(fixed) < d:
            raise FormatError(f"FixedParameters of {name} must be a centre of {d} numbers; found {len(fixed)}")
        centre = fixed[:d]
        if name == "Euler3DTransform" and len(fixed) > d and fixed[d]:
            matrix, shift = _euler(values, zyx=True), values[3:]
    result = np.eye(d + 1)
    result[:d, :d] = matrix
    result[:d, d] = shift + centre - matrix @ centre
    return result


def _parts(name: str, d: int, values: Matrix) -> tuple[Matrix, Matrix]:
    """The matrix and the translation that act around the centre."""
    kind = (name, d)
    if name in ("AffineTransform", "MatrixOffsetTransformBase"):
        _expect(name, values, d * d + d)
        return values[: d * d].reshape(d, d), values[d * d :]
    if name == "TranslationTransform":
        _expect(name, values, d)
        return np.eye(d), values
    if name == "IdentityTransform":
        return np.eye(d), np.zeros(d)
    if kind in (("Euler2DTransform", 2), ("Rigid2DTransform", 2)):
        _expect(name, values, 3)
        return _turn(values[0]), values[1:]
    if kind == ("Similarity2DTransform", 2):
        _expect(name, values, 4)
        return values[0] * _turn(values[1]), values[2:]
    if kind == ("Euler3DTransform", 3):
        _expect(name, values, 6)
        return _euler(values, zyx=False), values[3:]
    if kind == ("VersorTransform", 3):
        _expect(name, values, 3)
        return _versor(values[:3]), np.zeros(3)
    if kind == ("VersorRigid3DTransform", 3):
        _expect(name, values, 6)
        return _versor(values[:3]), values[3:]
    if kind == ("Similarity3DTransform", 3):
        _expect(name, values, 7)
        return values[6] * _versor(values[:3]), values[3:6]
    raise FormatError(f"transform {name[:60]} in {d} dimensions is not one of the linear ones that are read: {KNOWN}")


def _expect(name: str, values: Matrix, count: int) -> None:
    if len(values) != count:
        raise FormatError(f"Parameters of {name} must be {count} numbers; found {len(values)}")


def _numbers(entry: dict[str, str], key: str) -> Matrix:
    try:
        values = np.array([float(word) for word in entry.get(key, "").split()])
    except ValueError as error:
        raise FormatError(f"{key} must be numbers: {error}") from error
    if not np.isfinite(values).all():
        raise FormatError(f"{key} must be finite")
    return values


def _turn(angle: float) -> Matrix:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _euler(values: Matrix, *, zyx: bool) -> Matrix:
    """Rotations around the axes: Z X Y, or Z Y X where the file asks for it."""
    x, y, z = (np.eye(3) for _ in range(3))
    for axis, (turn, a, b) in enumerate(((x, 1, 2), (y, 2, 0), (z, 0, 1))):
        turn[np.ix_((a, b), (a, b))] = _turn(values[axis])
    return z @ y @ x if zyx else z @ x @ y


def _versor(right: Matrix) -> Matrix:
    """The rotation of a unit quaternion, of which the part that is not real is given."""
    square = float(right @ right)
    if square > 1 + 1e-9:
        raise FormatError(f"a versor must have length at most 1; found {square**0.5:g}")
    w = max(0.0, 1 - square) ** 0.5
    x, y, z = right
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross
