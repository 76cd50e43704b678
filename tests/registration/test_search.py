"""Any orientation and place of the source is found, the same way every time, and symmetric shapes are reported."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from otreg.measures import Measure
from otreg.models import start_model
from otreg.models.linear import LinearModel
from otreg.registration import RegistrationSettings, register
from otreg.registration.alignment import shape_metric, small_motion
from otreg.registration.coarse import CoarseProblem, Poses, coarse_cells, fine_cells
from otreg.registration.cover import angles, cover, principal_rotations
from otreg.registration.result import SearchReport
from otreg.registration.rounds import ROUNDS, worth_a_step
from otreg.registration.search import search
from otreg.transport import Sinkhorn

from .shapes import CURVES, SHAPES, linear, pair, paired, rms, rotation, sample, sphere

BLUR = 0.02


def uniform(points: np.ndarray) -> Measure:
    n = len(points)
    return Measure(torch.from_numpy(points), torch.full((n,), 1 / n, dtype=torch.float64))


def random_rotation(d: int, seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    return q


def dimension(name: str) -> int:
    return sample(name, 3)[0].shape[1]


def error_of(known, **settings):
    registration = register(known.source, known.target, RegistrationSettings(**{"blur": BLUR, **settings}))
    return registration, rms(registration.model(known.source.points).numpy() - known.truth)


def recovers(name, seed, models, scale=1.0):
    motion = linear(scale * random_rotation(dimension(name), seed), shift=3.0)
    registration, error = error_of(pair(name, motion, n=800, m=700, seed=seed + 1), models=models)
    assert error < 0.15 * BLUR
    assert registration.search is not None and registration.search.warnings == ()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", SHAPES)
def test_a_rigid_motion_is_found_from_any_pose(name, seed):
    recovers(name, seed, ("rigid",))


@pytest.mark.parametrize("scale", [0.2, 4.0])
@pytest.mark.parametrize("name", ["potato", "leaf"])
def test_a_similarity_is_found_from_any_pose_and_size(name, scale):
    recovers(name, 3, ("similarity",), scale)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 30))
@pytest.mark.parametrize("name", SHAPES)
def test_rigid_motions_are_found_from_many_poses(name, seed):
    recovers(name, seed, ("rigid",))


def ellipsoid(n, seed=0):
    axes = np.array([1.0, 0.7, 0.4])
    directions = sphere(n, seed)
    weights = np.linalg.norm(directions / axes, axis=1)  # area around each sample, up to a factor
    return directions * axes, weights / weights.sum()


def test_a_symmetric_shape_is_reported_as_ambiguous():
    (points, weights), (there, there_weights) = ellipsoid(800), ellipsoid(700, seed=2)
    motion = linear(rotation(20, 3, seed=1), 0.3)
    known = paired(points, weights, motion(there), there_weights, truth=motion(points))
    registration, error = error_of(known)
    assert registration.search is not None and registration.search.ambiguous
    assert registration.search.degrees == pytest.approx(180, abs=5)
    [warning] = registration.search.warnings
    assert "ambiguous" in warning and "180 degrees" in warning and "--init none" in warning
    # Of the poses that fit as well, the one that turns the source least.
    assert error < 0.15 * BLUR


@pytest.mark.parametrize("models", [("rigid",), ("similarity", "spline")])
@pytest.mark.parametrize("name", CURVES)  # the surfaces are too round to differ from their mirror images by much
def test_the_mirror_image_of_a_shape_is_noticed(name, models):
    known = pair(name, linear(random_rotation(dimension(name), 5), 1.0), n=800, m=700, seed=2)
    flip = torch.ones(dimension(name), dtype=torch.float64)
    flip[-1] = -1
    left = replace(known, source=replace(known.source, points=known.source.points * flip))
    registration, _ = error_of(left, models=models, blur=0.1)
    assert registration.search is not None and registration.search.mirrored
    assert "the mirror image" in registration.search.warnings[-1] and "otreg apply" in registration.search.warnings[-1]


def test_two_searches_give_the_same_bits():
    known = pair("potato", linear(random_rotation(3, 5), 1.0), n=800, m=700, seed=2)
    first, second = (error_of(known)[0] for _ in range(2))
    assert (first.model.matrix == second.model.matrix).all()
    assert first.search.score == second.search.score and first.search.runner_up == second.search.runner_up


def test_without_a_search_a_source_upside_down_stays_so_and_with_one_it_does_not():
    known = pair("potato", linear(rotation(180, 3, seed=1)), n=800, m=700, seed=2)
    registration, stuck = error_of(known, init="none")
    assert registration.search is None
    assert stuck > 5 * BLUR
    registration, found = error_of(known, init="search")
    assert found < 0.15 * BLUR and registration.search.starts > 500


def test_centroid_lays_mean_on_mean_and_leaves_the_rest_to_the_model():
    known = pair("potato", linear(rotation(20, 3, seed=1), 40.0), n=800, m=700, seed=2)
    registration, error = error_of(known, init="centroid")
    assert registration.search is None
    assert error < 0.15 * BLUR
    first = error_of(known, init="centroid", iterations=1, blur=0.1)[0].stages[0].steps[0]
    assert first.move < 0.5  # the forty diagonals are gone before the first step


def test_a_given_start_replaces_the_search():
    known = pair("potato", linear(rotation(170, 3, seed=1), 2.0), n=800, m=700, seed=2)
    rough = rotation(10, 3, seed=7) @ rotation(170, 3, seed=1)
    start = start_model("rigid", known.source.points, known.source.weights)
    assert isinstance(start, LinearModel)
    start = start.with_map(torch.from_numpy(rough), torch.from_numpy(rough @ np.zeros(3)))
    registration = register(known.source, known.target, RegistrationSettings(blur=BLUR), start=start)
    assert registration.search is None
    assert rms(registration.model(known.source.points).numpy() - known.truth) < 0.15 * BLUR


def test_only_poses_are_searched_for_unless_asked_otherwise():
    known = pair("potato", linear(np.eye(3)), n=400)
    assert error_of(known, models=("affine",))[0].search is None
    assert error_of(known, models=("similarity", "affine"))[0].search is not None


@pytest.mark.parametrize(("d", "count", "radius"), [(3, 512, 26), (2, 64, 3)])
def test_the_cover_leaves_no_rotation_far_from_a_start(d, count, radius):
    starts = cover(d, count)
    assert torch.allclose(starts @ starts.mT, torch.eye(d, dtype=torch.float64).expand(count, d, d), atol=1e-12)
    assert torch.allclose(torch.linalg.det(starts), torch.ones(count, dtype=torch.float64))
    others = torch.from_numpy(np.stack([random_rotation(d, seed) for seed in range(500)]))
    nearest = torch.stack([angles(starts, other).min() for other in others])
    assert nearest.max() < radius


@pytest.mark.parametrize("d", [2, 3])
def test_angles_are_those_of_the_rotations(d):
    for degrees in (1.0, 60.0, 179.0):
        turned = torch.from_numpy(2.5 * rotation(degrees, d, seed=3))
        assert float(angles(turned, torch.eye(d, dtype=torch.float64))) == pytest.approx(degrees, abs=1e-6)


def test_principal_axes_of_a_turned_shape_give_its_rotation():
    points, weights = (torch.from_numpy(part) for part in sample("potato", 500))
    turn = torch.from_numpy(random_rotation(3, 4))
    centred = points - weights @ points
    covariance = centred.T @ (weights[:, None] * centred)
    found = principal_rotations(covariance, turn @ covariance @ turn.T)
    assert len(found) == 4
    assert float(angles(found, turn).min()) < 1e-5


@pytest.mark.parametrize("reach", [None, 0.3])
def test_coarse_scores_are_the_divergences_of_the_engine(reach):
    known = pair("potato", linear(np.eye(3)), n=300, m=250, seed=2)
    source, target = coarse_cells(known.source, 130), coarse_cells(known.target, 130)
    turns = torch.from_numpy(np.stack([rotation(degrees, 3, seed=2) for degrees in (0, 10, 40, 90, 180)]))
    problem = CoarseProblem(source, target, blur=0.1, reach=reach)
    _, scores = problem.refine(Poses(turns, torch.zeros(5, 3, dtype=torch.float64)), steps=0)
    engine = Sinkhorn(0.1, reach=reach, reduction="dense", tolerance=1e-6)
    expected = [engine(Measure(source.points @ turn.T, source.weights), target).signed_value for turn in turns]
    # Eight sweeps in float32: some percent of what a wrong pose scores.
    assert np.abs(scores.numpy() - expected).max() < 0.03 * max(expected)


def test_coarse_scores_of_other_sizes_are_the_divergences_of_the_engine():
    known = pair("potato", linear(np.eye(3)), n=300, m=250, seed=2)
    source, target = coarse_cells(known.source, 130), coarse_cells(known.target, 130)
    sizes = (0.7, 1.0, 1.0, 1.4)
    maps = torch.from_numpy(np.stack([size * rotation(40 * k, 3, seed=2) for k, size in enumerate(sizes)]))
    problem = CoarseProblem(source, target, blur=0.1, reach=0.3, scale=True)
    _, scores = problem.refine(Poses(maps, torch.zeros(4, 3, dtype=torch.float64)), steps=0)
    engine = Sinkhorn(0.1, reach=0.3, reduction="dense", tolerance=1e-6)
    expected = [engine(Measure(source.points @ a.T, source.weights), target).signed_value for a in maps]
    assert np.abs(scores.numpy() - expected).max() < 0.03 * max(expected)


def test_coarse_cells_of_many_points_may_be_merged_from_fine_ones():
    many = uniform(sphere(60_000))
    fine = fine_cells(many, 400)
    assert 8 * 400 < len(fine) < 0.5 * len(many)
    assert float(fine.mass) == pytest.approx(float(many.mass), rel=1e-12)
    assert (fine.mean - many.mean).abs().max() < 1e-12
    merged, straight = coarse_cells(fine, 400), coarse_cells(many, 400)
    assert len(merged) == pytest.approx(len(straight), rel=0.2)
    # Every cell is about as far from the others' as those are from each other, at most.
    assert float(torch.cdist(merged.points, straight.points).amin(1).max()) < 0.2
    # Where cells would be nearly as many as the points, or too coarse, the points themselves are merged.
    few = uniform(sphere(3000))
    assert fine_cells(few, 400) is few
    assert fine_cells(many, 10_000) is many


@pytest.mark.parametrize("count", [20, 130, 1000])
def test_coarse_cells_are_at_most_as_many_as_asked_and_keep_mass_and_mean(count):
    measure = pair("potato", linear(np.eye(3)), n=3000).source
    cells = coarse_cells(measure, count)
    assert 0.5 * count <= len(cells) <= count
    assert float(cells.mass) == pytest.approx(float(measure.mass))
    assert torch.allclose(cells.mean, measure.mean, atol=1e-12)


@pytest.mark.parametrize("d", [2, 3])
def test_a_small_motion_follows_the_ways_of_a_similarity(d):
    points = torch.from_numpy(sample("leaf" if d == 2 else "potato", 300)[0])
    turn = torch.from_numpy(1.001 * rotation(0.1, d, seed=1))
    shift = torch.tensor([0.01, -0.02, 0.03], dtype=torch.float64)[:d]
    weights = torch.ones(len(points), dtype=torch.float64)
    ways = points @ turn.T + shift - points
    matrix, offset = small_motion(points, ways, weights, shape_metric(points), scale=True)
    # One linearised step: what is left is of second order in the angle.
    assert (points @ matrix.T + offset - (points + ways)).abs().max() < 1e-5
    rigid, _ = small_motion(points, ways, weights, shape_metric(points), scale=False)
    assert float(torch.linalg.det(rigid)) == pytest.approx(1, abs=1e-12)


def test_the_metric_of_a_plane_weighs_ways_across_it_most():
    grid = torch.stack(torch.meshgrid(torch.arange(10.0), torch.arange(10.0), indexing="ij"), -1).view(-1, 2)
    plane = torch.nn.functional.pad(grid, (0, 1)).double()
    metric = shape_metric(plane)
    across, along = metric[:, 2, 2], metric[:, :2, :2].diagonal(dim1=1, dim2=2)
    assert (across[:, None] > 10 * along).all()


def test_the_best_of_the_poses_found_is_first_and_the_given_one_is_never_lost():
    known = pair("potato", linear(rotation(180, 3, seed=1), 5.0), n=800, m=700, seed=2)
    start = start_model("rigid", known.source.points, known.source.weights)
    assert isinstance(start, LinearModel)
    found = search(known.source, known.target, start)
    assert list(found.scores) == sorted(found.scores)
    assert 0 <= found.given < len(found.models)
    assert rms(found.models[0](known.source.points).numpy() - known.truth) < BLUR


def test_a_pose_that_rests_on_little_is_reported():
    report = SearchReport(
        starts=500,
        blur=0.02,
        reach=0.04,
        score=1e-4,
        runner_up=None,
        degrees=None,
        ambiguous=False,
        from_given=False,
        seconds=1.0,
        shared=0.31,
    )
    [warning] = report.warnings
    assert "31%" in warning and "--init none" in warning
    assert replace(report, shared=0.6).warnings == () == replace(report, shared=None).warnings


def test_a_start_that_has_not_moved_yet_does_not_lose_to_one_that_fits_by_chance():
    turned = Poses(torch.from_numpy(np.stack([np.eye(3), rotation(40, 3)])), torch.zeros(2, 3, dtype=torch.float64))
    scores = torch.tensor([0.0001, 0.015])
    first, later = (
        worth_a_step(turned, scores, stage, given=0, reach=1.0, radius=1.0).tolist() for stage in ROUNDS[1:3]
    )
    assert first == [0, 1]
    assert later == [0]


@pytest.mark.parametrize("seed", range(8))
def test_a_small_motion_of_one_heavy_point_is_its_way_and_no_turn(seed):
    random = torch.Generator().manual_seed(seed)
    points, ways = (0.3 * torch.randn(12, 3, generator=random) for _ in range(2))
    weights = torch.zeros(3, 12)
    weights[0, seed], weights[1, :] = 1.0, 1.0  # and no weight at all in the last of the three
    matrix, offset = small_motion(points, ways, weights, shape_metric(points), scale=False)
    assert (matrix[0] - torch.eye(3)).abs().max() < 0.02
    assert (matrix[0] @ points[seed] + offset[0] - points[seed] - ways[seed]).abs().max() < 1e-4
    assert matrix.isfinite().all() and offset.isfinite().all()
    assert (matrix[2] - torch.eye(3)).abs().max() < 1e-6
