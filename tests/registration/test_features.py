"""Features: normals tell the sides of thin shapes apart and turn with the model, labels tell parts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from otreg.measures import Frame, Measure
from otreg.models import start_model
from otreg.registration import RegistrationSettings, register
from otreg.registration.cells import Cells
from otreg.registration.levels import Level, TargetLevel
from otreg.registration.turning import turned

from .shapes import rms, rotation

pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")

BLUR, LENGTH = 0.02, 0.1


def disc(n, thickness, seed):
    """Points of the two sides of a thin round plate that curves like a bowl, and the unit normals of its sides."""
    rng = np.random.default_rng(seed)
    k = np.arange(n // 2) + 0.5
    turn = rng.uniform(0, 2 * np.pi)
    radius, angle = np.sqrt(k / (n // 2)), np.pi * (1 + 5**0.5) * k + turn
    flat = np.stack([radius * np.cos(angle), 0.7 * radius * np.sin(angle)], axis=1)
    height = 0.3 * flat[:, 0] ** 2 + 0.1 * flat[:, 0] * flat[:, 1] + 0.1 * flat[:, 0]
    slope = np.stack([0.6 * flat[:, 0] + 0.1 * flat[:, 1] + 0.1, 0.1 * flat[:, 0]], axis=1)
    up = np.concatenate([-slope, np.ones((n // 2, 1))], axis=1)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    middle = np.concatenate([flat, height[:, None]], axis=1)
    points = np.concatenate([middle + thickness / 2 * up, middle - thickness / 2 * up])
    return points, np.concatenate([up, -up])


def sheets(*, shift, thickness=0.12, n=2400, m=2200):
    """A plate and the same one moved along its thickness, in the frame of the second, with normals as features."""
    (points, normals), (there, there_normals) = disc(n, thickness, 0), disc(m, thickness, 1)
    there = there + np.array([0, 0, shift])
    frame = Frame.of(there)
    scale = LENGTH / 2**0.5
    source = Measure(
        torch.from_numpy(frame.to_frame(points)),
        torch.full((n,), 1 / n, dtype=torch.float64),
        torch.from_numpy(scale * normals),
    )
    target = Measure(
        torch.from_numpy(frame.to_frame(there)),
        torch.full((m,), 1 / m, dtype=torch.float64),
        torch.from_numpy(scale * there_normals),
    )
    return source, target, frame.to_frame(points + np.array([0, 0, shift]))


def bare(measure):
    return replace(measure, features=None)


def solve(source, target, **settings):
    settings = {"blur": BLUR, "init": "none", "turning_features": source.features is not None, **settings}
    return register(source, target, RegistrationSettings(**settings))


def off(registration, source, truth):
    return rms(registration.model(source.points).numpy() - truth)


def test_normals_turn_like_the_surface():
    generator = torch.Generator().manual_seed(0)
    for d in (2, 3):
        jacobians = torch.randn(20, d, d, dtype=torch.float64, generator=generator)
        normals = torch.randn(20, d, dtype=torch.float64, generator=generator)
        after = turned(normals, jacobians)
        expected = torch.linalg.det(jacobians)[:, None] * torch.einsum(
            "nba,nb->na", torch.linalg.inv(jacobians), normals
        )
        cosine = (after * expected).sum(1) / after.norm(dim=1) / expected.norm(dim=1)
        assert (cosine - 1).abs().max() < 1e-9
        assert (after.norm(dim=1) - normals.norm(dim=1)).abs().max() < 1e-12
    assert turned(torch.ones(1, 3), torch.zeros(1, 3, 3)).tolist() == [[0, 0, 0]]


def test_the_features_of_a_level_turn_with_the_model_and_labels_do_not():
    source, target, _ = sheets(shift=0.0)
    around = torch.from_numpy(rotation(70, 3, seed=1))
    model = start_model("rigid", source.points, source.weights)
    turned_model = model.with_map(around, torch.zeros(3, dtype=torch.float64))
    there = TargetLevel(Cells(target, blur=0.1), blur=0.1, reach=0.3, reduction="auto")
    moved = {}
    for turning in (True, False):
        level = Level(Cells(source, blur=0.1), there, model, turning=turning)
        before = level.measure(model, model(level.points)).features
        after = level.measure(turned_model, turned_model(level.points)).features
        expected = before @ around.T if turning else before
        assert (after - expected).abs().max() < 1e-12
        moved[turning] = after
    assert (moved[True] - moved[False]).abs().max() > 0.01


@pytest.mark.parametrize("models", [("rigid",), ("similarity", "affine"), ("spline",)])
@pytest.mark.parametrize("upper", [True, False])
def test_one_side_of_a_thin_plate_finds_the_side_that_its_normals_show(models, upper):
    # By place alone both sides of the target draw it, a fortieth of the diagonal apart, and it ends between them.
    source, target, truth = sheets(shift=0.06, thickness=0.06, n=1000, m=900)
    half = len(source) // 2
    rows = slice(0, half) if upper else slice(half, None)
    side = Measure(source.points[rows], source.weights[rows], source.features[rows])
    settings = {"models": models, "control_points": 30, "stiffness": 0.02}
    with_normals, without = solve(side, target, **settings), solve(bare(side), bare(target), **settings)
    assert off(with_normals, side, truth[rows]) < 0.2 * BLUR
    assert off(without, side, truth[rows]) > 0.5 * BLUR


def test_the_first_order_optimisers_follow_normals_by_their_gradient():
    source, target, truth = sheets(shift=0.06, thickness=0.06, n=900, m=800)
    half = len(source) // 2
    side = Measure(source.points[:half], source.weights[:half], source.features[:half])
    found = solve(side, target, optimizer="lbfgs", reach=0.05)
    assert off(found, side, truth[:half]) < 0.1 * BLUR


def test_the_gradient_of_the_loss_is_that_of_turning_normals():
    source, target, _ = sheets(shift=0.05, n=120, m=110)
    model = start_model("affine", source.points, source.weights)
    there = TargetLevel(Cells(target, blur=0.1), blur=0.1, reach=0.3, reduction="dense")
    level = Level(Cells(source, blur=0.1), there, model, turning=True)
    theta = model.parameters.requires_grad_()
    level.differentiable_loss(model.with_parameters(theta), level.warm_solver()).backward()
    step = 1e-4
    for k in range(0, len(theta), 5):
        shifts = [step * sign * torch.eye(len(theta), dtype=torch.float64)[k] for sign in (1, -1)]
        up, down = (level.evaluate(model.with_parameters(shift), None).loss for shift in shifts)
        # The transports converge to 3e-3 of the mass, which leaves the differences with three digits.
        assert float(theta.grad[k]) == pytest.approx((up - down) / (2 * step), rel=0.02, abs=1e-5)


def test_the_cells_of_a_shape_do_not_depend_on_the_pose_that_it_comes_in():
    source, target, _ = sheets(shift=0.05, n=8000)
    goal = TargetLevel(Cells(target, blur=0.05), blur=0.05, reach=0.3, reduction="auto")
    turn = torch.from_numpy(rotation(115.0, 3))
    elsewhere = Measure(source.points @ turn.T, source.weights, source.features @ turn.T)
    still = start_model("rigid", source.points, source.weights)
    back = still.fit(elsewhere.points, source.points, source.weights)
    cells = []
    for measure, model in ((source, still), (elsewhere, back)):
        level = Level(Cells(measure, blur=0.05), goal, model, turning=True)
        cells.append(level.measure(model, model(level.points)))
    one, other = cells
    assert len(one) == len(other) < len(source)
    assert (one.points - other.points).abs().max() < 1e-9
    assert (one.features - other.features).abs().max() < 1e-9


def test_a_border_that_only_labels_show_is_moved():
    # A bar whose left part ends in the middle, and the same bar with a longer left part.
    rng = np.random.default_rng(0)
    bar = rng.random((1500, 3)) * [1.0, 0.2, 0.2]
    there = rng.random((1400, 3)) * [1.0, 0.2, 0.2]
    frame = Frame.of(there)

    def measure(points, border):
        left = points[:, 0] < border
        parts = LENGTH / 2**0.5 * np.stack([left, ~left], axis=1)
        weights = torch.full((len(points),), 1 / len(points), dtype=torch.float64)
        return Measure(torch.from_numpy(frame.to_frame(points)), weights, torch.from_numpy(parts))

    source, target = measure(bar, 0.5), measure(there, 0.6)
    settings = {
        "models": ("spline",),
        "control_points": 60,
        "stiffness": 0.005,
        "reach": 0.1,
        "turning_features": False,
    }
    near = np.abs(bar[:, 0] - 0.5) < 0.03
    border = {}
    for name, pair in {"labels": (source, target), "none": (bare(source), bare(target))}.items():
        moved = frame.to_file(solve(*pair, **settings).model(source.points).numpy())
        border[name] = moved[near, 0].mean()
    assert border["labels"] == pytest.approx(0.6, abs=0.5 * BLUR)
    assert border["none"] < 0.54


@pytest.mark.parametrize("models", [("rigid",), ("affine", "spline")])
def test_turning_both_shapes_with_their_normals_turns_the_answer(models):
    source, target, _ = sheets(shift=0.08, n=800, m=700)
    around = torch.from_numpy(rotation(115, 3, seed=6))

    def moved(measure):
        return Measure(measure.points @ around.T, measure.weights, measure.features @ around.T)

    settings = {"models": models, "control_points": 50, "stiffness": 0.02}
    plain, rotated = solve(source, target, **settings), solve(moved(source), moved(target), **settings)
    difference = rotated.model(source.points @ around.T) - plain.model(source.points) @ around.T
    # The grid of cells turns as well: a tenth of the blur is what another one changes.
    assert rms(difference.numpy()) < 0.1 * BLUR


def test_a_search_with_normals_finds_the_pose():
    source, target, _ = sheets(shift=0.0, n=1200, m=1100)

    def cut(measure):
        # Without this corner half a turn would fit nearly as well.
        kept = measure.points[:, 0] + 0.5 * measure.points[:, 1] < 0.2
        weights = measure.weights[kept]
        return Measure(measure.points[kept], weights / weights.sum(), measure.features[kept])

    source, target = cut(source), cut(target)
    around = torch.from_numpy(rotation(150, 3, seed=8))
    turned_source = Measure(source.points @ around, source.weights, source.features @ around)
    found = solve(turned_source, target, init="search")
    assert rms((found.model(turned_source.points) - source.points).numpy()) < 0.3 * BLUR
