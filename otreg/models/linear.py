"""What rigid, similarity and affine maps share: phi(x) = M (x - pivot) + pivot + t, and weighted least squares.

The classes differ in which matrices M they allow and in nothing else. For every one of them the best t sends mean to
mean, so only the best M is theirs to find, from the second moments of the data.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from otreg.errors import ArgumentError, FormatError
from otreg.models.base import Model, as_points, weighted_mean
from otreg.models.fields import describe, read_rows, read_vector, require

# Differences below this many units in the last place of the coordinates are round-off, not shape.
ROUND_OFF = 1000 * torch.finfo(torch.float64).eps
# Variance below this fraction of the largest one leaves its direction undetermined: sums of squares keep 16 digits.
RANK = 1e-12


@dataclass(frozen=True)
class Moments:
    """Weighted moments of pairs (x_i, y_i): means (d,), covariance E[x x^T] and cross E[y x^T] of the centred pairs.

    grain: length below which extent of the source is round-off; noise: round-off of ``cross``.
    """

    weights: Tensor
    mean_x: Tensor
    mean_y: Tensor
    covariance: Tensor
    cross: Tensor
    grain: float
    noise: float

    @staticmethod
    def of(points: Tensor, targets: Tensor, weights: Tensor) -> Moments | None:
        """Moments with weights divided by their sum; None when that is zero. Raises ArgumentError."""
        if points.shape != targets.shape or weights.shape != points.shape[:1]:
            found = f"{tuple(points.shape)}, {tuple(targets.shape)} and {tuple(weights.shape)}"
            raise ArgumentError(f"points, targets and weights must be (n, d), (n, d) and (n,); got {found}")
        total = weights.sum()
        if total == 0:
            return None
        w = weights / total
        mean_x, mean_y = w @ points, w @ targets
        x, y = points - mean_x, targets - mean_y
        weighted_x = w[:, None] * x
        covariance, cross = x.T @ weighted_x, y.T @ weighted_x
        spread_x, spread_y = covariance.trace().sqrt(), (w @ y.square()).sum().sqrt()
        if not (torch.isfinite(covariance).all() and torch.isfinite(spread_y) and bool((weights >= 0).all())):
            raise ArgumentError("points and targets must be finite and weights >= 0 to fit a model; found others")
        grain_x = ROUND_OFF * torch.sqrt(spread_x**2 + mean_x @ mean_x)
        grain_y = ROUND_OFF * torch.sqrt(spread_y**2 + mean_y @ mean_y)
        noise = grain_x * spread_y + grain_y * spread_x
        return Moments(w, mean_x, mean_y, covariance, cross, float(grain_x), float(noise))

    def whitener(self) -> Tensor:
        """(d, r) with E[(F^T x)(F^T x)^T] = identity, over the r <= d directions in which the source has extent."""
        values, vectors = torch.linalg.eigh(self.covariance)
        kept = values > max(RANK * float(values[-1]), self.grain**2)
        return vectors[:, kept] / values[kept].sqrt()


@dataclass(frozen=True, eq=False)
class LinearModel(Model):
    """phi(x) = matrix @ (x - pivot) + pivot + translation.

    pivot: (d,), a fixed point near the centre of mass, so that turning or scaling does not carry the shape away.
    matrix: (d, d); translation: (d,). All float64 on one device, in frame units.
    """

    pivot: Tensor
    matrix: Tensor
    translation: Tensor

    @classmethod
    def start(cls, points: Tensor, weights: Tensor, *, previous: Model | None = None) -> Self:
        """Identity, or the map of a ``previous`` linear model of the same or lower generality, around a new pivot."""
        pivot = weighted_mean(points, weights)
        if previous is None:
            return cls(pivot, torch.eye(len(pivot), dtype=torch.float64, device=pivot.device), torch.zeros_like(pivot))
        if not isinstance(previous, LinearModel) or previous.generality > cls.generality:
            raise ArgumentError(
                f"a {cls.name} model cannot start from a {previous.name} one; "
                "order them rigid, similarity, affine, spline"
            )
        return cls(pivot, previous.matrix, (previous(pivot[None]) - pivot)[0])

    def __call__(self, points: Tensor) -> Tensor:
        points = as_points(points, self.dimension)
        return (points - self.pivot) @ self.matrix.T + (self.pivot + self.translation)

    def penalty(self) -> Tensor:
        return torch.zeros((), dtype=torch.float64, device=self.device)

    def fit(self, points: Tensor, targets: Tensor, weights: Tensor, *, mass: float | None = None) -> Self:
        with torch.no_grad():
            x, y = as_points(points, self.dimension), as_points(targets, self.dimension)
            moments = Moments.of(x, y, weights.to(torch.float64))
            if moments is None:
                return self
            matrix = self._best_matrix(moments)
            translation = moments.mean_y - self.pivot - matrix @ (moments.mean_x - self.pivot)
            return replace(self, matrix=matrix, translation=translation)

    @abstractmethod
    def _best_matrix(self, moments: Moments) -> Tensor:
        """The allowed M with the least E|M x - y|^2 over centred pairs, nearest to this model's where several are."""

    def linear(self) -> tuple[Tensor, Tensor]:
        return self.matrix, self.pivot + self.translation - self.matrix @ self.pivot

    def jacobian(self, points: Tensor) -> Tensor:
        return self.matrix.expand(len(as_points(points, self.dimension)), -1, -1)

    def with_map(self, matrix: Tensor, offset: Tensor) -> Self:
        """The model x -> matrix @ x + offset with this one's pivot; the matrix (d, d) is one that the class allows."""
        return replace(self, matrix=matrix, translation=offset - self.pivot + matrix @ self.pivot)

    def after(self, matrix: Tensor, offset: Tensor) -> Self:
        """The model that first applies x -> matrix @ x + offset, then this one."""
        own, own_offset = self.linear()
        return self.with_map(own @ matrix, own @ offset + own_offset)

    def inverse(self) -> Self:
        """The model of the same class that undoes this one. Raises ArgumentError for a singular matrix."""
        # y = M (x - p) + p + t turns into x = M^-1 (y - q) + q - t with the pivot q = p + t.
        scale, rank = self.matrix.abs().max(), torch.linalg.matrix_rank(self.matrix)
        if not scale > 0 or rank < self.dimension:
            raise ArgumentError(f"only a map of full rank {self.dimension} has an inverse; got rank {int(rank)}")
        return replace(
            self,
            pivot=self.pivot + self.translation,
            matrix=torch.linalg.inv(self.matrix),
            translation=-self.translation,
        )

    def inverse_points(self, points: Tensor, tolerance: float = 1e-9) -> tuple[Tensor, Tensor]:
        points = as_points(points, self.dimension)
        sources = self.inverse()(points)
        return sources, (self(sources) - points).norm(dim=1)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "pivot": self.pivot.tolist(),
            "matrix": self.matrix.tolist(),
            "translation": self.translation.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        pivot = torch.tensor(read_vector(data, "pivot"), dtype=torch.float64)
        d = len(pivot)
        if d not in (2, 3):
            raise FormatError(f"'pivot' must have 2 or 3 coordinates; got {d}")
        matrix = read_rows(data, "matrix", rows=d, columns=d)
        translation = torch.tensor(read_vector(data, "translation", length=d), dtype=torch.float64)
        if require(data, "name") != cls.name:
            raise FormatError(f"'name' must be '{cls.name}' here; got {describe(data['name'])}")
        cls._check_matrix(matrix)
        return cls(pivot, matrix, translation)

    @classmethod
    def _check_matrix(cls, matrix: Tensor) -> None:
        """FormatError when the class does not allow this matrix."""


def check_rotation(matrix: Tensor, *, name: str) -> None:
    """FormatError unless ``matrix`` is a rotation to six digits."""
    eye = torch.eye(len(matrix), dtype=matrix.dtype)
    error = float((matrix @ matrix.T - eye).abs().max())
    if not (error <= 1e-6 and torch.linalg.det(matrix) > 0):
        raise FormatError(
            f"'matrix' of a {name} model must be a rotation with determinant +1; got one off by {error:.2g}, "
            f"determinant {float(torch.linalg.det(matrix)):.6g}"
        )
