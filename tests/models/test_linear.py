"""Rigid, similarity and affine models: exact fits, stationarity, degenerate clouds, warm starts."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.errors import ArgumentError, FormatError
from otreg.models import Affine, Rigid, Similarity, model_from_dict, start_model
from tests.models.generators import LINEAR, objective, random_linear, random_shape

SEEDS = st.integers(0, 2**31)
DIMENSIONS = st.sampled_from([2, 3])
EVERY_LINEAR = pytest.mark.parametrize("model", LINEAR, ids=lambda model: model.name)
EVERY_DIMENSION = pytest.mark.parametrize("dimension", [2, 3])


def assert_same_map(a, b, points, tolerance=1e-12):
    assert (a(points) - b(points)).abs().max() <= tolerance


def assert_rotation(matrix):
    assert torch.allclose(matrix @ matrix.T, torch.eye(len(matrix), dtype=torch.float64), rtol=0, atol=1e-12)
    assert torch.linalg.det(matrix) == pytest.approx(1, abs=1e-12)


@EVERY_LINEAR
@given(seed=SEEDS, dimension=DIMENSIONS)
@settings(max_examples=60, deadline=None)
def test_fit_recovers_a_known_map_from_anywhere(model, seed, dimension):
    points, weights = random_shape(seed, dimension=dimension)
    truth = random_linear(model, seed + 1, dimension=dimension)
    fitted = random_linear(model, seed + 2, dimension=dimension).fit(points, truth(points), weights)
    assert type(fitted) is model
    assert_same_map(fitted, truth, points, 1e-10)


@EVERY_LINEAR
@given(seed=SEEDS, dimension=DIMENSIONS)
@settings(max_examples=40, deadline=None)
def test_fit_is_a_minimum_of_its_objective(model, seed, dimension):
    points, weights = random_shape(seed, dimension=dimension)
    targets, _ = random_shape(seed + 1, dimension=dimension)
    fitted = random_linear(model, seed, dimension=dimension).fit(points, targets, weights)
    theta = fitted.parameters.requires_grad_()
    value = objective(fitted.with_parameters(theta), points, targets, weights)
    (gradient,) = torch.autograd.grad(value, theta)
    assert gradient.abs().max() < 1e-12
    rng = torch.Generator().manual_seed(seed)
    for size in (1e-3, 0.1, 1.0):
        step = size * torch.randn(len(theta), generator=rng, dtype=torch.float64)
        assert objective(fitted.with_parameters(step), points, targets, weights) >= value - 1e-14


@EVERY_LINEAR
def test_fit_ignores_the_sum_of_weights_and_points_of_weight_zero(model):
    points, weights = random_shape(0, dimension=3)
    targets, _ = random_shape(1, dimension=3)
    start = model.start(points, weights)
    targets_with_outlier, weights_with_zero = targets.clone(), weights.clone()
    targets_with_outlier[0], weights_with_zero[0] = 50.0, 0.0
    expected = start.fit(points[1:], targets[1:], weights[1:])
    assert_same_map(start.fit(points, targets_with_outlier, 1e-9 * weights_with_zero), expected, points)


@EVERY_LINEAR
def test_fit_with_all_weights_zero_returns_the_model_itself(model):
    points, weights = random_shape(0, dimension=3)
    start = random_linear(model, 0, dimension=3)
    assert start.fit(points, points + 1, 0 * weights) is start


@pytest.mark.parametrize("model", [Rigid, Similarity], ids=lambda model: model.name)
@EVERY_DIMENSION
@pytest.mark.parametrize("seed", range(20))
def test_fit_to_a_mirror_image_is_no_reflection(model, dimension, seed):
    points, weights = random_shape(seed, dimension=dimension)
    mirror = torch.ones(dimension, dtype=torch.float64)
    mirror[0] = -1
    fitted = model.start(points, weights).fit(points, points * mirror, weights)
    assert_rotation(fitted.matrix / (fitted.scale if model is Similarity else 1))


@pytest.mark.parametrize("model", [Rigid, Similarity], ids=lambda model: model.name)
@EVERY_DIMENSION
def test_fit_to_a_mirrored_square_stays_finite_and_proper(model, dimension):
    # Isotropic and mirrored: in the plane every rotation is as good, and no scale > 0 is best.
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64) / 3
    points = torch.nn.functional.pad(corners, (0, dimension - 2))
    targets = points.clone()
    targets[:, 0] *= -1
    fitted = model.start(points, torch.ones(4)).fit(points, targets, torch.ones(4))
    assert torch.linalg.det(fitted.matrix) > 0.1
    if dimension == 2:
        assert_same_map(fitted, model.start(points, torch.ones(4)), points)


@EVERY_LINEAR
@EVERY_DIMENSION
@pytest.mark.parametrize("at_origin", [True, False])
def test_fit_of_a_single_point_only_translates(model, dimension, at_origin):
    before = random_linear(model, 5, dimension=dimension)
    point = torch.zeros(1, dimension, dtype=torch.float64) if at_origin else torch.full((1, dimension), 0.1).double()
    points, target = point.expand(7, -1), point + 0.7
    # Targets that disagree: round-off of the mean must not be taken for a direction of the source.
    spread = torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]
    fitted = before.fit(points, target + spread, torch.ones(7))
    assert torch.equal(fitted.matrix, before.matrix)
    assert (fitted(point) - target).abs().max() < 1e-12


@pytest.mark.parametrize("model", [Rigid, Similarity], ids=lambda model: model.name)
@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_fit_of_a_line_turns_it_without_spinning_about_it(model, seed):
    # A line bent by a small angle: of all rotations that achieve it, the nearest is the one without spin.
    rng = torch.Generator().manual_seed(seed)
    axis, side, offset = torch.linalg.qr(torch.randn(3, 3, generator=rng, dtype=torch.float64))[0]
    points = torch.linspace(-0.5, 0.5, 9, dtype=torch.float64)[:, None] * axis + offset
    angle = 0.3
    turned = math.cos(angle) * axis + math.sin(angle) * side
    targets = torch.linspace(-0.5, 0.5, 9, dtype=torch.float64)[:, None] * turned
    fitted = model.start(points, torch.ones(9)).fit(points, targets, torch.ones(9))
    assert (fitted(points) - targets).abs().max() < 1e-11
    assert_rotation(fitted.matrix)
    cosine = (fitted.matrix.trace() - 1) / 2
    assert math.acos(float(cosine.clamp(-1, 1))) == pytest.approx(angle, abs=1e-6)


@EVERY_LINEAR
@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_fit_of_a_planar_cloud_recovers_the_map_on_its_plane(model, seed):
    points, weights = random_shape(seed, dimension=3)
    rotation = random_linear(Rigid, seed + 3, dimension=3).matrix
    points[:, 2] = 0.4
    points = points @ rotation.T
    truth = random_linear(model, seed + 1, dimension=3)
    before = random_linear(model, seed + 2, dimension=3)
    fitted = before.fit(points, truth(points), weights)
    assert_same_map(fitted, truth, points, 1e-9)
    if model is Affine:  # nothing was asked along the plane's normal, so the matrix acts on it as before
        normal = rotation[:, 2]
        assert (fitted.matrix @ normal - before.matrix @ normal).abs().max() < 1e-9


def test_affine_fit_of_a_line_changes_the_matrix_along_it_only():
    axis = torch.tensor([2.0, -1, 2], dtype=torch.float64) / 3
    points = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None] * axis
    before = random_linear(Affine, 1, dimension=3)
    fitted = before.fit(points, 2 * points, torch.ones(5))
    assert (fitted(points) - 2 * points).abs().max() < 1e-12
    across = torch.linalg.qr(torch.stack([axis, axis.roll(1)], 1))[0][:, 1]
    assert (fitted.matrix @ across - before.matrix @ across).abs().max() < 1e-12


def test_similarity_keeps_its_scale_when_all_targets_are_equal():
    points, weights = random_shape(0, dimension=3)
    before = random_linear(Similarity, 0, dimension=3)
    fitted = before.fit(points, torch.full_like(points, 0.3), weights)
    assert fitted.scale == pytest.approx(float(before.scale), rel=1e-12)
    assert (fitted.start(points, weights).pivot - points.T @ weights / weights.sum()).abs().max() < 1e-15


@EVERY_LINEAR
def test_parameters_zero_are_the_model_itself(model):
    before = random_linear(model, 3, dimension=3)
    after = before.with_parameters(before.parameters)
    assert torch.equal(after.matrix, before.matrix) and torch.equal(after.translation, before.translation)


@EVERY_LINEAR
@EVERY_DIMENSION
def test_gradients_in_parameters_and_points_agree_with_differences(model, dimension):
    points, _ = random_shape(0, dimension=dimension, n=5)
    before = random_linear(model, 1, dimension=dimension)
    for theta in (before.parameters, 0.3 * torch.ones_like(before.parameters)):
        assert torch.autograd.gradcheck(
            lambda t, x: before.with_parameters(t)(x), (theta.requires_grad_(), points.clone().requires_grad_())
        )


@EVERY_LINEAR
@EVERY_DIMENSION
def test_unit_parameters_move_a_shape_by_about_one_unit(model, dimension):
    points, weights = random_shape(0, dimension=dimension, n=400)
    points = (points - points.mean(0)) / (points.max(0).values - points.min(0).values).norm()
    start = model.start(points, weights)
    for unit in torch.eye(start.parameter_count, dtype=torch.float64):
        assert (start.with_parameters(unit)(points) - points).norm(dim=1).max() <= 1.2


def test_lbfgs_finds_the_closed_form_of_the_similarity():
    points, weights = random_shape(2, dimension=3)
    targets = random_linear(Similarity, 9, dimension=3)(points) + 0.05 * random_shape(4, dimension=3)[0]
    start = Similarity.start(points, weights)
    theta = start.parameters.requires_grad_()
    optimiser = torch.optim.LBFGS(
        [theta], max_iter=200, tolerance_grad=1e-10, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        value = objective(start.with_parameters(theta), points, targets, weights)
        value.backward()
        return value

    optimiser.step(closure)
    with torch.no_grad():
        assert_same_map(start.with_parameters(theta), start.fit(points, targets, weights), points, 1e-6)


@EVERY_LINEAR
@EVERY_DIMENSION
def test_round_trip_through_json_is_exact(model, dimension):
    before = random_linear(model, 11, dimension=dimension)
    after = model_from_dict(json.loads(json.dumps(before.to_dict())))
    assert type(after) is model
    for name in ("pivot", "matrix", "translation"):
        assert torch.equal(getattr(after, name), getattr(before, name))


@EVERY_LINEAR
@EVERY_DIMENSION
def test_linear_and_jacobian_agree_with_the_map(model, dimension):
    points, _ = random_shape(0, dimension=dimension)
    truth = random_linear(model, 1, dimension=dimension)
    matrix, offset = truth.linear()
    assert (points @ matrix.T + offset - truth(points)).abs().max() < 1e-14
    assert torch.equal(truth.jacobian(points), matrix.expand(len(points), dimension, dimension))


@EVERY_LINEAR
@EVERY_DIMENSION
def test_inverse_undoes_the_map_and_stays_in_its_class(model, dimension):
    points, _ = random_shape(0, dimension=dimension)
    truth = random_linear(model, 1, dimension=dimension)
    inverse = truth.inverse()
    assert type(inverse) is model
    assert (inverse(truth(points)) - points).abs().max() < 1e-12
    sources, residual = truth.inverse_points(truth(points), 1e-9)
    assert (sources - points).abs().max() < 1e-12 and residual.max() < 1e-12


@pytest.mark.parametrize("matrix", [torch.diag(torch.tensor([1.0, 2, 0])), torch.zeros(3, 3)])
def test_a_flat_affine_map_has_no_inverse(matrix):
    flat = replace(random_linear(Affine, 1, dimension=3), matrix=matrix.double())
    with pytest.raises(ArgumentError, match="full rank 3"):
        flat.inverse_points(torch.zeros(1, 3).double())


def test_warm_starts_along_the_chain_keep_the_map():
    points, weights = random_shape(0, dimension=3)
    rigid = random_linear(Rigid, 1, dimension=3)
    similarity = Similarity.start(points, weights, previous=rigid)
    affine = Affine.start(points, weights, previous=similarity)
    again = Affine.start(points + 1, weights, previous=affine)
    for model in (similarity, affine, again):
        assert_same_map(model, rigid, points, 1e-14)
    assert (affine.pivot - weights @ points / weights.sum()).abs().max() < 1e-15


@pytest.mark.parametrize(("model", "previous"), [(Rigid, Similarity), (Rigid, Affine), (Similarity, Affine)])
def test_starting_from_a_more_general_model_names_the_order(model, previous):
    points, weights = random_shape(0, dimension=3)
    with pytest.raises(ArgumentError, match="order them rigid, similarity, affine, spline"):
        model.start(points, weights, previous=random_linear(previous, 0, dimension=3))


def test_start_model_knows_names_and_settings():
    points, weights = random_shape(0, dimension=2)
    assert type(start_model("affine", points, weights)) is Affine
    with pytest.raises(ArgumentError, match="one of rigid, similarity, affine, spline"):
        start_model("banana", points, weights)
    with pytest.raises(ArgumentError, match="'rigid' has no setting 'stiffness'; its settings: none"):
        start_model("rigid", points, weights, stiffness=1.0)


def test_fit_refuses_what_does_not_match_or_is_not_finite():
    points, weights = random_shape(0, dimension=3)
    model = Rigid.start(points, weights)
    with pytest.raises(ArgumentError, match=r"got \(40, 3\), \(39, 3\)"):
        model.fit(points, points[1:], weights)
    with pytest.raises(ArgumentError, match=r"\(n, 3\) for this model; got shape \(40, 2\)"):
        model.fit(points[:, :2], points, weights)
    for bad in (float("nan"), float("inf")):
        broken = points.clone()
        broken[3, 1] = bad
        with pytest.raises(ArgumentError, match="finite"):
            model.fit(broken, points, weights)
        with pytest.raises(ArgumentError, match="finite"):
            model.fit(points, broken, weights)
    for bad in (float("nan"), -1.0):
        broken = weights.clone()
        broken[3] = bad
        with pytest.raises(ArgumentError, match="weights >= 0"):
            model.fit(points, points, broken)
    with pytest.raises(ArgumentError, match="n >= 1"):
        Rigid.start(points[:0], weights[:0])


RIGID = {"name": "rigid", "pivot": [0.0, 0.0], "matrix": [[1.0, 0.0], [0.0, 1.0]], "translation": [0.0, 0.0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "banana"}, "one of rigid, similarity, affine, spline, tps; got 'banana'"),
        ({"name": 3}, "one of rigid"),
        ({"pivot": [0.0]}, "2 or 3 coordinates; got 1"),
        ({"pivot": "abc"}, "'pivot' must be a list of numbers; got 'abc'"),
        ({"translation": [0.0, 0.0, 0.0]}, "'translation' must be a list of 2 numbers; got a list of 3"),
        ({"translation": [0.0, None]}, r"'translation\[1\]' must be a finite number; got None"),
        ({"translation": [0.0, True]}, "finite number; got True"),
        ({"translation": [0.0, math.nan]}, "finite number; got nan"),
        ({"translation": [0.0, 10**400]}, "finite number; got 1000"),
        ({"matrix": [[1.0, 0.0]]}, "'matrix' must be a list of 2 rows of 2 numbers; got a list of 1"),
        ({"matrix": [[1.0, 0.0], 3]}, r"'matrix\[1\]' must be a list of 2 numbers; got 3"),
        ({"matrix": [[1.0, 0.0], [0.0, -1.0]]}, "rotation with determinant"),
        ({"matrix": [[1.0, 0.1], [0.0, 1.0]]}, "rotation with determinant"),
        ({"matrix": [[1e308, 0.0], [0.0, 1e308]]}, "rotation with determinant"),
        ({"name": "similarity", "matrix": [[0.0, 0.0], [0.0, 0.0]]}, "positive scale"),
        ({"name": "similarity", "matrix": [[1e308, 0.0], [0.0, 1e308]]}, "positive scale; got inf"),
        ({"name": "similarity", "matrix": [[2.0, 0.0], [0.0, -2.0]]}, "rotation with determinant"),
    ],
)
def test_a_broken_dictionary_is_one_clear_line(change, message):
    model_from_dict(RIGID)
    with pytest.raises(FormatError, match=message) as caught:
        model_from_dict(RIGID | change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", list(RIGID))
def test_a_missing_key_is_named(key):
    with pytest.raises(FormatError, match=f"'{key}' is missing"):
        model_from_dict({k: v for k, v in RIGID.items() if k != key})


@pytest.mark.parametrize("data", [None, 3, [1], "text"])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(FormatError, match="JSON object"):
        model_from_dict(data)
