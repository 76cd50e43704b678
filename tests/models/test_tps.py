"""Thin-plate splines: against SciPy's, their energy, and what every model can do."""

from __future__ import annotations

import json

import pytest
import torch
from scipy.interpolate import RBFInterpolator

from otreg.errors import ArgumentError, FormatError
from otreg.models import Affine, Similarity, Spline, ThinPlateSpline, model_from_dict, start_model
from otreg.models.basis import KernelBasis
from otreg.models.thin_plate import ThinPlate
from tests.models.generators import LINEAR, random_linear, random_shape

EVERY_DIMENSION = pytest.mark.parametrize("dimension", [2, 3])
# The kernel over SciPy's r^2 log r and -r, for widths of one.
FACTORS = {2: 0.25, 3: 0.8308}


def bent(dimension=3, *, n=60, control_points=20, stiffness=0.01):
    """A thin-plate spline with a bend and an affine part that are not trivial, and the points it was made on."""
    points, weights = random_shape(0, dimension=dimension, n=n)
    targets = random_linear(Affine, 0, dimension=dimension)(points) + 0.1 * torch.sin(8 * points)
    start = ThinPlateSpline.start(points, weights, control_points=control_points, stiffness=stiffness)
    return start.fit(points, targets, weights), points


@EVERY_DIMENSION
@pytest.mark.parametrize("stiffness", [0.003, 0.1])
def test_smoothing_through_all_points_is_scipys(dimension, stiffness):
    points, _ = random_shape(1, dimension=dimension, n=50)
    targets, elsewhere = points + 0.1 * torch.sin(8 * points), random_shape(2, dimension=dimension, n=30)[0]
    start = ThinPlateSpline.start(points, torch.ones(50), control_points=50, stiffness=stiffness)
    fitted = start.fit(points, targets, torch.ones(50))
    factor = FACTORS[dimension] / start.width ** (4 - dimension)
    reference = RBFInterpolator(
        points.numpy(),
        targets.numpy(),
        kernel="thin_plate_spline" if dimension == 2 else "linear",
        degree=1,
        smoothing=50 * stiffness**2 / factor,
    )
    difference = fitted(elsewhere).numpy() - reference(elsewhere.numpy())
    assert abs(difference).max() < 1e-4 * abs(targets - points).max()


@EVERY_DIMENSION
def test_the_least_stiffness_interpolates_landmarks(dimension):
    points, _ = random_shape(1, dimension=dimension, n=12)
    targets = points + 0.1 * torch.sin(8 * points)
    start = ThinPlateSpline.start(points, torch.ones(12), control_points=12, stiffness=1e-6)
    assert (start.fit(points, targets, torch.ones(12))(points) - targets).abs().max() < 1e-7


@pytest.mark.parametrize(("dimension", "count"), [(2, 21), (3, 9)])
def test_a_gaussian_bump_of_height_one_has_norm_one(dimension, count):
    width = 0.3
    axis = torch.linspace(-3.5 * width, 3.5 * width, count, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * dimension)
    basis = KernelBasis(grid, ThinPlate(width))
    bump = torch.exp(-grid.square().sum(1) / (2 * width**2))[:, None]
    design = torch.cat([basis.features(grid), torch.ones(len(grid), 1), grid], 1)
    z = torch.linalg.solve(design.T @ design + 1e-10 * torch.eye(design.shape[1]), design.T @ bump)[: basis.rank]
    # What interpolates the bump bends less than the bump itself, and the less so the denser the grid is.
    assert 0.8 < z.square().sum() <= 1.0


@EVERY_DIMENSION
def test_the_cheapest_bumps_of_both_splines_cost_about_the_same(dimension):
    points, weights = random_shape(0, dimension=dimension, n=200)
    targets = points.clone()
    targets[:, 0] += 0.05 * torch.exp(-(points - points.mean(0)).square().sum(1) / (2 * 0.2**2))
    penalties = []
    for model in (Spline, ThinPlateSpline):
        start = model.start(points, weights, control_points=100, stiffness=1e-3)
        penalties.append(float(start.fit(points, targets, weights).penalty()))
    assert 0.2 < penalties[0] / penalties[1] < 5


@EVERY_DIMENSION
def test_fit_reproduces_affine_maps_without_any_penalty(dimension):
    points, weights = random_shape(3, dimension=dimension)
    truth = random_linear(Affine, 3, dimension=dimension)
    fitted = ThinPlateSpline.start(points, weights, control_points=20).fit(points, truth(points), weights)
    assert fitted.penalty() < 1e-20
    elsewhere = random_shape(4, dimension=dimension)[0]
    assert (fitted(elsewhere) - truth(elsewhere)).abs().max() < 1e-8


