"""Shapes that have a part in common only: objects in scenes, scans that share half, outliers; sizes stay right."""

import numpy as np
import pytest
import torch

from otreg.measures import Measure
from otreg.models import start_model
from otreg.models.linear import LinearModel
from otreg.registration import RegistrationSettings, register
from otreg.registration.coarse import Poses
from otreg.registration.cover import angles
from otreg.registration.descriptors import descriptors_of, normals_of
from otreg.registration.parts import Surfaces
from otreg.registration.search import search

from .shapes import linear, paired, pear, potato, rms, rotation, sphere

# Half a blur of the default settings: what a pose may be off, over the target's diagonal.
CLOSE = 0.005


def rock(n, seed=0, kind=1):
    """Points of an ellipsoid with thirty bumps and dents, no two parts of which look alike."""
    rng = np.random.default_rng(kind)
    bumps = rng.standard_normal((30, 3))
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    directions = sphere(n, seed)
    # Sharper bumps than those of a potato: exponents four times as large.
    heights = rng.uniform(-0.25, 0.35, 30)
    radius = 1 + np.exp(16 * (directions @ bumps.T - 1)) @ heights
    return directions * radius[:, None] * [1.0, 0.75, 0.6]


def even(points):
    return np.full(len(points), 1 / len(points))


def known_pair(source, target, motion):
    """A pair whose source belongs where it lies here; it is moved away by the inverse of ``motion``."""
    matrix = motion(np.eye(3)) - motion(np.zeros((1, 3)))
    away = (source - motion(np.zeros((1, 3)))) @ np.linalg.inv(matrix)
    return paired(away, even(source), target, even(target), truth=source)


def error_of(known, **settings):
    registration = register(known.source, known.target, RegistrationSettings(**settings))
    return registration, rms(registration.model(known.source.points).numpy() - known.truth)


def in_half(points, direction, share):
    """The points furthest along a direction, so many of them."""
    height = points @ np.asarray(direction)
    return points[height >= np.quantile(height, 1 - share)]


def scene(seed=3):
    """A rock among a potato, a pear and another rock."""
    turn = rotation(50, 3, seed=2).T
    others = [
        potato(sphere(2500, 5)) + np.array([2.2, 0.3, 0.0]),
        pear(sphere(2500, 6)) - np.array([0.4, 2.1, 0.5]),
        rock(2500, 7, kind=9) @ turn + np.array([0.2, 0.4, 1.9]),
    ]
    return np.concatenate([rock(2500, seed), *others])


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_an_object_is_found_in_a_scene(seed):
    known = known_pair(rock(2500), scene(), linear(rotation(170, 3, seed=seed), 3.0))
    registration, error = error_of(known)
    assert error < CLOSE
    assert registration.search is not None and not registration.search.ambiguous


def test_an_object_is_found_where_the_source_is_the_scene():
    known = known_pair(scene(), rock(2500), linear(rotation(120, 3, seed=4), 3.0))
    # The frame is that of the object, three times as small as the scene.
    assert error_of(known)[1] < 3 * CLOSE


@pytest.mark.parametrize("share", [0.8, 0.7])
def test_scans_that_share_half_are_laid_on_each_other(share):
    # Cut at opposite ends: they share 2 s - 1 of the whole, which is 75 and 57 % of each.
    axis = [0.6, 0.64, 0.48]
    source, target = in_half(rock(4000), axis, share), in_half(rock(4000, 3), np.negative(axis), share)
    known = known_pair(source, target, linear(rotation(150, 3, seed=3), 2.0))
    _, error = error_of(known)
    assert error < CLOSE


def test_a_third_of_outliers_changes_nothing():
    rng = np.random.default_rng(1)
    target = rock(3000, 3)
    target = np.concatenate([target, rng.uniform(target.min(0) - 0.2, target.max(0) + 0.2, (1300, 3))])
    known = known_pair(rock(3000), target, linear(rotation(160, 3, seed=5), 2.0))
    registration, error = error_of(known)
    assert error < CLOSE
    assert not registration.search.ambiguous


@pytest.mark.parametrize("scale", [0.5, pytest.param(2.0, marks=pytest.mark.slow)])
def test_a_similarity_keeps_the_size_of_a_shape_with_a_missing_part(scale):
    target = in_half(rock(4000, 3), [0.0, 0.6, 0.8], 0.7)
    known = known_pair(rock(3000), target, linear(rotation(140, 3, seed=6) * scale, 2.0))
    registration, error = error_of(known, models=("similarity",))
    size = float(torch.linalg.det(registration.model.linear()[0])) ** (1 / 3)
    assert size == pytest.approx(scale, rel=0.01)
    assert error < CLOSE


