"""Models that can be mixed, and fits whose rows do not all belong to the shape."""

from __future__ import annotations

import pytest
import torch

from otreg.errors import ArgumentError
from otreg.models import Affine, Rigid, Similarity, Spline, ThinPlateSpline
from tests.models.generators import random_shape

MIXED = pytest.mark.parametrize("model", [Affine, Spline, ThinPlateSpline], ids=lambda model: model.name)


@MIXED
@pytest.mark.parametrize("dimension", [2, 3])
def test_a_mix_of_coordinates_is_the_mix_of_the_maps(model, dimension):
    points, weights = random_shape(0, dimension=dimension)
    start = model.start(points, weights)
    one, other = (start.fit(points, random_shape(seed, dimension=dimension)[0], weights) for seed in (1, 2))
    mixed = one.with_coordinates(1.7 * one.coordinates - 0.7 * other.coordinates)
    elsewhere = random_shape(3, dimension=dimension)[0]
    assert (mixed(elsewhere) - 1.7 * one(elsewhere) + 0.7 * other(elsewhere)).abs().max() < 1e-8
    assert torch.equal(one.with_coordinates(one.coordinates)(points), one(points))


@pytest.mark.parametrize("model", [Rigid, Similarity], ids=lambda model: model.name)
def test_poses_have_no_coordinates_to_mix(model):
    pose = model.start(*random_shape(0, dimension=3))
    assert pose.coordinates is None
    with pytest.raises(ArgumentError, match=f"a {model.name} model has no coordinates to mix; fit it instead"):
        pose.with_coordinates(torch.zeros(7))


@pytest.mark.parametrize("model", [Spline, ThinPlateSpline], ids=lambda model: model.name)
def test_the_penalty_is_relative_to_the_mass_that_is_given(model):
    points, weights = random_shape(0, dimension=3)
    targets = points + 0.05 * torch.sin(8 * points)
    start = model.start(points, weights, control_points=20, stiffness=0.1)
    whole = float(weights.sum())
    # A quarter of the mass makes the penalty as cheap as half of the stiffness does.
    light = start.fit(points, targets, weights, mass=whole / 4)
    soft = start.with_stiffness(0.05).fit(points, targets, weights)
    assert (light(points) - soft(points)).abs().max() < 1e-10
    assert (
        start.fit(points, targets, weights, mass=whole)(points) - start.fit(points, targets, weights)(points)
    ).abs().max() < 1e-10
    assert (light(points) - start.fit(points, targets, weights)(points)).abs().max() > 1e-4
