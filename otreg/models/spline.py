"""Splines of Gaussians: bends from wide ones, about the size of the shape, down to a tenth of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor

from otreg.errors import ArgumentError, FormatError
from otreg.models.base import Model
from otreg.models.basis import KernelBasis
from otreg.models.bending import DEFAULT_STIFFNESS, BendingModel
from otreg.models.fields import read_vector
from otreg.models.gaussians import Gaussians

DEFAULT_WIDTHS = (0.4, 0.2, 0.1)


@final
@dataclass(frozen=True, eq=False)
class Spline(BendingModel):
    """An affine map plus a sum of Gaussians of several widths; see ``BendingModel`` for its parts.

    The bend vanishes far from the control points, where the affine part alone is left.
    """

    name: ClassVar[str] = "spline"
    settings: ClassVar[tuple[str, ...]] = ("control_points", "widths", "stiffness", "seed")

    @classmethod
    def start(
        cls,
        points: Tensor,
        weights: Tensor,
        *,
        previous: Model | None = None,
        control_points: int = 500,
        widths: Sequence[float] = DEFAULT_WIDTHS,
        stiffness: float = DEFAULT_STIFFNESS,
        seed: int = 0,
    ) -> Self:
        """The spline without bend: identity, or the map of a ``previous`` linear model.

        control_points: how many, at most, chosen by farthest-point sampling among the points of positive weight.
        widths: of the kernel's Gaussians, in frame units after the previous model, so that the source's units are free.
        stiffness: rms residual that a bend is worth, over its height. seed: of the sampling on large sources.
        Raises ArgumentError for settings out of range and for a previous spline (use ``with_stiffness`` on it instead).
        """
        if not widths or not all(0 < width < float("inf") for width in widths):
            raise ArgumentError(f"widths must be one or more positive lengths; got {tuple(widths)}")
        controls = cls._controls(points, weights, count=control_points, seed=seed)
        affine, scale = cls._start_affine(points, weights, previous)
        basis = KernelBasis(controls, Gaussians(tuple(float(width) / scale for width in widths)))
        return cls(affine, basis, torch.zeros_like(controls), float(stiffness))

    @property
    def widths(self) -> tuple[float, ...]:
        """Of the Gaussians, in the units of the source."""
        assert isinstance(self.basis.kernel, Gaussians)
        return self.basis.kernel.widths

    def to_dict(self) -> dict[str, Any]:
        return {**self._fields(), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        widths = tuple(read_vector(data, "widths"))
        if not widths or min(widths) <= 0:
            raise FormatError(f"'widths' must be one or more positive numbers; got {list(widths)}")
        return cls._of_fields(data, Gaussians(widths))
