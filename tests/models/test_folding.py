"""Volumes beside the affine part, and where they say that a spline folds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otreg.models import Affine, Rigid, Spline
from otreg.models.basis import KernelBasis
from otreg.models.folding import volume_changes
from otreg.models.gaussians import Gaussians


def pushed(push, *, matrix=None, dimension=3):
    """Space pushed by one Gaussian of width 0.1, which folds from 0.1 exp(1/2) = 0.165 on, before or after a matrix."""
    zero = torch.zeros(1, dimension, dtype=torch.float64)
    affine = Affine.start(zero, torch.ones(1))
    if matrix is not None:
        affine = affine.with_map(torch.as_tensor(matrix), zero[0])
    way = torch.zeros_like(zero)
    way[0, 0] = push
    return Spline(affine, KernelBasis(zero, Gaussians((0.1,))), way if matrix is None else way @ affine.matrix.T)


def grid(dimension=3, count=21):
    return torch.cartesian_prod(*[torch.linspace(-0.3, 0.3, count, dtype=torch.float64)] * dimension)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("matrix", [None, 3.0, -1.0])
def test_volumes_are_those_of_a_known_bump_whatever_the_affine_part(dimension, matrix):
    matrix = None if matrix is None else np.diag([matrix] + [1.0] * (dimension - 1))
    points = grid(dimension)
    x = points[:, 0]
    bump = torch.exp(-points.square().sum(1) / (2 * 0.1**2))
    for push in (0.05, 0.2):
        expected = 1 - push * x / 0.1**2 * bump
        found = volume_changes(pushed(push, matrix=matrix, dimension=dimension), points)
        assert (found - expected).abs().max() < 1e-12
        assert bool((found <= 0).any()) == (push > 0.165)


def test_linear_models_change_no_volume_beside_their_own():
    points = grid(3, 3)
    mirror = Affine.start(points, torch.ones(27)).with_map(torch.diag(torch.tensor([-2.0, 1, 1])).double(), points[0])
    for model in (Rigid.start(points, torch.ones(27)), mirror):
        assert torch.equal(volume_changes(model, points), torch.ones(27, dtype=torch.float64))


def test_a_flat_affine_part_has_no_volume_to_compare_with():
    assert volume_changes(pushed(0.1, matrix=np.diag([1.0, 1.0, 0.0])), grid(3, 3)).isnan().all()


def test_the_answer_that_a_spline_keeps_is_that_of_its_own_points():
    spline, points = pushed(0.1), grid()
    first = volume_changes(spline, points)
    assert volume_changes(spline, points.clone()) is first
    other = volume_changes(spline, points + 0.05)
    assert (other - first).abs().max() > 0.1
    assert torch.equal(volume_changes(spline, points), first)
    assert torch.equal(volume_changes(spline, points[:5]), first[:5])
    assert not torch.equal(volume_changes(spline.with_stiffness(1.0), points + 0.01), first)


def test_a_spline_without_bend_is_its_affine_part_and_can_still_learn_to_bend():
    spline, points = pushed(0.0, matrix=np.diag([2.0, 1.0, 1.0])), grid()
    with torch.no_grad():
        assert torch.equal(spline(points), spline.affine(points))
        assert torch.equal(spline.jacobian(points), spline.affine.matrix.expand(len(points), 3, 3))
    theta = spline.parameters.clone().requires_grad_()
    spline.with_parameters(theta)(points).square().sum().backward()
    assert theta.grad[spline.affine.parameter_count :].abs().max() > 0
