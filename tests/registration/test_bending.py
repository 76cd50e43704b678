"""Splines in a registration: known bends are found, nothing folds, and stiffness means the same for every shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otreg.measures import Measure
from otreg.models import Affine, Similarity, Spline
from otreg.models.folding import volume_changes
from otreg.registration import RegistrationSettings, folds, register
from otreg.registration.bend import BendReport
from otreg.registration.softening import STIFFEST

from .shapes import bend, linear, pair, paired, rms, rotation, sample

BLUR = 0.02
SPLINES = pytest.mark.parametrize("spline", ["spline", "tps"])


def fitted(known, spline, **settings):
    """The registration, and the rms distance of the moved source points from where they belong, in diagonals."""
    found = register(
        known.source,
        known.target,
        RegistrationSettings(**{"models": ("rigid", spline), "blur": BLUR, "control_points": 150, **settings}),
    )
    return found, rms(found.model(known.source.points).numpy() - known.truth)


def squeezed(points):
    """The waist of a shape along its last axis made half as thick, its ends left as they are."""
    moved, at = points.copy(), points[:, -1:]
    moved[:, :-1] *= 1 - 0.5 * np.exp(-(at**2) / (2 * 0.25**2))
    return moved


def hand(count, spread):
    """A closed curve of the plane: a palm with two fingers that are ``spread`` apart at their tips, and weights."""
    palm = [[0.45, 0.65], [0.0, 0.6], [0.0, 0.0], [1.0, 0.0], [1.0, 0.6], [0.55, 0.65]]
    left = [[0.36 - spread, 1.6], [0.46 - spread, 1.6]]
    right = [[0.62 + spread, 1.7], [0.54 + spread, 1.7]]
    corners = np.array([*palm[1:5], *right, palm[5], palm[0], left[1], left[0]])
    closed = np.vstack([corners, corners[:1]])
    lengths = np.linalg.norm(np.diff(closed, axis=0), axis=1)
    each = count * lengths / lengths.sum()
    points = [
        a + (np.arange(round(k)) + 0.5)[:, None] / round(k) * (b - a)
        for a, b, k in zip(closed, closed[1:], each, strict=False)
    ]
    weights = [np.full(round(k), length / round(k)) for k, length in zip(each, lengths, strict=True)]
    return np.concatenate(points), np.concatenate(weights) / lengths.sum()


def opened():
    """A hand whose fingers all but touch, and the same with its fingers apart: what moves apart lies close together."""
    (source, weights), (target, there) = hand(700, 0.0), hand(700, 0.25)
    return paired(source, weights, target, there, truth=source)


@SPLINES
@pytest.mark.parametrize("name", ["potato", "leaf"])
def test_a_smooth_bend_is_found(name, spline):
    known = pair(name, bend, n=700, m=600, seed=3)
    _, affine = fitted(known, "affine")
    found, error = fitted(known, spline)
    # Smooth shapes say little about ways along their surface: half of the error of the best affine map is left to them.
    assert error < BLUR
    assert error < 0.5 * affine
    assert found.bend is not None and found.bend.folded_points == 0 and not found.bend.warnings


@SPLINES
def test_a_squeezed_pear_keeps_its_volumes_positive(spline):
    known = pair("pear", squeezed, n=700, m=600, seed=3)
    found, error = fitted(known, spline)
    assert error < BLUR
    # Two directions at half their size, beside an affine part that shrinks them too.
    assert 0.1 < found.bend.smallest_jacobian < 0.9


@SPLINES
@pytest.mark.parametrize("stiffness", [0.005, 3e-4])
def test_fingers_that_touch_are_opened_without_a_fold(spline, stiffness):
    known = opened()
    found, _ = fitted(known, spline, models=(spline,), stiffness=stiffness)
    assert found.bend.smallest_jacobian > 0 and found.bend.folded_points == 0
    assert float(volume_changes(found.model, known.source.points).min()) == found.bend.smallest_jacobian


def noisy():
    """A leaf and a noisy copy of it, with a stiffness so small that the spline follows the noise."""
    return pair("leaf", linear(np.eye(2)), n=600, m=600, seed=2, noise=0.01)


FREE = {"models": ("spline",), "stiffness": 1e-6, "blur": 0.01}


def test_a_spline_that_would_fold_is_made_stiffer_and_says_so(monkeypatch):
    found, _ = fitted(noisy(), "spline", **FREE)
    assert found.bend.smallest_jacobian > 0 and found.bend.folded_points == 0
    assert found.bend.stiffened and found.bend.stiffness > found.bend.asked_stiffness == FREE["stiffness"]
    [warning] = found.bend.warnings
    assert "would have folded, so it was raised to" in warning and "\n" not in warning
    monkeypatch.setattr(folds, "LEAST_VOLUME", -np.inf)
    unguarded, _ = fitted(noisy(), "spline", **FREE)
    assert unguarded.bend.folded_points > 0, "nothing folds without the guard either: the test says nothing"
    assert any("the spline folds at" in warning for warning in unguarded.bend.warnings)
    assert unguarded.transport.value < found.transport.value


def test_a_spline_stays_stiff_where_the_shapes_are_near_and_softens_where_they_are_not():
    near, far = pair("potato", linear(np.eye(3)), n=2000, m=1800, seed=3), pair("pear", squeezed, n=600, m=500, seed=3)
    settings = {"stiffness": 0.005, "models": ("spline",)}
    (stiff, error), (soft, _) = fitted(near, "spline", **settings), fitted(far, "spline", **settings)
    assert stiff.bend.stiffness == pytest.approx(STIFFEST * 0.005) and not stiff.bend.stiffened
    assert soft.bend.stiffness < stiff.bend.stiffness / 2
    # Another sampling of the same surface is no reason to bend.
    assert error < 0.2 * BLUR


@SPLINES
@pytest.mark.parametrize("unit", [1e-3, 1024.0])
def test_the_unit_of_the_files_changes_nothing(spline, unit):
    here, there = (pair("potato", bend, n=600, m=500, seed=3, unit=unit) for unit in (1.0, unit))
    one, other = (fitted(known, spline, control_points=100)[0] for known in (here, there))
    moved = [run.model(known.source.points) for run, known in ((one, here), (other, there))]
    assert float((moved[0] - moved[1]).abs().max()) < 2e-4
    assert float(other.model.penalty()) == pytest.approx(float(one.model.penalty()), rel=1e-2)


def test_a_source_of_another_size_bends_as_much_for_the_same_stiffness():
    known = pair("potato", bend, n=600, m=500, seed=3)
    tiny = Measure(known.source.points / 64, known.source.weights)
    settings = RegistrationSettings(models=("spline",), blur=BLUR, control_points=100)
    one = register(known.source, known.target, settings)
    zero = torch.zeros(3, dtype=torch.float64)
    start = Similarity(zero, 64 * torch.eye(3, dtype=torch.float64), zero)
    other = register(tiny, known.target, settings, start=start)
    assert float((one.model(known.source.points) - other.model(tiny.points)).abs().max()) < 2e-4
    assert float(other.model.penalty()) == pytest.approx(float(one.model.penalty()), rel=0.01)


@SPLINES
def test_turning_and_shifting_both_shapes_turns_and_shifts_the_answer(spline):
    known = pair("potato", bend, n=600, m=500, seed=3)
    q, t = torch.from_numpy(rotation(70, 3, seed=9)), torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    turned = [Measure(m.points @ q.T + t, m.weights) for m in (known.source, known.target)]
    settings = RegistrationSettings(models=("affine", spline), blur=BLUR, control_points=100)
    here, there = register(known.source, known.target, settings), register(*turned, settings)
    expected = here.model(known.source.points) @ q.T + t
    # The cells that quantise the clouds lie along the axes, so they are others: a tenth of the blur.
    assert rms((there.model(turned[0].points) - expected).numpy()) < 0.1 * BLUR


@SPLINES
def test_a_spline_moves_points_that_it_never_saw_as_well_as_those_that_it_saw(spline):
    known = pair("potato", bend, n=700, m=600, seed=2)
    found, seen = fitted(known, spline)
    points, _ = sample("potato", 20_000)
    moved = found.model(torch.from_numpy(known.frame.to_frame(points))).numpy()
    assert rms(moved - known.frame.to_frame(bend(points))) == pytest.approx(seen, rel=0.1)


@SPLINES
def test_noise_is_not_followed_where_stiffness_is_not_tiny(spline):
    clean, dirty = (pair("potato", bend, n=700, m=600, seed=3, noise=noise) for noise in (0.0, 0.01))
    (_, without), (found, with_noise) = fitted(clean, spline), fitted(dirty, spline)
    assert with_noise < without + 0.5 * 0.01
    assert found.bend.folded_points == 0


def test_linear_models_have_no_bend_to_report():
    points = torch.eye(3, dtype=torch.float64)
    measure = Measure(points, torch.full((3,), 1 / 3, dtype=torch.float64))
    assert BendReport.of(Affine.start(points, measure.weights), measure, asked=0.02) is None
    flat = Spline.start(points, measure.weights, control_points=2)
    flat = flat.with_coordinates(torch.zeros_like(flat.coordinates))
    report = BendReport.of(flat, measure, asked=0.02)
    assert report is not None and report.smallest_jacobian is None and report.warnings == ()
