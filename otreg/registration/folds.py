"""A guard against splines that fold: a step that would fold the shape is taken with more stiffness.

A spline folds where the determinant of its Jacobian changes sign. The guard looks at the determinants at some of the
source's points after every step, and at all of them before a blur is called done; where space would shrink to less than
a twentieth of its volume, beside what the affine part does, the step is fitted again with twice the stiffness, until
nothing folds. More stiffness always helps: without bend there is no fold.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from otreg.models import BendingModel, Model
from otreg.models.folding import volume_changes
from otreg.registration.levels import Evaluation, Level, Rows

# Volume over the affine part's below which a map counts as folding: a margin, since only points are looked at.
LEAST_VOLUME = 0.05
_STIFFER = 2.0
_STIFFENINGS = 16
# Points of a level that every step is checked at; a bend is smooth, so neighbours fold together.
_CHECKED = 1000


class FoldGuard:
    """Watches the steps of one model on one level. stiffened: whether it had to make one of them stiffer."""

    def __init__(self, level: Level) -> None:
        self._level = level
        self.stiffened = False
        self._points = level.points[:: math.ceil(len(level.points) / _CHECKED)]

    def folds(self, model: Model) -> bool:
        """Whether the model folds at one of the points that are watched."""
        return isinstance(model, BendingModel) and len(_folded(model, self._points)) > 0

    def folds_anywhere(self, model: Model) -> bool:
        """Whether the model folds at one of all points of the source; those are watched from now on."""
        if not isinstance(model, BendingModel):
            return False
        found = _folded(model, self._level.all_points)
        self._points = torch.cat([self._points, found])
        return len(found) > 0

    def step(self, rows: Rows, state: Evaluation) -> tuple[Model, Evaluation]:
        """The least-squares step, and the state that it starts from, with stiffness enough not to fold."""
        plain = rows.fit(state.model, rows.wanted)
        for _ in range(_STIFFENINGS):
            if not (isinstance(plain, BendingModel) and self.folds(plain)):
                break
            state = self.with_more_stiffness(state)
            plain = rows.fit(state.model, rows.wanted)
        return plain, state

    def with_more_stiffness(self, state: Evaluation) -> Evaluation:
        """The same map with more stiffness; its loss is infinite if it folds, so that any step is better."""
        model = state.model
        assert isinstance(model, BendingModel)
        self.stiffened = True
        stiffer = model.with_stiffness(_STIFFER * model.stiffness)
        mass = float((self._level.weights * state.transport.matched_mass).sum())
        dearer = mass * float(stiffer.penalty() - model.penalty())
        return replace(state, model=stiffer, loss=math.inf if self.folds(model) else state.loss + dearer)


def _folded(model: Model, points: torch.Tensor) -> torch.Tensor:
    """(k, d) those of the points at which the model folds."""
    return points[volume_changes(model, points) < LEAST_VOLUME]
