"""What only a CUDA device can show: the same answer twice, softmins that wait for nothing, memory that runs out."""

from __future__ import annotations

import pytest
import torch

from otreg.measures import Measure
from otreg.transport import Sinkhorn, Transport
from otreg.transport.pyramid_torch import build_pyramid_on_device
from otreg.transport.reductions import select_reduction
from otreg.transport.reductions.base import Potential, Temperature
from otreg.transport.reductions.dense import DenseCoupling
from tests.transport.conftest import require_keops
from tests.transport.generators import cloud, moved, sphere

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(params=["triton", "keops", "dense"])
def reduction(request: pytest.FixtureRequest) -> str:
    if request.param == "triton":
        pytest.importorskip("triton")
    if request.param == "keops":
        require_keops()
    return request.param


def on(m: Measure, device: str = DEVICE) -> Measure:
    return Measure(m.points.to(device), m.weights.to(device))


def pair(n: int, device: str = DEVICE) -> tuple[Measure, Measure]:
    return on(sphere(n, 1), device), on(moved(sphere(n, 2), [0.1, 0.0, 0.0]), device)


def solve(n: int, reduction: str, device: str = DEVICE) -> Transport:
    found = Sinkhorn(blur=0.03, reach=0.5, reduction=reduction)(*pair(n, device))
    assert found.reduction == reduction and found.displacement.device == torch.zeros(1, device=device).device
    return found


def test_the_same_problem_has_the_same_answer_to_the_last_bit(reduction):
    n = 2000 if reduction == "dense" else 30_000
    one, other = (solve(n, reduction) for _ in range(2))
    assert one.value == other.value and one.upper == other.upper
    assert torch.equal(one.displacement, other.displacement)
    assert all(map(torch.equal, one.source_gradient, other.source_gradient))


@pytest.mark.parametrize("reduction", ["triton", "keops"])
def test_the_answer_is_that_of_the_processor(reduction):
    if reduction == "keops":
        require_keops()
    there, here = solve(30_000, reduction), solve(30_000, "cpu", "cpu")
    assert there.value == pytest.approx(here.value, abs=there.error + here.error)
    miss = (there.displacement.cpu() - here.displacement).square().sum(1).mean().sqrt()
    assert miss <= 0.01 * here.displacement.square().sum(1).mean().sqrt()


@pytest.mark.skipif(DEVICE != "cuda", reason="needs a CUDA device")
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("name", ["triton", "dense"])
def test_a_softmin_on_blocks_that_are_known_waits_for_nothing(name, p):
    x, y = (build_pyramid_on_device(m, 1e-9).levels[0] for m in pair(3000))
    f, g = (Potential(torch.zeros_like(c.weights), c.points) for c in (x, y))
    coupling = select_reduction(name, pair(10)[0]).couple(x, y, f, g, Temperature(p, 0.05**p, 1.0, 1.0, 10.0))
    for mode in ("default", "error"):  # the first time searches and compiles
        torch.cuda.set_sync_debug_mode(mode)
        try:
            for moments in (0, 1, 2):
                f = coupling.rows(g.values, f, moments=moments)
                g = coupling.columns(f.values, g, moments=moments)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert bool(f.values.isfinite().all())


@pytest.mark.skipif(DEVICE != "cuda", reason="needs a CUDA device")
def test_sums_go_on_in_smaller_chunks_when_the_memory_of_the_device_runs_out():
    x, y = (build_pyramid_on_device(on(m), 1e-9).levels[0] for m in (cloud(6000, 3, 1), cloud(6000, 3, 2)))
    g, nothing = torch.zeros_like(y.weights), Potential(torch.zeros_like(x.weights), x.points)
    whole = DenseCoupling(x, y, 0.01).rows(g, nothing, moments=1)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(x.points.device).total_memory
    # A chunk of all that are taken at a time needs some hundred MiB.
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**26) / total)
    try:
        parts = DenseCoupling(x, y, 0.01).rows(g, nothing, moments=1)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert (parts.values - whole.values).abs().max() <= 1e-14


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_points_on_another_device_than_the_current_one_are_computed_there(reduction):
    assert torch.cuda.current_device() == 0
    one, other = (solve(1500, reduction, device) for device in ("cuda:0", "cuda:1"))
    assert one.value == pytest.approx(other.value, abs=1e-12)
