"""Every tensor is made on the device of the measure, none on the default device.

With "meta" as the default device, a tensor that is made without a device holds no numbers and mixes with nothing, so
whatever forgets the device of its input fails here, without a GPU; tensors of main memory go through what a device
runs.
"""

from __future__ import annotations

import pytest
import torch

from otreg.losses import SinkhornDivergence
from otreg.measures import Measure
from otreg.transport import Sinkhorn, devices
from otreg.transport.reductions import keops
from tests.transport.conftest import require_keops
from tests.transport.generators import cloud, moved

_kernel = keops._kernel


def on_its_own_device(*arguments):
    """A kernel of KeOps, whose own tensors are none of our business."""

    def call(*tensors, **options):
        with torch.device("cpu"):
            return _kernel(*arguments)(*tensors, **options)

    return call


@pytest.fixture(autouse=True)
def as_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "in_main_memory", lambda tensor: False)


@pytest.mark.parametrize(
    ("name", "p", "reach", "dimension"),
    [
        ("keops", 2, None, 3),
        ("keops", 1, 0.3, 2),
        ("dense", 2, None, 1),
        ("dense", 2, 0.3, 3),
        ("dense", 2, (None, 0.3), 2),
        ("dense", 1, (0.2, 0.4), 3),
        ("dense", 1, None, 2),
    ],
)
def test_no_tensor_is_made_on_the_default_device(monkeypatch, name, p, reach, dimension):
    if name == "keops":
        require_keops()
        monkeypatch.setattr(keops, "_kernel", on_its_own_device)
    n = 1100 if name == "keops" else 200  # with cells, without
    a, b = cloud(n, dimension, 1), moved(cloud(n - 50, dimension, 2), [0.1, 0.0, 0.0][:dimension])
    elsewhere = a.points[:7] + 0.01
    sinkhorn = Sinkhorn(blur=0.15, reach=reach, p=p, reduction=name)
    with torch.device("meta"):
        transport = sinkhorn(a, b)
        numbers = [transport.value, transport.lower, transport.dropped_mass]
        if p == 2 or reach is None:
            numbers.append(transport.upper)
        results = [
            torch.as_tensor(numbers, device="cpu"),
            transport.displacement,
            transport.target_map.potential,
            *transport.source_gradient,
            *transport.target_gradient,
            transport.at(elsewhere).displacement,
            sinkhorn(a, b, warm_start=transport.warm_start_at(a, b)).displacement,
        ]
        with_features = [Measure(m.points, m.weights, torch.sin(5 * m.points)) for m in (a, b)]
        found = sinkhorn(*with_features)
        results += [found.displacement, found.source_feature_gradient]
    for result in results:
        assert result.device.type == "cpu"
        assert result.isfinite().all()


@pytest.mark.parametrize("p", [1, 2])
def test_the_exact_transport_on_a_line_makes_no_tensor_on_the_default_device(p):
    a, b = cloud(30, 1, 1), cloud(40, 1, 2)
    with torch.device("meta"):
        found = Sinkhorn(blur=0, p=p)(a, b)
        results = [found.displacement, *found.source_gradient, found.target_map.potential, found.at(b.points).potential]
    for result in results:
        assert result.device.type == "cpu"
        assert result.isfinite().all()


@pytest.mark.parametrize("reach", [None, 0.3])
def test_a_loss_and_its_gradients_stay_on_the_device_of_the_points(reach):
    x, y = (cloud(n, 3, n).points.float() for n in (40, 50))
    features = torch.sin(5 * x), torch.sin(5 * y)
    x.requires_grad_()
    with torch.device("meta"):
        value = SinkhornDivergence(blur=0.1, reach=reach)(x, y, features=features)
        value.backward()
    assert value.device.type == x.grad.device.type == "cpu"
    assert bool(value > 0) and bool(x.grad.isfinite().all())
