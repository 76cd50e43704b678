"""Known motions are found: of every kind of model, over shapes, samplings, noise, and settings of the reach."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from otreg.registration import Registration, RegistrationSettings, register

from .shapes import SHAPES, Pair, bend, linear, pair, rms, rotation, sample

# Coarse for speed: a registration takes a few tenths of a second.
BLUR = 0.02
REACHES = [None, 0.05]


def fitted(known: Pair, **settings) -> tuple[Registration, float]:
    """The registration, and the rms distance of the moved source points from where they belong, in diagonals."""
    registration = register(known.source, known.target, RegistrationSettings(**{"blur": BLUR, **settings}))
    return registration, rms(registration.model(known.source.points).numpy() - known.truth)


def dimension(name: str) -> int:
    return sample(name, 3)[0].shape[1]


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize(("degrees", "shift"), [(10, 0.3), (25, 1.0), (45, 20.0)])
@pytest.mark.parametrize("name", SHAPES)
def test_rigid_recovers_a_turn_and_a_shift_by_several_diagonals(name, degrees, shift, reach):
    motion = linear(rotation(degrees, dimension(name), seed=degrees), shift)
    registration, error = fitted(pair(name, motion, n=800), models=("rigid",), reach=reach)
    assert error < 0.15 * BLUR
    assert registration.converged, registration.status


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("degrees", [15, 45])
@pytest.mark.parametrize("name", ["potato", "leaf", "spring"])
def test_ten_steps_do_at_every_blur_for_a_rigid_pair_within_45_degrees(name, degrees, reach):
    motion = linear(rotation(degrees, dimension(name), seed=degrees), 0.5)
    registration, _ = fitted(pair(name, motion, n=800), models=("rigid",), reach=reach)
    [stage] = registration.stages
    assert max(sum(step.blur == blur for step in stage.steps) for blur in stage.blurs) <= 10


@pytest.mark.parametrize("scale", [0.3, 3.0])
@pytest.mark.parametrize("name", SHAPES)
def test_similarity_recovers_scales(name, scale):
    motion = linear(scale * rotation(25, dimension(name), seed=2), 0.5)
    registration, error = fitted(pair(name, motion, n=800), models=("similarity",))
    assert error < 0.15 * BLUR
    # The frame is the target's, so the model holds the whole factor between the files.
    assert float(torch.linalg.det(registration.model.linear()[0])) == pytest.approx(scale ** dimension(name), rel=0.02)


@pytest.mark.parametrize("name", SHAPES)
def test_affine_recovers_shears(name):
    d = dimension(name)
    shear = np.eye(d) + 0.25 * np.random.default_rng(1).standard_normal((d, d))
    known = pair(name, linear(rotation(20, d, seed=5) @ shear, 0.5))
    _, error = fitted(known, models=("affine",))
    assert error < 0.15 * BLUR
    _, error = fitted(known, models=("rigid",))
    assert error > 1.5 * BLUR, "a rigid motion would do as well: the test says nothing"


@pytest.mark.parametrize("name", ["potato", "leaf"])
def test_spline_recovers_a_smooth_bend(name):
    known = pair(name, bend)
    _, affine = fitted(known, models=("rigid", "affine"))
    _, spline = fitted(known, models=("rigid", "spline"), control_points=150, stiffness=0.0025)
    assert spline < BLUR
    assert spline < 0.5 * affine


@pytest.mark.parametrize("name", SHAPES)
def test_spline_lays_the_bent_surface_on_the_other_one(name):
    known = pair(name, bend)
    registration, _ = fitted(known, models=("rigid", "spline"), control_points=150, stiffness=0.0025)
    # The samples are 3 % of the diagonal apart: to measure distances to the surface, more of them are needed.
    dense = known.frame.to_frame(bend(sample(name, 40_000)[0]))
    distance, _ = cKDTree(dense).query(registration.model(known.source.points).numpy())
    assert np.sqrt(np.mean(distance**2)) < 0.25 * BLUR


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("name", SHAPES)
def test_another_sampling_of_the_same_surface_changes_little(name, reach):
    known = pair(name, linear(rotation(25, dimension(name), seed=1), 0.5), n=800, m=700, seed=3)
    _, error = fitted(known, models=("rigid",), reach=reach)
    assert error < 0.15 * BLUR


@pytest.mark.parametrize("name", SHAPES)
def test_noise_of_one_percent_of_the_diagonal_averages_out(name):
    known = pair(name, linear(rotation(25, dimension(name), seed=1), 0.5), n=800, m=700, seed=3, noise=0.01)
    _, error = fitted(known, models=("rigid",))
    assert error < 0.3 * 0.01


@pytest.mark.parametrize("models", [("rigid",), ("rigid", "spline")])
def test_a_model_found_on_a_subsample_moves_all_points(models):
    motion = linear(rotation(30, 3, seed=4), 0.5)
    known = pair("potato", motion, n=800, m=900, seed=2)
    registration, _ = fitted(known, models=models)
    points, _ = sample("potato", 20_000)
    frame = known.frame
    moved = registration.model(torch.from_numpy(frame.to_frame(points))).numpy()
    assert rms(moved - frame.to_frame(motion(points))) < 0.25 * BLUR
