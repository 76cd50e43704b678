"""Models on a CUDA device are the same maps as in main memory."""

from __future__ import annotations

import pytest
import torch

from otreg.models import start_model

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def fitted(name: str, device: str) -> list[torch.Tensor]:
    """Where a model that follows a bend moves its points and others, its Jacobians there and its penalty."""
    random = torch.Generator().manual_seed(1)
    points = torch.rand(300, 3, dtype=torch.float64, generator=random)
    weights = 0.5 + torch.rand(300, dtype=torch.float64, generator=random)
    targets = points + 0.1 * torch.sin(3 * points.roll(1, 1))
    points, weights, targets = (values.to(device) for values in (points, weights, targets))
    settings = {"control_points": 20} if name in ("spline", "tps") else {}
    model = start_model(name, points, weights, **settings).fit(points, targets, weights)
    others = points[:40] * 1.2
    found = [model(points), model(others), model.jacobian(others), model.penalty()]
    assert all(values.device == points.device for values in found)
    return [values.cpu() for values in found]


@pytest.mark.parametrize("name", ["rigid", "similarity", "affine", "spline", "tps"])
def test_a_model_fits_and_moves_on_a_device_as_in_main_memory(name):
    for there, here in zip(fitted(name, DEVICE), fitted(name, "cpu"), strict=True):
        assert (there - here).abs().max() <= 1e-8


@pytest.mark.parametrize("name", ["rigid", "affine", "spline"])
def test_gradients_by_the_parameters_are_those_of_main_memory(name):
    found = []
    for device in (DEVICE, "cpu"):
        points = torch.linspace(0, 1, 60, dtype=torch.float64, device=device).view(20, 3)
        points = points + 0.1 * torch.sin(30 * points)
        model = start_model(name, points, torch.ones_like(points[:, 0]))
        theta = model.parameters.detach().clone().requires_grad_()
        model.with_parameters(theta)(points).square().sum().backward()
        found.append(theta.grad.cpu())
    assert (found[0] - found[1]).abs().max() <= 1e-9 * found[1].abs().max().clamp_min(1)
