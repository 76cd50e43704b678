"""What a registration is asked to do, in frame units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from otreg.errors import ArgumentError

Optimizer = Literal["gauss-newton", "lbfgs", "adam"]
Init = Literal["auto", "search", "centroid", "none"]
# Models that are poses: they can be searched for, and they follow the parts that overlap.
POSES = ("rigid", "similarity")


@dataclass(frozen=True)
class RegistrationSettings:
    """Settings of :func:`otreg.registration.register`; lengths are fractions of the target's diagonal.

    models: one stage each, from few to many degrees of freedom. blur: the finest scale that is compared.
    reach: farthest distance at which mass is matched at the finest blur (larger at coarser ones); None matches all.
    iterations: most steps per stage and blur. tolerance: rms move of a step below which a blur is done.
    stiffness, control_points: of a spline; stiffness, the rms residual that a bend is worth, over its
    height, is the least that it may get.
    init: where the first model starts. "search" tries all poses, "centroid" lays mean on mean, "none" takes the source
    as it lies; "auto" searches when the first model is rigid or a similarity, unless landmarks say where to start.
    landmark_weight: share of the source's mass that all landmarks together pull with.
    turning_features: the features of the measures are normals times a length, which turn with the model; else they stay
    as they are. features_in_result: the transport in the result compares features, too; else places alone.
    """

    models: tuple[str, ...] = ("rigid",)
    blur: float = 0.01
    reach: float | None = 0.02
    optimizer: Optimizer = "gauss-newton"
    iterations: int = 30
    tolerance: float = 1e-4
    seed: int = 0
    reduction: str = "auto"
    stiffness: float = 0.0075
    control_points: int = 500
    init: Init = "auto"
    landmark_weight: float = 0.1
    turning_features: bool = False
    features_in_result: bool = True

    def __post_init__(self) -> None:
        if not self.models:
            raise ArgumentError("models must name at least one model; got none.")
        if self.optimizer not in ("gauss-newton", "lbfgs", "adam"):
            raise ArgumentError(f"optimizer must be gauss-newton, lbfgs or adam; got '{self.optimizer}'.")
        if self.init not in ("auto", "search", "centroid", "none"):
            raise ArgumentError(f"init must be auto, search, centroid or none; got '{self.init}'.")
        if self.init == "search" and self.models[0] not in POSES:
            raise ArgumentError(
                f"init 'search' finds a pose, so the first model must be rigid or similarity; got '{self.models[0]}'. "
                "Put one of them before it, or use 'centroid' or 'none'."
            )
        for name in ("blur", "reach"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ArgumentError(f"{name} must be positive and finite; got {value}.")
        if self.iterations < 1:
            raise ArgumentError(f"iterations must be at least 1; got {self.iterations}.")
        if not self.tolerance > 0:
            raise ArgumentError(f"tolerance must be positive; got {self.tolerance}.")
        if not 0 < self.landmark_weight < math.inf:
            raise ArgumentError(
                f"landmark_weight must be positive and finite; got {self.landmark_weight}. Leave the landmarks out "
                "instead of giving them no weight."
            )

    @property
    def searches(self) -> bool:
        """Whether a registration without a given start searches for one."""
        return self.init == "search" or (self.init == "auto" and self.models[0] in POSES)
