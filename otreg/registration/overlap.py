"""Steps of a rigid motion or a similarity that follow the parts of two shapes that overlap, and no others.

The divergence of shapes that overlap in part is not least at their true pose: what has no partner is drawn towards the
border of the other shape, with a pull that grows with the reach. The transport knows where that happens: a point that
keeps less of its mass than it does in the transport to its own shape has too little, or too crowded, mass around it
there. So pairs count by the overlap of both their points, and ways count across the shape, not along it. For shapes
that overlap wholly these weights are one. The fixed point of such steps is the pose; no loss stands behind them, so
they are taken as they come, with Anderson acceleration: where little overlaps, plain ones creep. Where whole
shapes make the divergence rise, they differ everywhere by about the blur, as an object and a swollen one, and a pose
that lays one side on one side fits the weights best: steps that lower the divergence go on from where it was least.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from otreg.models import Model
from otreg.models.linear import LinearModel
from otreg.registration.alignment import shape_metric, small_motion
from otreg.registration.coarse import OVERLAP_POWER
from otreg.registration.levels import Evaluation, Level, Rows
from otreg.registration.mixing import Mixing, moved_by
from otreg.registration.optimisers import Ending, Progress, gauss_newton, rms
from otreg.registration.settings import RegistrationSettings
from otreg.transport.neighbours import nearest

# Columns of the plan that are looked at per row and dimension: those nearest to where the row's mass arrives hold
# nearly all of it, since cells are as large as the blur.
_COLUMNS = 10
_SMALLEST = 1e-12
# An accelerated step is at most so many times as long as the plain one: right for steps that shrink by a fifth each.
_LONGEST = 5.0
# The loss may rise by this factor over the least so far.
_RISE = 1.1


def overlap_steps(
    level: Level, state: Evaluation, settings: RegistrationSettings, tolerance: float, *, whole: bool = False
) -> Iterator[Progress]:
    """Steps until one moves the source by less than the tolerance. The model must be linear, the reach finite.

    whole: a search found no part of the shapes without a partner.
    """
    metric, mixing = _with_landmarks(shape_metric(level.points), level), Mixing(level, state.model)
    best = state
    for iteration in range(settings.iterations):
        assert isinstance(state.model, LinearModel)
        ways, weights = trusted_ways(level, state)
        if not bool(torch.isfinite(ways).all()):
            yield Progress(state, 0.0, Ending.NOT_FINITE)
            return
        if not float(weights.sum()) > 0:
            yield Progress(state, 0.0, Ending.NOTHING_MATCHED)
            return
        rows = level.rows(state, ways, weights)
        ways = (rows.wanted - rows.here) @ torch.linalg.inv(state.model.matrix).T
        matrix, offset = small_motion(rows.points, ways, rows.weights, metric, scale=state.model.name == "similarity")
        plain = state.model.after(matrix, offset)
        new = level.evaluate(_accelerated(mixing, state.model, plain, rows), state.transport.warm_start)
        move = rms(new.moved - state.moved, weights)
        state = new
        if whole and state.loss > _RISE * best.loss + state.slack:
            yield from gauss_newton(level, best, settings, tolerance)
            return
        best = min(best, state, key=lambda one: one.loss)
        ending = Ending.CONVERGED if move <= tolerance else None
        if ending is None and iteration == settings.iterations - 1:
            ending = Ending.OUT_OF_STEPS
        yield Progress(state, move, ending)
        if ending:
            return


def _accelerated(mixing: Mixing, model: LinearModel, plain: Model, rows: Rows) -> Model:
    """The step that past ones suggest after ``model``; the plain one where they suggest one that is much longer."""
    mixed = mixing.step(model, plain, rows)
    if mixed is None:
        return plain
    length, plain_length = (rms(moved_by(new, rows) - rows.here, rows.weights) for new in (mixed, plain))
    if length <= _LONGEST * plain_length:
        return mixed
    mixing.reset()
    return plain


def _with_landmarks(metric: torch.Tensor, level: Level) -> torch.Tensor:
    """The metric of all rows: a landmark counts in every direction as a point of the shape does across the shape."""
    count, d = len(level.row_weights) - len(metric), metric.shape[1]
    across = torch.linalg.eigvalsh(metric)[:, -1].mean()
    eye = torch.eye(d, dtype=metric.dtype, device=metric.device)
    return torch.cat([metric, (across * eye).expand(count, d, d)])


def trusted_ways(level: Level, state: Evaluation) -> tuple[torch.Tensor, torch.Tensor]:
    """(k, d) where each cell of the source asks to go, and (k,) how much it counts, by pairs that overlap alone."""
    assert level.reach is not None
    here, there = state.transport.source_map, state.transport.target_map
    source, target = level.measure(state.model, state.moved), level.target.measure
    y, b = target.points.double(), target.weights.double()
    arrival = state.moved + here.displacement
    # Where the mass of a row arrives among the features is not known; it is near those of the row.
    near_here = arrival if source.features is None else torch.cat([arrival, source.features], 1)
    count = min(len(y), _COLUMNS * y.shape[1])
    columns = nearest(target.coordinates.double(), near_here.nan_to_num(), count)
    # The dual potential of a column, from the share that it keeps, exp(-g / rho); then a row of the plan.
    g = -(level.reach**2) * there.matched_mass.clamp_min(_SMALLEST).log()
    cost = (source.coordinates[:, None] - target.coordinates.double()[columns]).square().sum(2) / 2
    plan = torch.softmax((g[columns] - cost) / level.blur**2 + b.clamp_min(1e-300).log()[columns], 1)
    trusted = plan * there.overlap.clamp(max=1)[columns] ** OVERLAP_POWER
    share = trusted.sum(1)
    row = trusted / share.clamp_min(_SMALLEST)[:, None] - plan
    ways = here.displacement + (row[:, None] @ y[columns])[:, 0]
    return ways, level.weights * here.matched_mass * share * here.overlap.clamp(max=1) ** OVERLAP_POWER
