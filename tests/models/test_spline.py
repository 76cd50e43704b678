"""Splines: exact penalised fits, conditioning, derivatives, inverse, warm starts."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.errors import ArgumentError, FormatError
from otreg.models import Affine, Rigid, Similarity, Spline, bending, model_from_dict, start_model
from otreg.models.basis import KernelBasis
from otreg.models.gaussians import Gaussians
from tests.models.generators import LINEAR, objective, random_linear, random_shape

EVERY_DIMENSION = pytest.mark.parametrize("dimension", [2, 3])


def sphere(n, seed=0):
    rng = torch.Generator().manual_seed(seed)
    points = torch.randn(n, 3, generator=rng, dtype=torch.float64)
    return 0.3 * points / points.norm(dim=1, keepdim=True)


def bump(points):
    """A smooth displacement of 0.05 at most, of width 0.15, that no affine map follows."""
    centre = torch.tensor([0.3, *[0.0] * (points.shape[1] - 1)], dtype=torch.float64)
    height = 0.05 * torch.exp(-(points - centre).square().sum(1) / (2 * 0.15**2))
    return points + height[:, None] * torch.eye(points.shape[1], dtype=torch.float64)[0]


def bent(seed=0, *, dimension=3, n=60, control_points=20, stiffness=0.03):
    """A spline with a bend and an affine part that are not trivial, and the points it was made on."""
    points, weights = random_shape(seed, dimension=dimension, n=n)
    targets = random_linear(Affine, seed, dimension=dimension)(points) + 0.1 * torch.sin(8 * points)
    start = Spline.start(points, weights, control_points=control_points, stiffness=stiffness)
    return start.fit(points, targets, weights), points


@given(seed=st.integers(0, 2**31), dimension=st.sampled_from([2, 3]), log_stiffness=st.floats(-3, 0))
@settings(max_examples=40, deadline=None)
def test_fit_is_a_minimum_of_its_objective(seed, dimension, log_stiffness):
    points, weights = random_shape(seed, dimension=dimension)
    targets, _ = random_shape(seed + 1, dimension=dimension)
    # Started with other weights, so that the pivot is not the mean of the fit.
    start = Spline.start(points, weights.flip(0) ** 2, control_points=15, stiffness=10**log_stiffness)
    fitted = start.fit(points, targets, weights)
    theta = fitted.parameters.requires_grad_()
    value = objective(fitted.with_parameters(theta), points, targets, weights)
    (gradient,) = torch.autograd.grad(value, theta)
    assert gradient.abs().max() < 1e-9
    rng = torch.Generator().manual_seed(seed)
    for size in (1e-3, 0.1, 1.0):
        step = size * torch.randn(len(theta), generator=rng, dtype=torch.float64)
        assert objective(fitted.with_parameters(step), points, targets, weights) >= value - 1e-12


@given(seed=st.integers(0, 2**31), dimension=st.sampled_from([2, 3]))
@settings(max_examples=30, deadline=None)
def test_fit_reproduces_affine_maps_without_any_penalty(seed, dimension):
    points, weights = random_shape(seed, dimension=dimension)
    truth = random_linear(Affine, seed, dimension=dimension)
    fitted = Spline.start(points, weights, control_points=20).fit(points, truth(points), weights)
    assert fitted.penalty() < 1e-20
    elsewhere = random_shape(seed + 1, dimension=dimension)[0]
    assert (fitted(elsewhere) - truth(elsewhere)).abs().max() < 1e-8


def test_fit_recovers_a_smooth_bump_also_at_points_it_never_saw():
    points, unseen = sphere(2000), sphere(500, seed=1)
    fitted = Spline.start(points, torch.ones(2000), control_points=300, stiffness=1e-3).fit(
        points, bump(points), torch.ones(2000)
    )
    assert (fitted(unseen) - bump(unseen)).norm(dim=1).max() < 1e-3
    affine = Affine.start(points, torch.ones(2000)).fit(points, bump(points), torch.ones(2000))
    assert (affine(unseen) - bump(unseen)).norm(dim=1).max() > 1e-2  # the bump does need a bend


def test_more_stiffness_bends_less_and_fits_worse():
    points = sphere(300)
    fits = [
        Spline.start(points, torch.ones(300), control_points=50, stiffness=stiffness).fit(
            points, bump(points), torch.ones(300)
        )
        for stiffness in (0.01, 0.1, 1.0)
    ]
    bends = [float(fit.penalty()) / fit.stiffness**2 for fit in fits]
    misses = [float((fit(points) - bump(points)).norm()) for fit in fits]
    assert bends[0] > 2 * bends[1] > 4 * bends[2] > 0
    assert misses[0] < misses[1] < misses[2]


@pytest.mark.parametrize("stiffness", [1e-6, 1e-3, 0.03])
def test_fit_with_600_controls_and_coincident_points_is_as_good_as_an_orthogonal_solver(stiffness):
    points, weights = sphere(1000), torch.full((1000,), 1e-3, dtype=torch.float64)
    points[350:700] = points[:350] + 1e-9 * sphere(350, seed=2)  # closer than any kernel can tell apart
    points[700:] = points[:300]
    targets = bump(points)
    start = Spline.start(points, weights, control_points=600, stiffness=stiffness)
    basis, n, r = start.basis, 1000, start.basis.rank
    assert len(basis.controls) == 600 and r < 350
    # The same problem as a plain rectangular one, without normal equations: rows are points, then the penalty.
    design = torch.zeros(n + r, r + 4, dtype=torch.float64)
    design[:n] = torch.cat([basis.features(points), points, torch.ones(n, 1)], 1) * weights[:, None].sqrt()
    design[n:, :r] = stiffness * torch.eye(r, dtype=torch.float64)
    right = torch.zeros(n + r, 3, dtype=torch.float64)
    right[:n] = targets * weights[:, None].sqrt()
    best = (design @ torch.linalg.lstsq(design, right, driver="gelsd").solution - right).square().sum() / 2
    fitted = start.fit(points, targets, weights)
    assert objective(fitted, points, targets, weights) <= best * (1 + 1e-6) + 1e-16
    theta = fitted.parameters.requires_grad_()
    value = objective(fitted.with_parameters(theta), points, targets, weights)
    assert torch.autograd.grad(value, theta)[0].abs().max() < 1e-10


def test_controls_that_all_coincide_leave_one_kernel():
    points, weights = random_shape(0, dimension=3)
    data = Spline.start(points, weights, control_points=4).to_dict()
    data["controls"] = [data["controls"][0]] * 4
    coincident = model_from_dict(data)
    assert coincident.basis.rank == 1
    fitted = coincident.fit(points, bump(points), weights)
    assert torch.isfinite(fitted(points)).all() and fitted.penalty() > 0


def test_fit_in_blocks_is_the_fit_at_once(monkeypatch):
    points, weights = random_shape(0, dimension=3, n=50)
    start = Spline.start(points, weights, control_points=10)
    at_once = start.fit(points, bump(points), weights)
    monkeypatch.setattr(bending, "FIT_ENTRIES", 70)  # seven rows
    assert (start.fit(points, bump(points), weights)(points) - at_once(points)).abs().max() < 1e-12


def test_fit_ignores_the_sum_of_weights_and_points_of_weight_zero():
    points, weights = random_shape(0, dimension=3)
    start = Spline.start(points, weights, control_points=10)
    targets, zeroed = bump(points), weights.clone()
    targets[0], zeroed[0] = 50.0, 0.0
    expected = start.fit(points[1:], targets[1:], weights[1:])
    assert (start.fit(points, targets, 1e-9 * zeroed)(points) - expected(points)).abs().max() < 1e-11
    assert start.fit(points, targets, 0 * weights) is start
    assert Spline.start(points, zeroed, control_points=40).basis.controls.shape == (39, 3)


@pytest.mark.parametrize("kind", ["planar", "collinear", "single"])
def test_fit_of_a_degenerate_cloud_is_finite_and_keeps_the_affine_part_across_it(kind):
    points, weights = random_shape(0, dimension=3)
    flat = {"planar": 2, "collinear": 1, "single": 0}[kind]
    points[:, flat:] = 0.25
    previous = random_linear(Affine, 1, dimension=3)
    start = Spline.start(points, weights, previous=previous, control_points=15)
    targets = previous(points) + 0.05 * torch.sin(9 * points)
    fitted = start.fit(points, targets, weights)
    assert (fitted(points) - targets).norm(dim=1).max() < 0.04
    assert (fitted.affine.matrix - previous.matrix)[:, flat:].abs().max() < 1e-12
    assert torch.isfinite(fitted(random_shape(3, dimension=3)[0])).all()


@pytest.mark.parametrize("model", LINEAR, ids=lambda model: model.name)
def test_warm_start_from_a_linear_model_keeps_the_map(model):
    points, weights = random_shape(0, dimension=3)
    previous = random_linear(model, 1, dimension=3)
    started = start_model("spline", points, weights, previous=previous, control_points=10)
    assert (started(points) - previous(points)).abs().max() < 1e-14
    assert started.penalty() == 0


def test_a_source_in_other_units_bends_the_same_way_after_a_similarity():
    points, weights = random_shape(0, dimension=3)
    centre = points.mean(0)
    millimetres = 1000 * points
    to_metres = Similarity(torch.zeros(3).double(), torch.eye(3).double() / 1000, torch.zeros(3).double())
    in_metres = Spline.start(points, weights, control_points=12).fit(points, bump(points), weights)
    in_millimetres = Spline.start(millimetres, weights, previous=to_metres, control_points=12).fit(
        millimetres, bump(points), weights
    )
    assert (in_millimetres(1000 * centre[None]) - in_metres(centre[None])).abs().max() < 1e-9
    assert in_millimetres.penalty() == pytest.approx(float(in_metres.penalty()), rel=1e-9)


def test_starting_from_a_spline_names_the_order_and_the_way_out():
    fitted, points = bent()
    for model in (Rigid, Similarity, Affine, Spline):
        with pytest.raises(ArgumentError, match="order them rigid, similarity, affine, spline"):
            model.start(points, torch.ones(60), previous=fitted)


def test_with_stiffness_changes_the_penalty_and_not_the_map():
    fitted, points = bent()
    stiffer = fitted.with_stiffness(10 * fitted.stiffness)
    assert torch.equal(stiffer(points), fitted(points))
    assert stiffer.penalty() == pytest.approx(100 * float(fitted.penalty()), rel=1e-12)


@EVERY_DIMENSION
def test_gradients_in_parameters_and_points_agree_with_differences(dimension):
    fitted, points = bent(dimension=dimension, control_points=6)
    theta = 0.1 * torch.ones_like(fitted.parameters)
    inputs = (theta.requires_grad_(), points[:5].clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda t, x: fitted.with_parameters(t)(x), inputs)
    assert torch.autograd.gradcheck(lambda t: fitted.with_parameters(t).penalty(), inputs[:1])


def test_parameters_zero_are_the_model_itself():
    fitted, points = bent()
    assert torch.equal(fitted.with_parameters(fitted.parameters)(points), fitted(points))


def test_unit_parameters_move_a_shape_by_about_one_unit():
    points = sphere(300) / 0.6
    start = Spline.start(points, torch.ones(300), control_points=60)
    for i in range(start.parameter_count):
        theta = start.parameters
        theta[i] = 1.0
        assert (start.with_parameters(theta)(points) - points).norm(dim=1).max() <= 1.1


@EVERY_DIMENSION
def test_jacobian_is_autograds(dimension):
    fitted, points = bent(dimension=dimension)
    x = points.clone().requires_grad_()
    rows = [torch.autograd.grad(fitted(x)[:, a].sum(), x)[0] for a in range(dimension)]
    assert (fitted.jacobian(points) - torch.stack(rows, 1)).abs().max() < 1e-11
    assert fitted.linear() is None


@EVERY_DIMENSION
def test_inverse_points_come_back(dimension):
    points = sphere(200)[:, :dimension]
    fitted = Spline.start(points, torch.ones(200), control_points=40, stiffness=3e-3).fit(
        points, bump(points) @ random_linear(Affine, 4, dimension=dimension).matrix.T, torch.ones(200)
    )
    sources, residual = fitted.inverse_points(fitted(points), 1e-10)
    assert residual.max() <= 1e-10
    assert (sources - points).abs().max() < 1e-8
    assert torch.equal((fitted(sources) - fitted(points)).norm(dim=1), residual)


def test_inverse_points_come_back_from_a_map_that_nearly_folds():
    # One Gaussian of width 0.1 has slope exp(-1/2) / 0.1 at most: pushed by 0.155, space is squeezed to 6 %. Full
    # Newton steps from the affine inverse overshoot there.
    zero, push = torch.zeros(1, 2).double(), torch.tensor([[0.155, 0.0]]).double()
    squeezed = Spline(Affine.start(zero, torch.ones(1)), KernelBasis(zero, Gaussians((0.1,))), push)
    points = torch.cartesian_prod(*[torch.linspace(-0.5, 0.5, 41, dtype=torch.float64)] * 2)
    sources, residual = squeezed.inverse_points(squeezed(points), 1e-12)
    assert residual.max() <= 1e-12
    assert (sources - points).abs().max() < 1e-9


def test_inverse_points_report_where_there_is_no_inverse():
    fitted, points = bent()
    flat = Spline(
        Affine(torch.zeros(3).double(), torch.diag(torch.tensor([1.0, 1, 0])).double(), torch.zeros(3).double()),
        fitted.basis,
        torch.zeros_like(fitted.coefficients),
    )
    off_plane = points.clone()
    off_plane[:, 2] = 0.5
    sources, residual = flat.inverse_points(off_plane)
    assert torch.isfinite(sources).all()
    assert (residual - 0.5).abs().max() < 1e-12


@EVERY_DIMENSION
def test_round_trip_through_json_is_exact(dimension):
    fitted, points = bent(dimension=dimension)
    after = model_from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert torch.equal(after(points), fitted(points))
    assert after.to_dict() == fitted.to_dict()
    assert after.penalty() == fitted.penalty()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"control_points": 0}, "control_points must be at least 1; got 0"),
        ({"widths": ()}, "widths must be one or more positive lengths"),
        ({"widths": (0.1, -0.2)}, r"got \(0.1, -0.2\)"),
        ({"widths": (math.nan,)}, "positive lengths"),
        ({"stiffness": 0.0}, "stiffness must be finite and at least 1e-06; got 0"),
        ({"stiffness": math.nan}, "stiffness must be finite"),
        ({"banana": 1}, "its settings: control_points, widths, stiffness, seed"),
    ],
)
def test_settings_out_of_range_are_named(setting, message):
    points, weights = random_shape(0, dimension=3)
    with pytest.raises(ArgumentError, match=message):
        start_model("spline", points, weights, **setting)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"affine": None}, "must be a key of a JSON object; got None"),
        ({"widths": []}, "'widths' must be one or more positive numbers"),
        ({"widths": [0.1, 0]}, "'widths' must be one or more positive"),
        ({"widths": 0.1}, "'widths' must be a list of numbers; got 0.1"),
        ({"stiffness": -1}, "'stiffness' must be positive; got -1"),
        ({"stiffness": 1e-300}, "'stiffness' must be at least 1e-06"),
        ({"controls": []}, "'controls' must be a list of rows of 3 numbers; got a list of 0"),
        ({"coefficients": [[0.0, 0.0, 0.0]]}, "'coefficients' must be a list of 20 rows of 3 numbers; got a list of 1"),
    ],
)
def test_a_broken_dictionary_is_one_clear_line(change, message):
    data = bent()[0].to_dict()
    with pytest.raises(FormatError, match=message):
        model_from_dict(data | change)
    key = next(iter(change))
    with pytest.raises(FormatError, match=f"key '{key}' is missing"):
        model_from_dict({k: v for k, v in data.items() if k != key})
