"""Landmarks as springs: they decide what shapes leave open, pull as strongly as asked, and outliers are named."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.registration import RegistrationSettings, register
from otreg.registration.landmarks import Springs, outliers

from .shapes import bend, linear, pair, paired, rms, rotation, sample, sphere

pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")

BLUR = 0.02
CORNERS = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-0.6, 0.8, 0]])


def ball(motion):
    """A sphere and its moved copy, which any rotation fits."""
    points, there = sphere(900), motion(sphere(800, seed=3))
    return paired(
        points, np.full(len(points), 1 / len(points)), there, np.full(len(there), 1 / len(there)), truth=motion(points)
    )


def tube(n, seed):
    """Points of a cylinder's side, of radius 0.4 and length 2."""
    rng = np.random.default_rng(seed)
    angle, height = 2 * np.pi * (np.arange(n) * 0.6180339887 % 1), 2 * (np.arange(n) + rng.uniform(0, 1, n)) / n - 1
    return np.stack([0.4 * np.cos(angle), 0.4 * np.sin(angle), height], axis=1)


def marks(known, motion, points):
    """Landmarks at ``points`` of the source in file units, and where the motion puts them, in the frame."""
    return tuple(torch.from_numpy(known.frame.to_frame(there)) for there in (points, motion(points)))


def error(registration, known):
    return rms(registration.model(known.source.points).numpy() - known.truth)


def solve(known, landmarks=None, **settings):
    return register(known.source, known.target, RegistrationSettings(**{"blur": BLUR, **settings}), landmarks=landmarks)


@pytest.mark.parametrize("models", [("rigid",), ("similarity",), ("similarity", "affine"), ("rigid", "spline")])
def test_landmarks_decide_how_a_sphere_is_turned(models):
    motion = linear(rotation(140, 3, seed=5), 0.7)
    known = ball(motion)
    found = solve(known, marks(known, motion, CORNERS), models=models, control_points=60, stiffness=0.02)
    assert error(found, known) < 0.4 * BLUR
    # Without them a search finds a pose that fits as well, and is wrong by as much as it happens to be.
    assert error(solve(known), known) > 5 * BLUR


@pytest.mark.parametrize("optimizer", ["gauss-newton", "lbfgs", "adam"])
def test_every_optimiser_follows_them(optimizer):
    motion = linear(rotation(15, 3, seed=5), 0.1)
    known = ball(motion)
    settings = {"optimizer": optimizer, "init": "none", "iterations": 60, "reach": None, "landmark_weight": 1.0}
    assert error(solve(known, marks(known, motion, CORNERS), **settings), known) < 0.5 * BLUR


def test_two_landmarks_on_its_axis_say_which_end_of_a_cylinder_is_which():
    motion = linear(rotation(170, 3, seed=2), 0.5)
    points, there = tube(900, 0), motion(tube(800, 1))
    known = paired(points, np.full(900, 1 / 900), there, np.full(800, 1 / 800), truth=motion(points))
    ends = np.array([[0.0, 0, -1], [0, 0, 1]])
    landmarks = marks(known, motion, ends)
    # They leave the turn about the axis open, so they are no start; the search knows them all the same.
    assert Springs.of(landmarks, known.source, 0.1).pose("rigid", known.source, known.target) is None
    found = solve(known, landmarks)
    assert max(found.landmarks.after) < 0.5 * BLUR
    assert min(found.landmarks.before) > 0.1


def test_a_bent_shape_is_found_with_landmarks_that_do_not_lie_on_it():
    known = pair("potato", bend, n=1500, m=1300, seed=2)
    inside = 0.5 * sample("potato", 12)[0]
    settings = {"models": ("affine", "spline"), "control_points": 150, "stiffness": 0.005}
    found, without = solve(known, marks(known, bend, inside), **settings), solve(known, **settings)
    assert error(found, known) < 0.8 * error(without, known)
    assert max(found.landmarks.after) < BLUR


