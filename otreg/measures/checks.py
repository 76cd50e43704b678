"""What a measure must hold to be transported."""

from __future__ import annotations

import torch

from otreg.errors import ArgumentError
from otreg.measures.measure import Measure


def check_measure(measure: Measure, name: str) -> None:
    """Raises ArgumentError unless numbers are finite, on one device, and weights at least 0 with a positive sum."""
    parts = {"points": measure.points, "weights": measure.weights, "features": measure.features}
    for part, values in parts.items():
        if values is None:
            continue
        if not values.is_floating_point():
            raise ArgumentError(f"{name}: {part} must have a floating type; got {values.dtype}. Convert them.")
        if values.device != measure.points.device:
            raise ArgumentError(
                f"{name}: {part} must be on the device of the points, {measure.points.device}; got {values.device}."
            )
        if not bool(torch.isfinite(values).all()):
            raise ArgumentError(f"{name}: {part} must be finite; got NaN or infinity. Leave these points out.")
    if bool((measure.weights < 0).any()) or not bool((measure.weights > 0).any()):
        raise ArgumentError(
            f"{name}: weights must be at least 0 with a positive sum; got values between "
            f"{float(measure.weights.min()):g} and {float(measure.weights.max()):g}."
        )
