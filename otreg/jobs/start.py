"""The start of a registration that a file holds: a linear map found before, by otreg or by another program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from otreg.config import INIT_WORDS
from otreg.errors import InputError, InputFileError
from otreg.jobs.transform_files import read_transform
from otreg.measures import Frame
from otreg.models.chain import in_space
from otreg.models.linear import LinearModel
from otreg.models.point_map import PointMap
from otreg.models.registry import MODELS
from otreg.shapes import Space

# A matrix is a rotation, or a multiple of one, to six digits: what text files keep.
_DIGITS = 1e-6


def read_start(path: Path) -> PointMap:
    """The linear map from source to target in a file: transform.json, a 4x4 text or ITK's.

    Raises InputFileError or FormatError as ``read_transform`` does, InputError for a map that is not linear.
    """
    if not path.exists():
        raise InputFileError(f"{path}: no such file; init must be {', '.join(INIT_WORDS)} or the path of a transform")
    point_map = read_transform(path)
    if point_map.matrix() is None:
        raise InputError(f"{path}: a start must be linear; this map bends. Apply it to the source first")
    return point_map


def start_model(
    point_map: PointMap, path: Path, *, frame: Frame, space: Space, model: str, device: torch.device
) -> LinearModel:
    """The map in frame units, as a model from which the one called ``model`` can start.

    space: where the axes of the shapes point; a map that was found in the other one is turned round.
    Raises InputError when the map is of another dimension, or more general than the model, as one that mirrors is.
    """
    if point_map.space and space:
        point_map = in_space(point_map, space)
    matrix = point_map.matrix()
    assert matrix is not None
    d = len(frame.origin)
    if len(matrix) != d + 1:
        raise InputError(f"{path}: a start must be of the shapes' dimension {d}; got {len(matrix) - 1}")
    linear, origin = matrix[:d, :d], np.asarray(frame.origin)
    kind = _kind(linear)
    if MODELS[kind].generality > MODELS[model].generality:
        raise InputError(
            f"{path}: a {model} model cannot start from this map, which is {kind}; put {kind} before it in --model, "
            f"or give a {model} start"
        )
    offset = (linear @ origin + matrix[:d, d] - origin) / frame.scale
    one = torch.ones(1, dtype=torch.float64, device=device)
    found = MODELS[kind].start(torch.zeros_like(one)[:, None].expand(1, d), one)
    assert isinstance(found, LinearModel)
    return found.with_map(torch.tensor(linear, device=device), torch.tensor(offset, device=device))


def _kind(matrix: np.ndarray) -> str:
    """The least general model that holds a matrix."""
    size = np.sign(np.linalg.det(matrix)) * np.abs(np.linalg.det(matrix)) ** (1 / len(matrix))
    if not size > 0 or np.abs(matrix.T @ matrix / size**2 - np.eye(len(matrix))).max() > _DIGITS:
        return "affine"
    return "rigid" if abs(size - 1) <= _DIGITS else "similarity"