def leaf_part(first, last):
    """Part of a closed curve of the plane."""
    t = np.linspace(0, 2 * np.pi, 1200, endpoint=False)[first:last]
    radius = 1 + 0.25 * np.cos(t) + 0.2 * np.cos(3 * t + 0.4) + 0.1 * np.sin(2 * t)
    return radius[:, None] * np.stack([np.cos(t), 0.7 * np.sin(t)], axis=1)


def test_parts_of_a_curve_in_the_plane_are_laid_on_each_other():
    points, there = leaf_part(0, 800), leaf_part(200, 1200)
    known = paired(points @ rotation(115, 2).T + 3.0, even(points), there, even(there), truth=points)
    assert error_of(known)[1] < CLOSE


def test_points_that_are_there_many_times_do_not_stop_a_search():
    points = np.repeat(np.random.default_rng(0).standard_normal((10, 3)), 50, axis=0)
    known = known_pair(points, np.concatenate([points, points + 20]), linear(rotation(30, 3), 1.0))
    registration, error = error_of(known)
    assert np.isfinite(error)
    assert registration.search is not None and registration.search.shared <= 1


def found_in(known):
    start = start_model("rigid", known.source.points, known.source.weights)
    assert isinstance(start, LinearModel)
    return search(known.source, known.target, start)


def test_the_density_of_a_scene_is_the_share_that_the_object_has_of_it():
    found = found_in(known_pair(rock(2500), scene(), linear(rotation(170, 3, seed=1), 3.0)))
    assert found.density == pytest.approx(0.25, rel=0.25)
    assert 0 <= found.given < len(found.models)
    assert list(found.scores) == sorted(found.scores)


def test_whole_shapes_are_not_taken_apart():
    whole = found_in(known_pair(rock(2500), rock(2500, 3), linear(rotation(170, 3, seed=1), 3.0)))
    assert whole.density == 1.0
    assert whole.starts < found_in(known_pair(rock(2500), scene(), linear(rotation(170, 3, seed=1), 3.0))).starts


def test_two_searches_for_parts_give_the_same_bits():
    known = known_pair(rock(2500), scene(), linear(rotation(100, 3, seed=8), 3.0))
    first, second = (found_in(known) for _ in range(2))
    assert first.scores == second.scores
    assert all((a.matrix == b.matrix).all() for a, b in zip(first.models, second.models, strict=True))


def surfaces(source, target, count=800):
    return Surfaces(*(Measure(torch.from_numpy(p), torch.from_numpy(even(p))) for p in (source, target)), count=count)


def test_the_true_pose_shares_the_whole_surface_and_others_less():
    turns = np.stack([np.eye(3), rotation(20, 3, seed=1), rotation(180, 3, seed=2)])
    shared = surfaces(rock(4000), rock(4000, 3)).shared(Poses(torch.from_numpy(turns), torch.zeros(3, 3).double()))
    assert shared[0] > 0.9
    assert shared[0] > 1.4 * shared[1:].max()


def test_refining_ends_on_the_surface():
    near = Poses(torch.from_numpy(rotation(4, 3, seed=3))[None], torch.full((1, 3), 0.03).double())
    pair = surfaces(rock(4000), rock(4000, 3))
    after = pair.refined(near)
    assert float(angles(after.matrix, torch.eye(3).double())) < 1
    assert pair.shared(after) > pair.shared(near)


def test_poses_of_parts_that_look_alike_hold_the_true_one():
    turn = rotation(77, 3, seed=9)
    poses = surfaces(in_half(rock(4000), [1, 0, 0], 0.7) @ turn, in_half(rock(4000, 3), [-1, 0, 0], 0.7)).alike(12)
    assert float(angles(poses.matrix, torch.from_numpy(turn)).min()) < 5


def test_descriptors_do_not_change_with_the_pose():
    points = rock(1500)
    moved = points @ rotation(80, 3, seed=1).T + [5.0, -3.0, 1.0]
    here, there = (descriptors_of(p, normals_of(p, 0.08), 0.08) for p in (points, moved))
    # But for a few cells in the middle of their neighbours, which have no side.
    same = np.abs(here - there).max(1) < 1e-6
    assert same.mean() > 0.97
    assert np.allclose(np.linalg.norm(here, axis=1), 1)


def test_normals_stand_across_the_surface():
    points = sphere(2000)
    along = np.abs((normals_of(points, 0.08) * points).sum(1))
    assert along.min() > 0.99


def test_clouds_too_small_to_have_parts_are_searched_all_the_same():
    rng = np.random.default_rng(0)
    target = np.concatenate([rng.standard_normal((6, 3)), rng.standard_normal((6, 3)) + 9])
    known = known_pair(target[:6], target, linear(rotation(30, 3), 1.0))
    registration, error = error_of(known)
    assert np.isfinite(error) and registration.search is not None
