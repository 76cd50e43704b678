"""Anderson acceleration of a model's steps, in the space of moved positions.

Models whose maps are affine in their coordinates are mixed with their former ones: the mix moves every point as the
mixed positions say, without another fit, which would shrink a penalised bend once more. A pose has no such
coordinates, so it is fitted to the mixed positions.
"""

from __future__ import annotations

import torch

from otreg.models import Model
from otreg.registration.levels import Level, Rows
from otreg.transport.anderson import Anderson


class Mixing:
    """The past of one model on one level."""

    def __init__(self, level: Level, model: Model) -> None:
        weights = level.row_weights.double().repeat_interleave(level.points.shape[1])
        own = model.coordinates
        # Coordinates come along with the positions; how far they change does not count.
        self._anderson = Anderson(weights if own is None else torch.cat([weights, torch.zeros_like(own)]))

    def reset(self) -> None:
        """Forget the past."""
        self._anderson.reset()

    def step(self, model: Model, plain: Model, rows: Rows) -> Model | None:
        """The accelerated model after ``model`` and its ``plain`` step; None when there is no past to learn from."""
        reached = moved_by(plain, rows)
        mixed = self._anderson.step(_joined(rows.here, model), _joined(reached, plain))
        if not self._anderson.active:
            return None
        if plain.coordinates is None:
            return rows.fit(plain, mixed.view_as(reached))
        return plain.with_coordinates(mixed[reached.numel() :])


def part_way(model: Model, plain: Model, rows: Rows, part: float) -> Model:
    """The model that moves points a ``part`` of the way from where ``model`` has them to where ``plain`` does.

    For a pose, the nearest to that.
    """
    here, there = model.coordinates, plain.coordinates
    if here is not None and there is not None:
        return plain.with_coordinates(here + part * (there - here))
    return rows.fit(model, rows.here + part * (moved_by(plain, rows) - rows.here))


def moved_by(model: Model, rows: Rows) -> torch.Tensor:
    """(r, d) where a model puts the rows; without gradients, so that a spline can use what its fit has computed."""
    with torch.no_grad():
        return model(rows.points)


def _joined(moved: torch.Tensor, model: Model) -> torch.Tensor:
    own = model.coordinates
    return moved.flatten() if own is None else torch.cat([moved.flatten(), own])
