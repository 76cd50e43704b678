"""Thin-plate splines: the maps that bend least in the whole of space, smoothed or through their control points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor

from otreg.models.base import Model
from otreg.models.basis import KernelBasis
from otreg.models.bending import DEFAULT_STIFFNESS, BendingModel
from otreg.models.fields import read_positive
from otreg.models.thin_plate import ThinPlate

# Width of the bump whose bending energy counts as its squared height: the middle one of a spline of Gaussians.
REFERENCE_WIDTH = 0.2


@final
@dataclass(frozen=True, eq=False)
class ThinPlateSpline(BendingModel):
    """An affine map plus a thin-plate bend; see ``BendingModel`` for its parts, ``ThinPlate`` for the kernel.

    Bends of all widths cost by their bending energy alone. Fitted to as many points as it has control points, with the
    least stiffness, it is the interpolating thin-plate spline of morphometrics (Bookstein 1989).
    """

    name: ClassVar[str] = "tps"
    settings: ClassVar[tuple[str, ...]] = ("control_points", "stiffness", "seed")

    @classmethod
    def start(
        cls,
        points: Tensor,
        weights: Tensor,
        *,
        previous: Model | None = None,
        control_points: int = 500,
        stiffness: float = DEFAULT_STIFFNESS,
        seed: int = 0,
    ) -> Self:
        """The spline without bend: identity, or the map of a ``previous`` linear model.

        control_points: how many, at most, chosen by farthest-point sampling among the points of positive weight.
        stiffness: rms residual that a bump a fifth of the diagonal wide is worth, over its height.
        seed: of the sampling on large sources. Raises ArgumentError for settings out of range and a previous spline.
        """
        controls = cls._controls(points, weights, count=control_points, seed=seed)
        affine, scale = cls._start_affine(points, weights, previous)
        basis = KernelBasis(controls, ThinPlate(REFERENCE_WIDTH / scale))
        return cls(affine, basis, torch.zeros_like(controls), float(stiffness))

    @property
    def width(self) -> float:
        """Of the bump whose height is its norm, in the units of the source."""
        assert isinstance(self.basis.kernel, ThinPlate)
        return self.basis.kernel.width

    def to_dict(self) -> dict[str, Any]:
        return {**self._fields(), "width": self.width}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        return cls._of_fields(data, ThinPlate(read_positive(data, "width")))
