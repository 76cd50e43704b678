"""How a model follows the divergence at one blur: Gauss-Newton in the metric of the plan, or any torch optimiser.

The Gauss-Newton step moves every point along its Brenier displacement and projects the result onto the model by
weighted least squares, with the matched masses as weights: gradient descent preconditioned by the masses. For plain
optimal transport it majorises the loss, so it descends; for the divergence a step control makes sure of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

import torch

from otreg.models import Model
from otreg.registration.folds import FoldGuard
from otreg.registration.levels import Evaluation, Level, Rows
from otreg.registration.mixing import Mixing, moved_by, part_way
from otreg.registration.settings import RegistrationSettings
from otreg.registration.softening import softened

# A step that does not descend is halved this often before the blur is called done.
_HALVINGS = 4
# A blur is done after so many steps in a row that lower the loss by less than carrying the shape straight by the
# tolerance does: what such steps still move slides along the shapes.
_IDLE_STEPS = 3
# A spline may get softer when a step moves the shape by less than this share of the blur.
_SETTLED = 0.1
# Share of the source's mass with a partner below which the transport says nothing about where to go.
LEAST_MATCHED = 1e-6
# First-order optimisers walk this share of the blur per step in the scale of the parameters.
_ADAM_RATE = 0.25


class Ending(Enum):
    """Why the steps at a blur ended; the values are the sentences that users see."""

    CONVERGED = "converged: the last step moved the shape by less than the tolerance"
    STALLED = "converged: the last steps lowered the divergence by less than a move by the tolerance would"
    NO_DESCENT = "converged: no step along the model lowers the divergence any more"
    OUT_OF_STEPS = "stopped after the allowed number of steps; allow more with --iterations, or a larger --tolerance"
    NOTHING_MATCHED = (
        "stopped: nothing of the source lies within reach of the target; use a larger --reach, or another --init"
    )
    NOT_FINITE = "stopped: the loss was no longer finite; the last good state is kept. Use a larger --blur or --reach"


@dataclass(frozen=True)
class Progress:
    """State after one step at a blur, and why it was the last one (None if it was not).

    stiffened: whether a spline got stiffer at this blur, because it would have folded.
    """

    evaluation: Evaluation
    move: float
    ending: Ending | None
    stiffened: bool = False


Optimiser = Callable[[Level, Evaluation, RegistrationSettings, float], Iterator[Progress]]


def gauss_newton(
    level: Level, state: Evaluation, settings: RegistrationSettings, tolerance: float
) -> Iterator[Progress]:
    """Steps x + v -> closest model, accelerated as long as the loss descends, else shortened until it does.

    A spline gets softer where that is worth it (:mod:`softening`) and stiffer where it would fold (:mod:`folds`); the
    loss is then that of the new stiffness.
    """
    mixing, guard = Mixing(level, state.model), FoldGuard(level)
    idle = 0  # steps in a row that gained next to nothing
    for iteration in range(settings.iterations):
        ways, weights = state.transport.displacement, level.weights * state.transport.matched_mass
        if not bool(torch.isfinite(ways).all()):
            yield Progress(state, 0.0, Ending.NOT_FINITE)
            return
        if not float(weights.sum()) > LEAST_MATCHED * float(level.weights.sum()):
            yield Progress(state, 0.0, Ending.NOTHING_MATCHED)
            return
        rows = level.rows(state, ways, weights)
        plain, state = guard.step(rows, state)
        accelerated = mixing.step(state.model, plain, rows)
        new = None
        if accelerated is not None and not guard.folds(accelerated):
            new = _accept(level, accelerated, state)
        if new is None:
            if accelerated is not None:
                mixing.reset()
            new = _shorten(level, plain, state, rows, tolerance)
        ending = Ending.NO_DESCENT if new is None else None
        move = 0.0
        if new is not None:
            move = rms(new.moved - state.moved, weights)
            idle = idle + 1 if state.loss - new.loss <= tolerance**2 / 2 * rows.mass else 0
            state = new
            if move <= tolerance:
                ending = Ending.CONVERGED
            elif idle == _IDLE_STEPS:
                ending = Ending.STALLED
        last = iteration == settings.iterations - 1
        settled = ending is not None or move <= max(tolerance, _SETTLED * level.blur)
        softer = softened(level, state, settings) if settled and not last and not guard.stiffened else None
        if softer is not None:
            state, ending, idle = softer, None, 0
            mixing.reset()
        if ending is not None and not last and level.blur <= settings.blur and guard.folds_anywhere(state.model):
            state, ending, idle = guard.with_more_stiffness(state), None, 0
            mixing.reset()
        if ending is None and last:
            ending = Ending.OUT_OF_STEPS
        yield Progress(state, move, ending, guard.stiffened)
        if ending:
            return


def _accept(level: Level, model: Model, state: Evaluation) -> Evaluation | None:
    """The model's evaluation if it does not raise the loss by more than its error, else None."""
    new = level.evaluate(model, state.transport.warm_start)
    return new if new.loss <= state.loss + min(new.slack, 0.01 * abs(state.loss)) else None


