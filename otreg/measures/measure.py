"""Weighted Dirac measures: what transport sees of a shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from otreg.errors import ArgumentError


@dataclass(frozen=True)
class Measure:
    """The measure sum_i weights[i] * Dirac(points[i]), or Dirac(points[i], features[i]).

    points: (n, d) float64 or float32 tensor, in frame units (the target's diagonal is 1). weights: (n,) tensor of the
    same dtype and device, >= 0, with a positive sum. features: (n, k) further coordinates of the transport cost, in
    frame units too: a difference of one costs as much as a displacement by one. See :mod:`otreg.measures.features`.
    """

    points: torch.Tensor
    weights: torch.Tensor
    features: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or len(self.points) < 1:
            raise ArgumentError(f"points must be (n, d) with n >= 1; got shape {tuple(self.points.shape)}")
        if self.weights.shape != self.points.shape[:1]:
            raise ArgumentError(
                f"weights must have one value per point ({len(self.points)}); got shape {tuple(self.weights.shape)}"
            )

        if self.features is not None and (self.features.ndim != 2 or len(self.features) != len(self.points)):
            raise ArgumentError(
                f"features must have one row per point ({len(self.points)}); got shape {tuple(self.features.shape)}"
            )

    def __len__(self) -> int:
        return len(self.points)

    @property
    def dimension(self) -> int:
        return int(self.points.shape[1])

    @property
    def coordinates(self) -> torch.Tensor:
        """(n, d + k) positions and features side by side: where the cost sees the points."""
        return self.points if self.features is None else torch.cat([self.points, self.features], 1)

    @property
    def mass(self) -> torch.Tensor:
        """Total mass, a scalar tensor."""
        return self.weights.sum()

    @property
    def mean(self) -> torch.Tensor:
        """(d,) centre of mass."""
        return (self.weights[:, None] * self.points).sum(0) / self.mass
