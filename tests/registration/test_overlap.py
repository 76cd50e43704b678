"""Steps that follow the overlap are accelerated where they creep, and never carried far by it."""

import numpy as np
import pytest
import torch

from otreg.models import start_model
from otreg.models.linear import LinearModel
from otreg.registration.cells import Cells
from otreg.registration.levels import Level, TargetLevel
from otreg.registration.mixing import Mixing, moved_by
from otreg.registration.optimisers import rms
from otreg.registration.overlap import _accelerated

from .shapes import linear, pair


def steps(rate, count):
    """How far from its goal a pose is after some steps, each of which would leave it that rate of the way; and the
    lengths of the steps over those of the plain ones."""
    known = pair("potato", linear(np.eye(3)), n=400)
    model = start_model("rigid", known.source.points, known.source.weights)
    assert isinstance(model, LinearModel)
    source, target = (Cells(measure, blur=0.1) for measure in (known.source, known.target))
    level = Level(source, TargetLevel(target, blur=0.1, reach=0.2, reduction="cpu"), model)
    goal = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
    mixing, lengths = Mixing(level, model), []
    for _ in range(count):
        matrix, offset = model.linear()
        plain = model.with_map(matrix, goal + rate * (offset - goal))
        rows = level.rows(level.evaluate(model, None), torch.zeros_like(level.points), level.weights)
        model = _accelerated(mixing, model, plain, rows)
        assert isinstance(model, LinearModel)
        lengths.append(rms(moved_by(model, rows) - rows.here, rows.weights) / ((1 - rate) * (offset - goal).norm()))
    return float((model.linear()[1] - goal).norm() / goal.norm()), [float(length) for length in lengths]


@pytest.mark.parametrize("rate", [0.5, 0.75])
def test_steps_that_creep_are_accelerated(rate):
    left, _ = steps(rate, 4)
    assert left < 0.01 * rate**4


def test_no_step_is_much_longer_than_the_plain_one():
    # One that shrinks by a twentieth each time asks for twenty times its length.
    left, lengths = steps(0.95, 4)
    assert max(lengths) <= 5
    assert left <= 0.95**4 + 1e-9
