"""What every map of space can do, whatever its class.

A model is an immutable map phi of R^d to itself, in frame units (the target's diagonal is 1). It is defined everywhere,
not only at the points that it was fitted on, so a model found on a subsample moves any other file. A registration
moves a model in two ways: by ``fit``, the exact best model for given targets, or by ``with_parameters``, which is
differentiable and serves any torch optimiser. Both return a new model of the same type.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from otreg.errors import ArgumentError


class Model(ABC):
    """A map of space phi: (n, d) -> (n, d), float64, d = 2 or 3. Subclasses are frozen dataclasses of tensors.

    name: how settings and files call the class.
    generality: a model can start from a previous one of lower generality without changing the map.
    settings: names of the keyword settings that ``start`` accepts.
    """

    name: ClassVar[str]
    generality: ClassVar[int]
    settings: ClassVar[tuple[str, ...]] = ()

    pivot: Tensor

    @property
    def dimension(self) -> int:
        """d, 2 or 3."""
        return len(self.pivot)

    @property
    def device(self) -> torch.device:
        """Where the model's tensors are; points must be there too."""
        return self.pivot.device

    @classmethod
    @abstractmethod
    def start(cls, points: Tensor, weights: Tensor, *, previous: Model | None = None) -> Self:
        """The model of this class that a registration starts from: identity, or the same map as ``previous``.

        points (n, d), weights (n,): the source; the pivot becomes their weighted mean.
        Raises ArgumentError when ``previous`` is more general than this class.
        """

    @abstractmethod
    def __call__(self, points: Tensor) -> Tensor:
        """phi(points): (n, d) -> (n, d) float64, differentiable in the points and in the model's tensors."""

    @property
    @abstractmethod
    def parameter_count(self) -> int:
        """k, the length of ``parameters``."""

    @property
    def parameters(self) -> Tensor:
        """(k,) zeros: parameters are local coordinates around this model, and zero is the model itself.

        ``with_parameters`` is a retraction: it walks from *this* model. An optimiser keeps one model fixed and moves
        theta; its answer is ``model.with_parameters(theta)``, whose own parameters are zero again.
        """
        return torch.zeros(self.parameter_count, dtype=torch.float64, device=self.device)

    @abstractmethod
    def with_parameters(self, theta: Tensor) -> Self:
        """The model at local coordinates ``theta`` (k,), differentiable in theta.

        Scaled so that a unit change of one parameter moves a shape of diagonal one by about one frame unit or less.
        """

    @property
    def coordinates(self) -> Tensor | None:
        """(k,) numbers in which the map is affine, so that models can be mixed; None for poses, which have none.

        ``with_coordinates`` of a mix of the coordinates of two models of one start is the same mix of their maps.
        """
        return None

    def with_coordinates(self, values: Tensor) -> Self:
        """The model with these ``coordinates``. Raises ArgumentError where it has none."""
        raise ArgumentError(f"a {self.name} model has no coordinates to mix; fit it instead")

    @abstractmethod
    def penalty(self) -> Tensor:
        """What the model's bending costs, a scalar in squared frame units per unit mass; 0 for linear models."""

    @abstractmethod
    def fit(self, points: Tensor, targets: Tensor, weights: Tensor, *, mass: float | None = None) -> Self:
        """The minimiser over the class of sum_i weights_i |phi(points_i) - targets_i|^2 / 2 + mass * penalty.

        points, targets: (n, d); weights: (n,), >= 0; mass: what the penalty is relative to, by default the sum of the
        weights (less than it where some of the rows do not belong to the shape). What the data leave undetermined (a
        planar cloud, a single point) stays as in this model; weights that are all zero return it.
        Raises ArgumentError on shapes that do not match and on values that are not finite. Not differentiable.
        """

    @abstractmethod
    def linear(self) -> tuple[Tensor, Tensor] | None:
        """(matrix (d, d), offset (d,)) with phi(x) = matrix @ x + offset, or None when phi is not of that form."""

    @abstractmethod
    def jacobian(self, points: Tensor) -> Tensor:
        """(n, d, d): entry [i, a, b] is the derivative of phi_a by x_b at point i."""

    @abstractmethod
    def inverse_points(self, points: Tensor, tolerance: float = 1e-9) -> tuple[Tensor, Tensor]:
        """Points that phi sends to ``points``, (n, d), and how far from them it does send them, (n,), in frame units.

        Where the second exceeds ``tolerance`` no inverse was found. Raises ArgumentError for a singular linear model.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The model in pure JSON types; ``model_from_dict`` gives it back to the last bit."""

    @classmethod
    @abstractmethod
    def from_dict(cls, data: Any) -> Self:
        """The model that ``to_dict`` wrote; raises FormatError."""


def as_points(points: Tensor, dimension: int) -> Tensor:
    """(n, d) float64 from any (n, d) float tensor; ArgumentError when d is not the model's dimension."""
    if points.ndim != 2 or points.shape[1] != dimension:
        raise ArgumentError(f"points must be (n, {dimension}) for this model; got shape {tuple(points.shape)}")
    return points.to(torch.float64)


def weighted_mean(points: Tensor, weights: Tensor) -> Tensor:
    """(d,) float64 weighted mean; the plain mean when no weight is positive."""
    points, weights = points.detach().to(torch.float64), weights.detach().to(torch.float64)
    if points.ndim != 2 or not len(points) or weights.shape != points.shape[:1]:
        found = f"{tuple(points.shape)} and {tuple(weights.shape)}"
        raise ArgumentError(f"points must be (n, d) and weights (n,) with n >= 1; got shapes {found}")
    total = weights.sum()
    return (weights / total) @ points if total > 0 else points.mean(0)
