"""Steps of a rigid motion or a similarity that follow the parts of two shapes that overlap, and no others.

The divergence of shapes that overlap in part is not least at their true pose: what has no partner is drawn towards the
border of the other shape, with a pull that grows with the reach. The transport knows where that happens: a point that
keeps less of its mass than it does in the transport to its own shape has too little, or too crowded, mass around it
there. So pairs count by the overlap of both their points, and ways count across the shape, not along it. For shapes
that overlap wholly these weights are one. The fixed point of such steps is the pose; no loss stands behind them, so
they are taken as they come, and they come to rest in a handful.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.spatial import cKDTree

from otreg.models.linear import LinearModel
from otreg.registration.alignment import shape_metric, small_motion
from otreg.registration.coarse import OVERLAP_POWER
from otreg.registration.levels import Evaluation, Level
from otreg.registration.optimisers import Ending, Progress, rms
from otreg.registration.settings import RegistrationSettings

# Columns of the plan that are looked at per row and dimension: those nearest to where the row's mass arrives hold
# nearly all of it, since cells are as large as the blur.
_COLUMNS = 10
_SMALLEST = 1e-12


def overlap_steps(
    level: Level, state: Evaluation, settings: RegistrationSettings, tolerance: float
) -> Iterator[Progress]:
    """Steps until one moves the source by less than the tolerance. The model must be linear, the reach finite."""
    metric = shape_metric(level.points)
    for iteration in range(settings.iterations):
        assert isinstance(state.model, LinearModel)
        ways, weights = trusted_ways(level, state)
        if not bool(torch.isfinite(ways).all()) or not float(weights.sum()) > 0:
            yield Progress(state, 0.0, Ending.NOT_FINITE)
            return
        ways = ways @ torch.linalg.inv(state.model.matrix).T
        matrix, offset = small_motion(level.points, ways, weights, metric, scale=state.model.name == "similarity")
        new = level.evaluate(state.model.after(matrix, offset), state.transport.warm_start)
        move = rms(new.moved - state.moved, weights)
        state = new
        ending = Ending.CONVERGED if move <= tolerance else None
        if ending is None and iteration == settings.iterations - 1:
            ending = Ending.OUT_OF_STEPS
        yield Progress(state, move, ending)
        if ending:
            return


def trusted_ways(level: Level, state: Evaluation) -> tuple[torch.Tensor, torch.Tensor]:
    """(k, d) where each cell of the source asks to go, and (k,) how much it counts, by pairs that overlap alone."""
    assert level.reach is not None
    here, there = state.transport.source_map, state.transport.target_map
    y, b = level.target.measure.points.double(), level.target.measure.weights.double()
    arrival = (state.moved + here.displacement).cpu().numpy()
    count = min(len(y), _COLUMNS * y.shape[1])
    _, near = cKDTree(y.cpu().numpy()).query(np.nan_to_num(arrival), count)
    columns = torch.from_numpy(np.asarray(near).reshape(len(arrival), count)).to(y.device)
    # The dual potential of a column, from the share that it keeps, exp(-g / rho); then a row of the plan.
    g = -(level.reach**2) * there.matched_mass.clamp_min(_SMALLEST).log()
    cost = (state.moved[:, None] - y[columns]).square().sum(2) / 2
    plan = torch.softmax((g[columns] - cost) / level.blur**2 + b.clamp_min(1e-300).log()[columns], 1)
    trusted = plan * there.overlap.clamp(max=1)[columns] ** OVERLAP_POWER
    share = trusted.sum(1)
    row = trusted / share.clamp_min(_SMALLEST)[:, None] - plan
    ways = here.displacement + (row[:, None] @ y[columns])[:, 0]
    return ways, level.weights * here.matched_mass * share * here.overlap.clamp(max=1) ** OVERLAP_POWER
