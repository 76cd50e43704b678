"""Every tensor is made on the device of the measure, none on the default device.

With "meta" as the default device, a tensor that is made without a device holds no numbers and mixes with nothing, so
whatever forgets the device of its input fails here, without a GPU.
"""

from __future__ import annotations

import pytest
import torch

from otreg.measures import Measure
from otreg.transport import Sinkhorn
from otreg.transport.reductions import keops
from tests.transport.conftest import require_keops
from tests.transport.generators import moved, sphere

_kernel = keops._kernel


def on_its_own_device(*arguments):
    """A kernel of KeOps, whose own tensors are none of our business."""

    def call(*tensors, **options):
        with torch.device("cpu"):
            return _kernel(*arguments)(*tensors, **options)

    return call


@pytest.mark.parametrize("name", ["dense", "keops"])
@pytest.mark.parametrize(("p", "reach"), [(2, None), (2, 0.3), (1, 0.3)])
def test_no_tensor_is_made_on_the_default_device(monkeypatch, name, p, reach):
    if name == "keops":
        require_keops()
        monkeypatch.setattr(keops, "_kernel", on_its_own_device)
    a, b = sphere(400, 1), moved(sphere(300, 2), [0.1, 0.0, 0.0])
    features = [torch.sin(5 * m.points) for m in (a, b)]
    elsewhere = a.points[:7] + 0.01
    sinkhorn = Sinkhorn(blur=0.15, reach=reach, p=p, reduction=name)
    with torch.device("meta"):
        transport = sinkhorn(a, b)
        results = [
            torch.as_tensor(transport.value, device="cpu"),
            transport.displacement,
            transport.target_map.potential,
            *transport.source_gradient,
            transport.at(elsewhere).displacement,
        ]
        if reach is not None:
            results.append(torch.as_tensor(transport.upper - transport.lower, device="cpu"))
        if name == "dense":
            results.append(sinkhorn(a, b, warm_start=transport.warm_start).displacement)
        with_features = [Measure(m.points, m.weights, f) for m, f in zip((a, b), features, strict=True)]
        results.append(sinkhorn(*with_features).displacement)
    for result in results:
        assert result.device.type == "cpu"
        assert result.isfinite().all()
