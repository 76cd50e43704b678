"""Shapes that have a part in common only: objects in scenes, scans that share half, outliers; sizes stay right."""

import numpy as np
import pytest
import torch

from otreg.models import start_model
from otreg.models.linear import LinearModel
from otreg.registration import RegistrationSettings, register
from otreg.registration.cover import angles
from otreg.registration.descriptors import descriptors_of, normals_of
from otreg.registration.parts import alike
from otreg.registration.search import search

from .shapes import bone, even, in_half, linear, paired, pear, potato, rms, rock, rotation, sphere, surfaces

# Half a blur of the default settings: what a pose may be off, over the target's diagonal.
CLOSE = 0.005


def known_pair(source, target, motion):
    """A pair whose source belongs where it lies here; it is moved away by the inverse of ``motion``."""
    matrix = motion(np.eye(3)) - motion(np.zeros((1, 3)))
    away = (source - motion(np.zeros((1, 3)))) @ np.linalg.inv(matrix)
    return paired(away, even(source), target, even(target), truth=source)


def error_of(known, **settings):
    registration = register(known.source, known.target, RegistrationSettings(**settings))
    return registration, rms(registration.model(known.source.points).numpy() - known.truth)


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


@pytest.mark.parametrize(
    ("models", "share"),
    [(("rigid",), 0.85), (("rigid",), 0.75), pytest.param(("similarity",), 0.8, marks=pytest.mark.slow)],
)
def test_shapes_cut_at_opposite_ends_are_not_turned_around(models, share):
    # Turned by 180 degrees, with cut on cut, nearly all of both finds a partner, and less mass has to move.
    axis = [1.0, 0.1, 0.05]
    source, target = in_half(bone(6000), axis, share), in_half(bone(6000, 3), np.negative(axis), share)
    known = known_pair(source, target, linear(rotation(150, 3, seed=3), 2.0))
    registration, error = error_of(known, models=models)
    assert error < CLOSE
    assert registration.search.shared > 0.7
    assert not registration.search.ambiguous


@pytest.mark.parametrize(("degrees", "shift"), [(0.0, 0.0), (8.0, 0.05)])
def test_a_given_start_is_not_left_where_only_parts_match(degrees, shift):
    # Cut at opposite ends: coarse blurs would draw one mean to the other.
    axis = [0.6, 0.64, 0.48]
    source, target = in_half(rock(4000), axis, 0.75), in_half(rock(4000, 3), np.negative(axis), 0.75)
    off = linear(rotation(degrees, 3, seed=3), shift)
    known = known_pair(source, target, off)
    assert error_of(known, init="none")[1] < CLOSE


def test_a_given_start_may_be_far_where_all_of_the_shapes_matches():
    known = known_pair(rock(3000), rock(3000, 3), linear(rotation(30, 3, seed=3), 0.4))
    assert error_of(known, init="none")[1] < CLOSE


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


def test_shapes_that_differ_everywhere_are_not_taken_apart():
    other = known_pair(rock(3000) * [1.12, 0.9, 1.0], rock(3000, 3), linear(rotation(170, 3, seed=1), 3.0))
    found = found_in(other)
    # Their score says that they may have parts in common, but no part is the very same surface.
    assert found.scores[0] > 0.01 * found.reach**2
    assert found.shared is None and not found.exact


def test_two_searches_for_parts_give_the_same_bits():
    known = known_pair(rock(2500), scene(), linear(rotation(100, 3, seed=8), 3.0))
    first, second = (found_in(known) for _ in range(2))
    assert first.scores == second.scores
    assert all((a.matrix == b.matrix).all() for a, b in zip(first.models, second.models, strict=True))


def test_poses_of_parts_that_look_alike_hold_the_true_one():
    turn = rotation(77, 3, seed=9)
    source, target = in_half(rock(4000), [1, 0, 0], 0.7) @ turn, in_half(rock(4000, 3), [-1, 0, 0], 0.7)
    poses = alike(surfaces(source, target), 12)
    assert float(angles(poses.matrix, torch.from_numpy(turn)).min()) < 5


def test_descriptors_do_not_change_with_the_pose():
    points = rock(1500)
    moved = points @ rotation(80, 3, seed=1).T + [5.0, -3.0, 1.0]
    here, there = (descriptors_of(p, normals_of(p, 0.08), 0.08) for p in (points, moved))
    # But for a few cells in the middle of their neighbours, which have no side.
    same = np.abs(here - there).max(1) < 1e-6
    assert same.mean() > 0.97
    assert np.allclose(np.linalg.norm(here, axis=1), 1)


def test_clouds_too_small_to_have_parts_are_searched_all_the_same():
    rng = np.random.default_rng(0)
    target = np.concatenate([rng.standard_normal((6, 3)), rng.standard_normal((6, 3)) + 9])
    known = known_pair(target[:6], target, linear(rotation(30, 3), 1.0))
    registration, error = error_of(known)
    assert np.isfinite(error) and registration.search is not None
