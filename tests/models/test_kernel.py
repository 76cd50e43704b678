"""The sum of Gaussians and its basis: against plain formulas, in blocks, in bounded memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from otreg.models import kernel as kernel_module
from otreg.models.basis import KernelBasis
from otreg.models.farthest import farthest_points
from otreg.models.gaussians import Gaussians
from otreg.models.kernel import kernel_sum, kernel_sum_jacobian
from otreg.models.thin_plate import ThinPlate
from tests.models.generators import random_shape

WIDTHS = (0.4, 0.2, 0.1)
GAUSSIANS = Gaussians(WIDTHS)
ODD = Gaussians((0.3, 0.1, 0.05))  # one pair of widths that halve, one that does not


def plain_kernel(points, controls):
    """The definition, with amplitudes written out: 16, 4 and 1 parts of 21 for widths in the ratio 4 : 2 : 1."""
    squared = (points[:, None, :] - controls[None, :, :]).square().sum(2)
    return sum(
        parts / 21 * torch.exp(-squared / (2 * width**2)) for parts, width in zip((16, 4, 1), WIDTHS, strict=True)
    )


def test_kernel_is_its_definition_and_one_at_zero():
    points, _ = random_shape(0, dimension=3)
    controls = points[:7]
    assert (GAUSSIANS.values(points, controls) - plain_kernel(points, controls)).abs().max() < 1e-14
    assert (GAUSSIANS.values(points, points).diagonal() - 1).abs().max() < 1e-13


def test_slopes_are_the_derivative_of_the_kernel():
    points, _ = random_shape(0, dimension=3, n=6)
    controls = random_shape(1, dimension=3, n=4)[0]
    derivative = torch.autograd.functional.jacobian(lambda x: plain_kernel(x, controls).sum(0), points)
    slopes = GAUSSIANS.slopes(points, controls)
    expected = -(slopes[:, :, None] * (points[:, None, :] - controls[None, :, :])).permute(1, 0, 2)
    assert (derivative - expected).abs().max() < 1e-13


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("widths", [WIDTHS, (0.3, 0.1, 0.05)], ids=["halving", "one that does not halve"])
def test_compiled_gaussians_are_those_of_torch(widths, dimension):
    # More points than a thread takes at once, more controls than are held at once.
    points, controls = (random_shape(seed, dimension=dimension, n=n)[0] for seed, n in ((0, 70), (1, 1100)))
    coefficients = random_shape(2, dimension=3, n=1100)[0]
    gaussians = Gaussians(widths)
    values, slopes = gaussians.values(points, controls), gaussians.slopes(points, controls)
    assert (values - gaussians.on_device(points, controls, gaussians.amplitudes)).abs().max() < 1e-13
    assert (slopes - gaussians.on_device(points, controls, gaussians.steepness)).abs().max() < 1e-11
    assert (gaussians.value_sums(points, controls, coefficients) - values @ coefficients).abs().max() < 1e-11
    assert (gaussians.slope_sums(points, controls, coefficients) - slopes @ coefficients).abs().max() < 1e-9


def test_far_points_feel_nothing_and_coincident_ones_all():
    far = torch.tensor([[0.0, 0, 0], [40, 0, 0], [1e6, 0, 0], [1e200, 0, 0]]).double()
    assert GAUSSIANS.values(far, far[:1])[:, 0].tolist() == [
        pytest.approx(1, abs=1e-15),
        *[pytest.approx(0, abs=1e-300)] * 3,
    ]


@pytest.mark.parametrize("kernel", [GAUSSIANS, ThinPlate(0.2)], ids=["gaussians", "thin plate"])
def test_sums_by_blocks_are_the_product_at_once(kernel, monkeypatch):
    points, controls = (random_shape(seed, dimension=3, n=n)[0] for seed, n in ((0, 11), (1, 6)))
    coefficients = random_shape(2, dimension=20, n=6)[0]  # so many columns that Gaussians are stored for them, too
    at_once = kernel.values(points, controls) @ coefficients, kernel.slopes(points, controls) @ coefficients
    monkeypatch.setitem(kernel_module.BLOCK_ENTRIES, "cpu", 20)
    assert (kernel.value_sums(points, controls, coefficients) - at_once[0]).abs().max() < 1e-12
    assert (kernel.slope_sums(points, controls, coefficients) - at_once[1]).abs().max() < 1e-9


@pytest.mark.parametrize("columns", [1, 3])
def test_kernel_sum_has_the_gradients_of_the_plain_formula(columns):
    points, _ = random_shape(0, dimension=3, n=11)
    controls = random_shape(1, dimension=3, n=6)[0]
    coefficients = random_shape(2, dimension=columns, n=6)[0]
    inputs = (points.requires_grad_(), coefficients.requires_grad_())
    value, plain = kernel_sum(points, controls, coefficients, GAUSSIANS), plain_kernel(points, controls)
    assert (value - plain @ coefficients).abs().max() < 1e-14
    probe = torch.linspace(-1, 1, value.numel(), dtype=torch.float64).reshape(value.shape)
    ours = torch.autograd.grad((probe * value).sum(), inputs)
    theirs = torch.autograd.grad((probe * (plain @ coefficients)).sum(), inputs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() < 1e-12


@pytest.mark.parametrize("dimension", [2, 3])
def test_jacobian_is_autograds(dimension):
    points, _ = random_shape(0, dimension=dimension, n=9)
    controls, coefficients = (random_shape(seed, dimension=dimension, n=6)[0] for seed in (1, 2))
    jacobian = kernel_sum_jacobian(points, controls, coefficients, GAUSSIANS)
    expected = torch.func.vmap(torch.func.jacrev(lambda x: (plain_kernel(x[None], controls) @ coefficients)[0]))(points)
    assert (jacobian - expected).abs().max() < 1e-12


def test_jacobian_can_be_differentiated_in_the_coefficients_alone():
    points, controls, coefficients = (random_shape(seed, dimension=3, n=6)[0] for seed in (0, 1, 2))
    coefficients.requires_grad_()
    assert torch.autograd.gradcheck(lambda w: kernel_sum_jacobian(points, controls, w, GAUSSIANS), coefficients)
    by_points = kernel_sum_jacobian(points.requires_grad_(), controls, coefficients, GAUSSIANS).sum()
    with pytest.raises(AssertionError, match="no second derivatives"):
        by_points.backward()


def test_basis_keeps_its_digits_far_from_the_origin():
    points, _ = random_shape(0, dimension=3)
    coefficients = torch.ones(40, 3, dtype=torch.float64)
    near, far = KernelBasis(points, GAUSSIANS), KernelBasis(points + 4096, GAUSSIANS)
    # The coordinates themselves were rounded to 1e-12 by the shift.
    assert (far(points + 4096, coefficients) - near(points, coefficients)).abs().max() < 1e-9


def test_whitened_features_reproduce_the_kernel_and_its_norm():
    points, _ = random_shape(0, dimension=3)
    basis = KernelBasis(points[:15], GAUSSIANS)
    z = random_shape(1, dimension=3, n=basis.rank)[0]
    coefficients = basis.whitening @ z
    assert (basis.features(points) @ z - basis(points, coefficients)).abs().max() < 1e-9
    assert basis.norm_squared(coefficients) == pytest.approx(float(z.square().sum()), rel=1e-9)
    plain = torch.trace(coefficients.T @ plain_kernel(points[:15], points[:15]) @ coefficients)
    assert basis.norm_squared(coefficients) == pytest.approx(float(plain), rel=1e-6)
    assert basis.features(points).norm(dim=1).max() <= 1 + 1e-6


def test_kept_features_follow_points_that_change_in_place():
    points, _ = random_shape(0, dimension=3)
    basis = KernelBasis(points[:15].clone(), GAUSSIANS)
    before = basis.features(points)
    assert basis.features(points.clone()) is before
    points += 0.1
    fresh = KernelBasis(basis.controls, GAUSSIANS).features(points)
    assert torch.equal(basis.features(points), fresh) and not torch.equal(fresh, before)


def test_farthest_points_are_distinct_spread_and_start_at_the_middle():
    points = torch.cartesian_prod(torch.arange(9.0), torch.arange(9.0)).double()
    chosen = farthest_points(points, count=5)
    assert chosen.tolist()[0] == [4.0, 4.0]
    assert sorted(chosen.tolist()[1:]) == [[0.0, 0.0], [0.0, 8.0], [8.0, 0.0], [8.0, 8.0]]
    assert len(farthest_points(points, count=1000).unique(dim=0)) == 81
    assert len(farthest_points(points[:1].expand(50, 2), count=10)) == 1


def test_farthest_points_of_many_depend_on_the_seed_only():
    points = torch.rand(30_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first = farthest_points(points, count=20, seed=1)
    torch.manual_seed(99)  # the global generator has no say
    assert torch.equal(farthest_points(points, count=20, seed=1), first)
    assert not torch.equal(farthest_points(points, count=20, seed=2), first)
    gaps = torch.cdist(first, first) + 9 * torch.eye(20, dtype=torch.float64)
    assert gaps.min() > 0.15  # 20 random points of the unit square would leave about 0.03


MEMORY = """
import resource, torch
from otreg.models.gaussians import Gaussians
from otreg.models.kernel import kernel_sum
points = torch.rand(80_000, 3, dtype=torch.float64, requires_grad=True)
controls, w = torch.rand(500, 3, dtype=torch.float64), torch.rand(500, 3, dtype=torch.float64, requires_grad=True)
kernel_sum(points[:1000], controls, w, Gaussians((0.4, 0.2, 0.1))).sum().backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kernel_sum(points, controls, w, Gaussians((0.4, 0.2, 0.1))).sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KB on Linux only")
def test_kernel_sum_and_gradient_at_80000_points_take_less_than_64_mb():
    # One (n, k) matrix would be 320 MB.
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 64 * 1024
