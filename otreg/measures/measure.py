"""Weighted Dirac measures: what transport sees of a shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from otreg.errors import ArgumentError


@dataclass(frozen=True)
class Measure:
    """The measure sum_i weights[i] * Dirac(points[i]).

    points: (n, d) float64 or float32 tensor, in frame units (the target's diagonal is 1).
    weights: (n,) tensor of the same dtype and device, >= 0, with a positive sum.
    """

    points: torch.Tensor
    weights: torch.Tensor

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or len(self.points) < 1:
            raise ArgumentError(f"points must be (n, d) with n >= 1; got shape {tuple(self.points.shape)}")
        if self.weights.shape != self.points.shape[:1]:
            raise ArgumentError(
                f"weights must have one value per point ({len(self.points)}); got shape {tuple(self.weights.shape)}"
            )

    def __len__(self) -> int:
        return len(self.points)

    @property
    def dimension(self) -> int:
        return int(self.points.shape[1])

    @property
    def mass(self) -> torch.Tensor:
        """Total mass, a scalar tensor."""
        return self.weights.sum()

    @property
    def mean(self) -> torch.Tensor:
        """(d,) centre of mass."""
        return (self.weights[:, None] * self.points).sum(0) / self.mass
