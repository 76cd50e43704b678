"""What is computed on a device stays there: a sweep reads one number, and no sum comes without an order.

Tensors of main memory go through what a device runs, and everything that would wait for one is counted.
"""

from __future__ import annotations

import pytest
import torch

from otreg.measures import Measure
from otreg.registration import RegistrationSettings, register
from otreg.transport import Sinkhorn, devices
from otreg.transport.annealing import anneal
from otreg.transport.pyramid_torch import build_pyramid_on_device
from otreg.transport.reductions import keops
from otreg.transport.reductions.base import Potential, Temperature
from otreg.transport.reductions.blocks import BlockSearch
from otreg.transport.reductions.dense import DenseReduction
from otreg.transport.sums import running_sums
from tests.transport.conftest import require_keops
from tests.transport.generators import cloud, moved, sphere
from tests.transport.watching import Watch

# More than that many points are merged into cells, by the reductions that work on cells.
SIZES = {"dense": 200, "keops": 1100}


@pytest.fixture(autouse=True)
def as_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "in_main_memory", lambda tensor: False)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture(params=["dense", "keops"])
def reduction(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, watch: Watch) -> str:
    if request.param == "keops":
        require_keops()
        real = keops._kernel
        monkeypatch.setattr(keops, "_kernel", lambda *key: watch.without(real(*key)))
    return request.param


WAITS = {
    "number": lambda x: float(x.sum()),
    "truth": lambda x: bool((x > 0).all()),
    "list": lambda x: x.tolist(),
    "mask": lambda x: x[x > 0],
    "size": lambda x: (x > 0).nonzero(),
    "number that is copied": lambda x: torch.where(x > 0, x, 0.0),
    "decomposition": lambda x: torch.linalg.inv(x[:, :4]),
    "copy": lambda x: x.new_tensor([1.0]),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_waits_for_a_device_is_counted(watch, name):
    x = torch.eye(4, 5)
    with watch:
        WAITS[name](x)
    assert watch.transfers == 1


def test_work_that_waits_for_nothing_is_not_counted_and_sums_by_index_are(watch):
    x = torch.ones(4, 5)
    with watch:
        x[1:, 2] = (2 * x).sum() + x.masked_fill(x > 0, 0.0).amax()
        x[torch.arange(2)].sort(1).values[0].cumsum(0).index_add_(0, torch.arange(2), x[0, :2])
    assert watch.transfers == 0
    assert watch.unordered == {"cumsum": 1, "index_add_": 1}


@pytest.mark.parametrize("reach", [None, 0.3])
def test_a_sweep_reads_from_the_device_once(watch, reduction, reach):
    n = SIZES[reduction]
    a, b = sphere(n, 1), moved(sphere(n, 2), [0.1, 0.0, 0.0])
    counts = []
    for sweeps in (4, 14):
        with watch:
            found = Sinkhorn(blur=0.1, reach=reach, reduction=reduction, tolerance=1e-30, max_iterations=sweeps)(a, b)
        counts.append((watch.transfers, found.iterations))
        watch.waits.clear()
    (few, early), (many, late) = counts
    assert late >= early + 10
    assert many - few <= late - early


def test_sweeps_along_the_path_read_nothing(watch):
    a, b = (build_pyramid_on_device(m, 0.02) for m in (sphere(300, 1), moved(sphere(300, 2), [0.1, 0.0, 0.0])))
    assert len(a.levels) > 1, "and now all of them are built, which reads their sizes"
    assert len(b.levels) > 1
    counts = []
    for ratio in (0.5, 0.9):
        rules = Sinkhorn(blur=0.05, ratio=ratio)._rules
        with watch:
            sweeps = anneal(a, b, rules, DenseReduction())[2]
        counts.append((watch.transfers, sweeps))
        watch.waits.clear()
    (few, early), (many, late) = counts
    assert late > 2 * early
    assert many == few <= 2, "where the path starts"


def test_a_search_for_blocks_reads_once_per_size_of_blocks(watch):
    x, y = (build_pyramid_on_device(m, 1e-9).levels[0] for m in (sphere(5000, 1), sphere(4800, 2)))
    f, g = (Potential(torch.zeros_like(c.weights), c.points) for c in (x, y))
    with watch:
        search = BlockSearch(x, y, f, g, Temperature(2, 0.01**2, 1.0, 1.0, 10.0), size=16)
        pairs = search.rows
    assert search._sizes == 3
    assert watch.waits == {"nonzero": 3 + 1}, "and once for rows that are left with nothing"
    assert len(pairs.columns) > 0


@pytest.mark.parametrize("p", [1, 2])
def test_everything_that_an_answer_gives_is_summed_in_order(watch, reduction, p):
    a, b = cloud(SIZES[reduction], 3, 1), moved(cloud(SIZES[reduction] - 50, 3, 2), [0.2, 0.0, 0.0])
    a, b = (Measure(m.points, m.weights, 0.1 * torch.sin(9 * m.points[:, :2])) for m in (a, b))
    settings = {"blur": 0.1, "reach": 0.3, "p": p, "reduction": reduction, "max_iterations": 20}
    with watch:
        found = Sinkhorn(**settings)(a, b)
        results = [found.displacement, *found.source_gradient, *found.target_gradient, found.target_map.potential]
        results.append(found.at(a.points[:50] + 0.01, a.features[:50]).displacement)
        results.append(torch.tensor([found.value, found.upper - found.lower, found.dropped_mass]))
        results.append(Sinkhorn(**settings)(a, b, warm_start=found.warm_start_at(a, b)).displacement)
    assert watch.transfers > 0
    assert watch.unordered == {}
    assert all(bool(result.isfinite().all()) for result in results)


@pytest.mark.parametrize("p", [1, 2])
def test_the_exact_transport_on_a_line_is_summed_in_order(watch, p):
    a, b = (cloud(n, 1, n) for n in (30, 50))
    with watch:
        found = Sinkhorn(blur=0, p=p)(a, b)
        results = [found.displacement, *found.source_gradient, found.at(b.points).potential]
    assert watch.unordered == {}
    assert all(bool(result.isfinite().all()) for result in results)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 1000])
def test_running_sums_of_a_device_are_running_sums(n):
    values = torch.sin(torch.arange(n).double())
    torch.testing.assert_close(running_sums(values), values.cumsum(0), rtol=0, atol=1e-13)


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize(
    ("models", "optimizer"),
    [(("rigid",), "gauss-newton"), (("affine", "spline"), "gauss-newton"), (("spline",), "adam")],
)
def test_a_registration_sums_in_order(watch, models, optimizer):
    target = sphere(200, 1)
    source = Measure(target.points * 1.1 + 0.05, target.weights)
    common = {"blur": 0.1, "reach": 0.2, "init": "none", "control_points": 10, "iterations": 2, "reduction": "dense"}
    settings = RegistrationSettings(models=models, optimizer=optimizer, **common)
    with watch:
        found = register(source, target, settings)
        moved_points = found.model(source.points)
    assert watch.unordered == {}
    assert bool(moved_points.isfinite().all())
