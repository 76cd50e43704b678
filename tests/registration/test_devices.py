"""A registration stays on the device of its measures.

With "meta" as the default device, a tensor that is made without a device holds no numbers and mixes with nothing, so
whatever forgets the device of its input fails here, without a GPU.
"""

import pytest
import torch

from otreg.measures import Measure
from otreg.registration import RegistrationSettings, register
from otreg.transport import devices

from .shapes import linear, pair, rms, rotation

# torch says once per process that the first-order optimisers read their loss as a number while it has a gradient.
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")


@pytest.fixture(scope="module")
def turned():
    return pair("potato", linear(rotation(20, 3, seed=4), 0.1), n=150, m=140, seed=2)


def settings(models, **others):
    return RegistrationSettings(models=models, blur=0.1, reach=0.2, init="none", control_points=15, **others)


@pytest.mark.parametrize(
    ("models", "optimizer"),
    [
        (("rigid",), "gauss-newton"),
        (("similarity", "affine", "spline"), "gauss-newton"),
        (("affine", "tps"), "gauss-newton"),
        (("similarity",), "lbfgs"),
        (("spline",), "adam"),
    ],
)
def test_no_tensor_is_made_on_the_default_device(monkeypatch, turned, models, optimizer):
    monkeypatch.setattr(devices, "in_main_memory", lambda tensor: False)
    asked = settings(models, optimizer=optimizer, reduction="dense", iterations=2)
    with torch.device("meta"):
        found = register(turned.source, turned.target, asked)
        moved = found.model(turned.source.points)
    assert moved.device.type == "cpu"
    assert bool(torch.isfinite(moved).all())


def test_what_runs_on_a_device_gives_the_same_pose(monkeypatch, turned):
    asked = settings(("rigid",), reduction="dense")
    one = register(turned.source, turned.target, asked).model(turned.source.points)
    monkeypatch.setattr(devices, "in_main_memory", lambda tensor: False)
    other = register(turned.source, turned.target, asked).model(turned.source.points)
    assert rms((one - other).numpy()) <= 1e-3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("models", [("rigid",), ("similarity", "spline"), ("affine", "tps")])
def test_a_gpu_finds_what_the_cpu_finds(turned, models):
    asked = settings(models)
    there = [Measure(m.points.cuda(), m.weights.cuda()) for m in (turned.source, turned.target)]
    one, other = register(turned.source, turned.target, asked), register(*there, asked)
    moved = other.model(there[0].points)
    assert moved.device.type == "cuda"
    assert rms((one.model(turned.source.points) - moved.cpu()).numpy()) <= 1e-3
