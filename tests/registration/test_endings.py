"""How registrations end: every reason, every refused setting, and shapes for which no good answer exists."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.models import start_model
from otreg.registration import RegistrationSettings, register
from otreg.registration.cells import Cells
from otreg.registration.levels import Level, TargetLevel
from otreg.registration.optimisers import OPTIMISERS, Ending

from .shapes import linear, pair, paired, rms, rotation, sample

# torch says once per process that the first-order optimisers read their loss as a number while it has a gradient.
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")

BLUR = 0.02


@pytest.fixture(scope="module")
def turned():
    return pair("potato", linear(rotation(30, 3, seed=4), 0.4), n=800, m=700, seed=2)


def ending_of(known, **settings):
    registration = register(known.source, known.target, RegistrationSettings(**{"blur": BLUR, **settings}))
    return registration, Ending(registration.stages[-1].status)


@pytest.mark.parametrize("optimizer", ["gauss-newton", "lbfgs", "adam"])
def test_small_moves_end_as_converged(turned, optimizer):
    registration, ending = ending_of(turned, optimizer=optimizer, tolerance=2e-3, iterations=300)
    assert ending is Ending.CONVERGED
    assert registration.converged
    assert registration.stages[-1].steps[-1].move <= 2e-3


@pytest.mark.parametrize("optimizer", ["gauss-newton", "lbfgs", "adam"])
def test_the_allowed_steps_are_the_most_that_are_taken(turned, optimizer):
    registration, ending = ending_of(turned, optimizer=optimizer, tolerance=1e-15, iterations=2, init="none")
    assert ending is Ending.OUT_OF_STEPS
    assert not registration.converged
    assert registration.status.startswith("rigid: stopped after the allowed number of steps")
    [stage] = registration.stages
    assert max(sum(step.blur == blur for step in stage.steps) for blur in stage.blurs) <= 2


def level_and_state(known):
    model = start_model("rigid", known.source.points, known.source.weights)
    source, target = (Cells(measure, blur=0.1) for measure in (known.source, known.target))
    level = Level(source, TargetLevel(target, blur=0.1, reach=None, reduction="auto"), model)
    return level, level.evaluate(model, None)


@pytest.mark.parametrize("optimizer", ["gauss-newton", "lbfgs"])
def test_where_no_step_lowers_the_loss_the_state_is_kept(turned, optimizer):
    level, state = level_and_state(turned)
    lower = replace(state, loss=-1.0)  # below every divergence
    [progress] = OPTIMISERS[optimizer](level, lower, RegistrationSettings(optimizer=optimizer), 1e-4)
    assert progress.ending is Ending.NO_DESCENT
    assert progress.evaluation is lower


def test_steps_that_gain_nothing_end_a_blur(turned, monkeypatch):
    level, state = level_and_state(turned)
    evaluate = Level.evaluate
    # The shape still moves, but all places are as good.
    monkeypatch.setattr(
        Level, "evaluate", lambda self, model, start: replace(evaluate(self, model, start), loss=state.loss)
    )
    steps = list(OPTIMISERS["gauss-newton"](level, state, RegistrationSettings(), 1e-9))
    assert [step.ending for step in steps] == [None, None, Ending.STALLED]
    assert min(step.move for step in steps) > 1e-9


def test_gauss_newton_keeps_the_last_state_when_the_transport_is_not_finite(turned):
    # No input is known that makes the engine return NaN, so the answer of the engine is replaced.
    level, state = level_and_state(turned)
    nowhere = torch.full_like(state.moved, torch.nan)
    broken = replace(state, transport=SimpleNamespace(displacement=nowhere, matched_mass=nowhere[:, 0]))
    [progress] = OPTIMISERS["gauss-newton"](level, broken, RegistrationSettings(), 1e-4)
    assert progress.ending is Ending.NOT_FINITE
    assert progress.evaluation is broken


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_first_order_optimisers_keep_the_last_state_when_the_loss_is_not_finite(turned, optimizer, monkeypatch):
    level, state = level_and_state(turned)
    monkeypatch.setattr(
        Level, "differentiable_loss", lambda self, model, solver: model(self.points).sum() * float("nan")
    )
    [progress] = OPTIMISERS[optimizer](level, state, RegistrationSettings(optimizer=optimizer), 1e-4)
    assert progress.ending is Ending.NOT_FINITE
    assert progress.evaluation is state


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"models": ()}, "models must name at least one"),
        ({"optimizer": "newton"}, "optimizer must be gauss-newton, lbfgs or adam; got 'newton'"),
        ({"iterations": 0}, "iterations must be at least 1; got 0"),
        ({"tolerance": 0.0}, "tolerance must be positive; got 0"),
        ({"tolerance": float("nan")}, "tolerance must be positive; got nan"),
        ({"models": ("elastic",)}, "model must be one of .*; got 'elastic'"),
        ({"models": ("spline", "rigid")}, "rigid"),
        ({"models": ("spline",), "stiffness": -1.0}, "stiffness must be finite and at least"),
        ({"models": ("spline",), "control_points": 0}, "control_points must be at least 1; got 0"),
        ({"reach": 0.0}, "reach must be positive.*; got 0"),
        ({"reduction": "magic"}, "reduction must be .*; got 'magic'"),
        ({"init": "anywhere"}, "init must be auto, search, centroid or none; got 'anywhere'"),
        ({"init": "search", "models": ("affine",)}, "must be rigid or similarity; got 'affine'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(turned, settings, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        register(turned.source, turned.target, RegistrationSettings(**settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("blur", [0.0, -0.1, float("nan"), float("inf")])
def test_a_blur_that_is_no_length_is_refused_when_it_is_set(blur):
    # Not later: a schedule of blurs down to 0 has no end.
    with pytest.raises(ArgumentError, match="blur must be positive"):
        RegistrationSettings(blur=blur)


def test_shapes_of_two_dimensions_are_refused(turned):
    plane = pair("leaf", linear(np.eye(2)))
    with pytest.raises(ArgumentError, match="one dimension; got 3 and 2"):
        register(turned.source, plane.target, RegistrationSettings())


def cut(name, motion, *, source_from, target_to):
    """A shape cut off before ``source_from`` on the first axis, and one cut off beyond ``target_to``."""
    points, weights = sample(name, 1500)
    there, there_weights = sample(name, 1300, 3)
    here, stays = points[:, 0] > source_from, there[:, 0] < target_to
    return paired(
        points[here],
        weights[here] / weights[here].sum(),
        motion(there[stays]),
        there_weights[stays] / there_weights[stays].sum(),
        truth=motion(points[here]),
    )


@pytest.mark.parametrize(
    ("name", "source_from", "target_to"),
    [("potato", -0.8, 0.9), ("potato", -0.6, 0.7), ("leaf", -0.9, 1.1)],  # 12 to 22 % of a shape are missing
)
def test_shapes_that_overlap_in_part_find_their_pose_with_a_reach(name, source_from, target_to):
    motion = linear(rotation(10, 2 if name == "leaf" else 3, seed=3), 0.05)
    known = cut(name, motion, source_from=source_from, target_to=target_to)
    errors = []
    for reach in (None, 0.05, 0.02):
        # Upside down these smooth shapes, cut at opposite ends, fit as well: a search would find that.
        registration, _ = ending_of(known, reach=reach, init="none")
        errors.append(rms(registration.model(known.source.points).numpy() - known.truth))
    assert errors[1] < 0.25 * errors[0]
    assert errors[2] < 0.5 * BLUR


@pytest.mark.parametrize("name", ["potato", "leaf"])
def test_reach_leaves_outliers_alone(name):
    d = 2 if name == "leaf" else 3
    clean = pair(name, linear(rotation(20, d, seed=3), 0.1), m=1000, seed=2)
    rng = np.random.default_rng(0)
    # A tenth of the target's mass lies far off, all on one side.
    astray = torch.from_numpy(np.append([0.9], np.zeros(d - 1)) + 0.1 * rng.standard_normal((100, d)))
    points = torch.cat([clean.target.points, astray])
    weights = torch.cat([0.9 * clean.target.weights, torch.full((100,), 0.1 / 100, dtype=torch.float64)])
    known = replace(clean, target=Measure(points, weights))
    errors = {}
    for reach in (None, 0.05):
        registration, _ = ending_of(known, reach=reach)
        errors[reach] = rms(registration.model(known.source.points).numpy() - known.truth)
    assert errors[0.05] < 0.25 * BLUR
    assert errors[0.05] < 0.1 * errors[None]


HOPELESS = {
    "mirrored": linear(np.diag([-1.0, 1.0, 1.0])),
    "upside down": linear(rotation(180, 3, seed=1)),
    "disjoint": linear(np.eye(3), 1e3),
    "dwarfed": linear(1e-3 * np.eye(3)),
    "blown up": linear(1e3 * np.eye(3)),
    "flattened": linear(np.diag([1.0, 1.0, 0.0])),
    "on a line": linear(np.diag([1.0, 0.0, 0.0])),
}


# Where nothing at all is matched, the share of the plan's mass that is in the wrong place is 0/0 in some steps.
FIRST_ORDER = [
    (case, 0.05, optimizer) for case in ("mirrored", "disjoint", "dwarfed") for optimizer in ("lbfgs", "adam")
]


@pytest.mark.parametrize(
    ("case", "reach", "optimizer"),
    [(case, reach, "gauss-newton") for case in HOPELESS for reach in (None, 0.05)] + FIRST_ORDER,
)
def test_no_nan_comes_out_whatever_goes_in(case, reach, optimizer):
    known = pair("potato", HOPELESS[case], n=200, m=150, seed=2)
    models = ("rigid", "affine", "spline") if optimizer == "gauss-newton" else ("affine",)
    registration, _ = ending_of(
        known, models=models, reach=reach, optimizer=optimizer, iterations=6, control_points=30, blur=0.05
    )
    model = registration.model
    assert bool(torch.isfinite(model(known.source.points)).all())
    assert bool(torch.isfinite(model.jacobian(known.source.points)).all())
    for stage in registration.stages:
        for step in stage.steps:
            numbers = (step.divergence, step.marginal_error, step.penalty, step.move, step.seconds, step.fraction)
            assert np.isfinite(numbers).all()
    transport = registration.transport
    assert np.isfinite([transport.value, transport.lower, transport.upper]).all()
    assert bool(torch.isfinite(transport.displacement).all())


def test_two_points_each_are_registered_the_shorter_way_round():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    half = torch.full((2,), 0.5, dtype=torch.float64)
    target = Measure(points @ torch.tensor([[0.8, 0.6], [-0.6, 0.8]], dtype=torch.float64), half)
    registration = register(Measure(points, half), target, RegistrationSettings(blur=BLUR))
    assert rms((registration.model(points) - target.points).numpy()) < 1e-3


def test_a_shape_registered_onto_itself_stays_where_it_is():
    points, weights = sample("potato", 600)
    still = paired(points, weights, points, weights, truth=points)
    for models in (("rigid",), ("affine",), ("spline",)):
        registration, _ = ending_of(still, models=models)
        assert rms(registration.model(still.source.points).numpy() - still.truth) < 1e-3
        assert registration.converged