def _shorten(level: Level, plain: Model, state: Evaluation, rows: Rows, tolerance: float) -> Evaluation | None:
    """The plain step, or the first half, quarter, ... of it that descends; None when none does."""
    full = moved_by(plain, rows) - rows.here
    for halving in range(_HALVINGS):
        part = 0.5**halving
        model = plain if part == 1 else part_way(state.model, plain, rows, part)
        new = _accept(level, model, state)
        if new is not None or part * rms(full, rows.weights) < tolerance:
            return new
    return None


def torch_optimiser(name: str) -> Optimiser:
    """L-BFGS or Adam on the parameters of the model, with the loss's analytic gradient."""

    def run(level: Level, state: Evaluation, settings: RegistrationSettings, tolerance: float) -> Iterator[Progress]:
        start = state.model
        theta = start.parameters.clone().requires_grad_()
        solver = level.warm_solver()
        optimiser: torch.optim.Optimizer
        if name == "lbfgs":
            optimiser = torch.optim.LBFGS([theta], max_iter=1, max_eval=12, line_search_fn="strong_wolfe")
        else:
            optimiser = torch.optim.Adam([theta], lr=_ADAM_RATE * level.blur)

        def closure() -> float:
            optimiser.zero_grad()
            with torch.enable_grad():
                loss = level.differentiable_loss(start.with_parameters(theta), solver)
                loss.backward()
            return float(loss.detach())

        for iteration in range(settings.iterations):
            optimiser.step(closure)
            if not bool(torch.isfinite(theta).all()):
                yield Progress(state, 0.0, Ending.NOT_FINITE)
                return
            model = start.with_parameters(theta.detach().clone())
            new = level.evaluate(model, state.transport.warm_start)
            move = rms(new.moved - state.moved, level.weights)
            ending = Ending.CONVERGED if move <= tolerance else None
            if name == "lbfgs" and new.loss > state.loss + new.slack:
                yield Progress(state, move, Ending.NO_DESCENT)
                return
            if ending is None and iteration == settings.iterations - 1:
                ending = Ending.OUT_OF_STEPS
            state = new
            yield Progress(state, move, ending)
            if ending:
                return

    return run


OPTIMISERS: dict[str, Optimiser] = {
    "gauss-newton": gauss_newton,
    "lbfgs": torch_optimiser("lbfgs"),
    "adam": torch_optimiser("adam"),
}


def rms(moves: torch.Tensor, weights: torch.Tensor) -> float:
    """Weighted root mean square length of (k, d) moves."""
    total = float(weights.sum())
    return math.sqrt(float((weights * moves.square().sum(1)).sum()) / total) if total > 0 else 0.0