def test_a_heavy_weight_interpolates_and_a_light_one_hardly_matters():
    known = pair("potato", linear(np.eye(3)), n=900, m=800, seed=2)
    # Landmarks that ask for something else than the shape: a shift by a twentieth of the diagonal.
    points = known.source.points[::100]
    astray = (points, points + torch.tensor([0.05, 0.0, 0.0], dtype=torch.float64))
    left = {}
    for weight in (1e-4, 0.1, 1e4):
        found = solve(known, astray, init="none", landmark_weight=weight, reach=None)
        left[weight] = float(np.mean(found.landmarks.after))
    assert left[1e-4] == pytest.approx(0.05, rel=0.02)
    # Where no mass is left behind a rigid shift s balances s against weight * (0.05 - s).
    assert left[0.1] == pytest.approx(0.05 / 1.1, rel=0.03)
    assert left[1e4] < 1e-4


def test_a_heavy_weight_bends_a_spline_through_the_landmarks():
    known = pair("potato", linear(np.eye(3)), n=900, m=800, seed=2)
    points = known.source.points[::80]
    wanted = points + 0.03 * torch.sin(20 * points)
    settings = {"models": ("spline",), "init": "none", "control_points": 200, "stiffness": 0.05}
    light = solve(known, (points, wanted), **settings, landmark_weight=1e-3)
    heavy = solve(known, (points, wanted), **settings, landmark_weight=1e4)
    assert rms(np.array(heavy.landmarks.after)[:, None]) < 0.05 * rms(np.array(light.landmarks.after)[:, None])


def test_as_many_landmarks_twice_pull_no_more():
    known = pair("potato", linear(rotation(5, 3, seed=1), 0.05), n=700, m=600, seed=2)
    points = known.source.points[::70]
    once = (points, points + 0.03)
    twice = tuple(torch.cat([part, part]) for part in once)
    first, second = (solve(known, landmarks, init="none") for landmarks in (once, twice))
    moved = [found.model(known.source.points).numpy() for found in (first, second)]
    assert rms(moved[0] - moved[1]) < 1e-6


def test_moving_both_shapes_with_their_landmarks_moves_the_answer():
    motion = linear(rotation(20, 3, seed=4), 0.2)
    known = pair("pear", motion, n=700, m=650, seed=2)
    landmarks = marks(known, motion, sample("pear", 7)[0])
    around = torch.from_numpy(rotation(100, 3, seed=9))
    found = solve(known, landmarks)
    turned = register(
        replace(known.source, points=known.source.points @ around.T),
        replace(known.target, points=known.target.points @ around.T),
        RegistrationSettings(blur=BLUR),
        landmarks=tuple(part @ around.T for part in landmarks),
    )
    expected = found.model(known.source.points) @ around.T
    assert rms((turned.model(known.source.points @ around.T) - expected).numpy()) < 0.05 * BLUR


def test_one_landmark_that_contradicts_the_others_is_named():
    motion = linear(rotation(30, 3, seed=4), 0.2)
    known = pair("potato", motion, n=900, m=800, seed=2)
    points, partners = marks(known, motion, sample("potato", 8)[0])
    partners = partners.clone()
    partners[5] += torch.tensor([0.2, -0.1, 0.1])
    found = solve(known, (points, partners))
    assert found.landmarks.outliers == (5,)
    # Left out, as the warning says, it does no harm; in, it does.
    others = torch.arange(8) != 5
    mended = solve(known, (points[others], partners[others]))
    assert mended.landmarks.outliers == ()
    assert error(mended, known) < 0.1 * BLUR < error(found, known)


def test_errors_of_one_size_are_no_outliers():
    rng = np.random.default_rng(0)
    for _ in range(200):
        distances = torch.from_numpy(np.linalg.norm(rng.standard_normal((20, 3)), axis=1))
        assert outliers(distances, blur=0.01) == ()
    # Nor is what is smaller than the blur, or one of three.
    assert outliers(torch.tensor([0.001, 0.001, 0.001, 0.009]), blur=0.01) == ()
    assert outliers(torch.tensor([0.001, 0.001, 0.5]), blur=0.01) == ()
    assert outliers(torch.tensor([0.001, 0.5, 0.001, 0.002, 0.9]), blur=0.01) == (4, 1)


