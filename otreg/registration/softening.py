"""How stiff a spline is at a blur: as stiff as what the blur can see allows.

A residual far below a coarse blur is for the next one to follow; one far below the distance between points is due to
the sampling. A spline that follows them slides along smooth surfaces. So it begins stiff, and its stiffness is halved
as long as the divergence is above what a residual of a fifth of these lengths leaves (the discrepancy principle of
Morozov 1966), down to the least, which is what was asked for at the last blur, and in proportion to the blur before it:
what a coarse blur asks for is mostly wrong in detail.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from otreg.models import BendingModel
from otreg.registration.levels import Evaluation, Level
from otreg.registration.settings import RegistrationSettings
from otreg.transport.neighbours import nearest

# Stiffness in the beginning, over the least.
STIFFEST = 8.0
# Divergence, over the square of the length and the mass, that is worth more bending: a residual r leaves
# r^2 / 2, here r is a fifth of it.
_WORTH = 0.02
_SOFTER = 2.0
# Points that are asked for their nearest neighbour.
_ASKED = 1000


def least_stiffness(settings: RegistrationSettings, blur: float) -> float:
    """Below it a spline does not get softer at a blur."""
    return settings.stiffness * (blur / settings.blur)


def softened(level: Level, state: Evaluation, settings: RegistrationSettings) -> Evaluation | None:
    """The same map with less stiffness; None where it is at its least, or where the shapes are near enough."""
    model, least = state.model, least_stiffness(settings, level.blur)
    if not isinstance(model, BendingModel) or model.stiffness <= least:
        return None
    known = _resolution(level.blur, level.spacing, last=level.blur <= settings.blur)
    if state.transport.value <= _WORTH * known**2 * float(level.weights.sum()):
        return None
    mass = float((level.weights * state.transport.matched_mass).sum())
    softer = model.with_stiffness(max(least, model.stiffness / _SOFTER))
    return replace(state, model=softer, loss=state.loss - mass * float(model.penalty() - softer.penalty()))


def _resolution(blur: float, spacing: float, *, last: bool) -> float:
    """The length at a blur below which residuals say little. A blur wider than the spacing averages over neighbours."""
    return spacing * min(1.0, spacing / blur) if last else max(blur, spacing)


def spacing(points: torch.Tensor) -> float:
    """The median distance of a point to its nearest neighbour, over some of the points (n, d); 0 for a single one."""
    if len(points) < 2:
        return 0.0
    every = points.detach().double()
    asked = every[:: -(-len(every) // _ASKED)]
    # Of the two nearest points one is the point itself, or at the same place.
    ways = asked[:, None] - every[nearest(every, asked, 2)]
    return float(ways.norm(dim=2).amax(1).median())
