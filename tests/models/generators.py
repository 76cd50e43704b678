"""Random shapes, weights and maps for the model tests, from a seed."""

from __future__ import annotations

import torch
from torch import Tensor

from otreg.models import Affine, LinearModel, Rigid, Similarity
from otreg.models.rotations import rotation_count, rotation_exp

LINEAR = (Rigid, Similarity, Affine)


def random_shape(seed: int, *, dimension: int, n: int = 40) -> tuple[Tensor, Tensor]:
    """An anisotropic cloud of diagonal about one, off-centre, and positive uneven weights that do not sum to one."""
    rng = torch.Generator().manual_seed(seed)
    stretch = torch.rand(dimension, generator=rng, dtype=torch.float64) * 0.2 + 0.1
    centre = torch.randn(dimension, generator=rng, dtype=torch.float64) * 0.3
    points = torch.randn(n, dimension, generator=rng, dtype=torch.float64) * stretch + centre
    return points, torch.rand(n, generator=rng, dtype=torch.float64) + 0.1


def random_linear(model: type[LinearModel], seed: int, *, dimension: int) -> LinearModel:
    """A map far from the identity: any rotation angle, scale between 0.3 and 3, shears of order one."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=rng, dtype=torch.float64)

    rotation = rotation_exp(2 * draw(rotation_count(dimension)))
    scale = float(torch.empty((), dtype=torch.float64).uniform_(0.3, 3, generator=rng))
    matrix = {
        Rigid: rotation,
        Similarity: scale * rotation,
        Affine: scale * rotation + 0.3 * draw(dimension, dimension),
    }[model]
    return model(pivot=0.3 * draw(dimension), matrix=matrix, translation=draw(dimension))


def objective(model: object, points: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """What ``fit`` minimises: mean of |phi(x) - y|^2 / 2 plus the penalty."""
    residual = (model(points) - targets).square().sum(1) / 2
    return weights @ residual / weights.sum() + model.penalty()