@pytest.mark.parametrize("kind", ["planar", "collinear", "single"])
def test_fit_of_a_degenerate_cloud_is_finite_and_keeps_the_affine_part_across_it(kind):
    points, weights = random_shape(0, dimension=3)
    flat = {"planar": 2, "collinear": 1, "single": 0}[kind]
    points[:, flat:] = 0.25
    previous = random_linear(Affine, 1, dimension=3)
    start = ThinPlateSpline.start(points, weights, previous=previous, control_points=15)
    fitted = start.fit(points, previous(points) + 0.05 * torch.sin(9 * points), weights)
    assert (fitted.affine.matrix - previous.matrix)[:, flat:].abs().max() < 1e-12
    assert torch.isfinite(fitted(random_shape(3, dimension=3)[0])).all()
    assert torch.isfinite(fitted.jacobian(points)).all()


@pytest.mark.parametrize("model", LINEAR, ids=lambda model: model.name)
def test_warm_start_from_a_linear_model_keeps_the_map(model):
    points, weights = random_shape(0, dimension=3)
    previous = random_linear(model, 1, dimension=3)
    started = start_model("tps", points, weights, previous=previous, control_points=10)
    assert (started(points) - previous(points)).abs().max() < 1e-14
    assert started.penalty() == 0


def test_a_source_in_other_units_bends_the_same_way_after_a_similarity():
    points, weights = random_shape(0, dimension=3)
    targets = points + 0.1 * torch.sin(8 * points)
    to_metres = Similarity(torch.zeros(3).double(), torch.eye(3).double() / 1000, torch.zeros(3).double())
    in_metres = ThinPlateSpline.start(points, weights, control_points=12).fit(points, targets, weights)
    in_millimetres = ThinPlateSpline.start(1000 * points, weights, previous=to_metres, control_points=12).fit(
        1000 * points, targets, weights
    )
    assert (in_millimetres(1000 * points) - in_metres(points)).abs().max() < 1e-9
    assert in_millimetres.penalty() == pytest.approx(float(in_metres.penalty()), rel=1e-6)


def test_one_spline_cannot_start_from_another():
    fitted, points = bent()
    with pytest.raises(ArgumentError, match="a spline model cannot start from a tps one"):
        Spline.start(points, torch.ones(60), previous=fitted)


@EVERY_DIMENSION
def test_gradients_in_parameters_and_points_agree_with_differences(dimension):
    fitted, points = bent(dimension, control_points=8)
    theta = 0.1 * torch.ones_like(fitted.parameters)
    # Off the control points, where the kernel of space has a cone.
    inputs = (theta.requires_grad_(), (points[:5] + 0.013).requires_grad_())
    assert torch.autograd.gradcheck(lambda t, x: fitted.with_parameters(t)(x), inputs)
    assert torch.autograd.gradcheck(lambda t: fitted.with_parameters(t).penalty(), inputs[:1])


@EVERY_DIMENSION
def test_jacobian_is_that_of_differences(dimension):
    fitted, points = bent(dimension)
    points, step = points + 0.013, 1e-6
    for axis in range(dimension):
        shift = step * torch.eye(dimension, dtype=torch.float64)[axis]
        difference = (fitted(points + shift) - fitted(points - shift)) / (2 * step)
        assert (fitted.jacobian(points)[:, :, axis] - difference).abs().max() < 1e-6


@EVERY_DIMENSION
def test_inverse_points_come_back(dimension):
    points, weights = random_shape(0, dimension=dimension, n=60)
    targets = points + 0.03 * torch.sin(4 * points)
    fitted = ThinPlateSpline.start(points, weights, control_points=20).fit(points, targets, weights)
    sources, residual = fitted.inverse_points(fitted(points), 1e-10)
    assert residual.max() <= 1e-10
    assert (sources - points).abs().max() < 1e-8


@EVERY_DIMENSION
def test_round_trip_through_json_is_exact(dimension):
    fitted, points = bent(dimension)
    after = model_from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert torch.equal(after(points), fitted(points))
    assert after.to_dict() == fitted.to_dict()
    assert after.penalty() == fitted.penalty()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"width": 0}, "'width' must be positive; got 0"), ({"controls": []}, "'controls' must be a list of rows")],
)
def test_a_broken_dictionary_is_one_clear_line(change, message):
    with pytest.raises(FormatError, match=message):
        model_from_dict(bent()[0].to_dict() | change)