def test_landmarks_that_contradict_each_other_are_no_start():
    motion = linear(rotation(120, 3, seed=4), 0.2)
    known = pair("potato", motion, n=500, m=500)
    points, partners = marks(known, motion, sample("potato", 9)[0])
    springs = Springs.of((points, partners), known.source, 0.1)
    assert springs.pose("rigid", known.source, known.target).error < 1e-9
    assert (
        rms(springs.pose("rigid", known.source, known.target).model(known.source.points).numpy() - known.truth) < 1e-9
    )
    shuffled = Springs.of((points, partners[torch.tensor([4, 7, 0, 8, 2, 1, 3, 6, 5])]), known.source, 0.1)
    assert shuffled.pose("rigid", known.source, known.target) is None
    assert springs.pose("rigid", known.source, known.target) is not None
    three = Springs.of((points[:3], partners[:3]), known.source, 0.1)
    assert three.pose("similarity", known.source, known.target) is not None


def test_the_error_of_a_pose_grows_with_that_of_the_landmarks_and_where_they_lie_close_together():
    known = pair("potato", linear(rotation(40, 3, seed=4), 0.1), n=500, m=500)
    rng = np.random.default_rng(0)
    truth, errors = torch.from_numpy(known.truth), {}
    near = (known.source.points - known.source.points[0]).norm(dim=1).argsort()[:80]
    for name, rows in {"all around": torch.arange(0, 500, 50), "on one side": near[::8]}.items():
        for noise in (0.002, 0.01):
            guessed, real = [], []
            for _ in range(20):
                astray = truth[rows] + noise * torch.from_numpy(rng.standard_normal((10, 3)))
                springs = Springs.of((known.source.points[rows], astray), known.source, 0.1)
                found = springs.pose("rigid", known.source, known.target)
                guessed.append(found.error)
                real.append(rms(found.model(known.source.points).numpy() - known.truth))
            errors[name, noise] = np.median(guessed)
            assert 0.4 < np.median(guessed) / np.median(real) < 2.5
    assert errors["on one side", 0.01] > 1.5 * errors["all around", 0.01]
    assert errors["all around", 0.01] == pytest.approx(5 * errors["all around", 0.002], rel=0.5)


def test_an_init_that_is_asked_for_is_not_replaced_by_the_landmarks():
    motion = linear(rotation(180, 3, seed=5))
    known = ball(motion)
    landmarks = marks(known, motion, CORNERS)
    # Half a turn away the pull of the springs along the sphere vanishes for some landmarks, not for all of them.
    assert solve(known, landmarks, init="none", iterations=1).landmarks.after != pytest.approx([0.0] * 4, abs=1e-3)


@pytest.mark.parametrize(
    ("landmarks", "words"),
    [
        ((torch.zeros(3, 3), torch.zeros(4, 3)), r"as many points.*\(3, 3\) and \(4, 3\)"),
        ((torch.zeros(3, 2), torch.zeros(3, 2)), r"\(k, 3\) each"),
        ((torch.zeros(0, 3), torch.zeros(0, 3)), "k >= 1"),
        ((torch.full((2, 3), torch.nan), torch.zeros(2, 3)), "must be finite"),
    ],
)
def test_landmarks_that_make_no_pairs_are_refused(landmarks, words):
    points = torch.rand(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    measure = Measure(points, torch.full((20,), 0.05, dtype=torch.float64))
    with pytest.raises(ArgumentError, match=words) as caught:
        register(measure, measure, RegistrationSettings(), landmarks=landmarks)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(ArgumentError, match=r"landmark_weight must be positive and finite.*Leave the landmarks out"):
        RegistrationSettings(landmark_weight=weight)
