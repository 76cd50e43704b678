"""Triton's kernels against the reference: on a CUDA device where there is one, else in Triton's interpreter.

The interpreter takes some ten milliseconds for a pair of blocks, so problems are of a few blocks.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from otreg.errors import ArgumentError, ResourceError
from otreg.measures import Measure
from otreg.transport import Sinkhorn, reductions
from otreg.transport.pyramid import Cloud
from otreg.transport.reductions import select_reduction, triton_blocks
from otreg.transport.reductions.base import Potential, Temperature
from otreg.transport.reductions.dense import DenseCoupling
from otreg.transport.reductions.keops import KeopsReduction
from otreg.transport.reductions.triton_blocks import TritonReduction, triton_is_installed
from tests.transport.generators import cloud, moved, sphere

pytestmark = [
    pytest.mark.skipif(not triton_is_installed(), reason="triton is not installed"),
    # NumPy, which stands in for the GPU, warns of what rows with a bad guess do on purpose.
    pytest.mark.filterwarnings("ignore:(overflow|invalid value|divide by zero) encountered"),
]


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[torch.device]:
    """The GPU; without one, the interpreter is switched on, which must come before the first import of triton."""
    if torch.cuda.is_available():
        yield torch.device("cuda")
        return
    if "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("triton was imported before its interpreter could be switched on")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        yield torch.device("cpu")


@pytest.fixture
def no_shortcut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small problems are summed in single precision, too."""
    monkeypatch.setattr(triton_blocks, "_FEW_PAIRS", 0)


def on(device: torch.device, m: Measure) -> Measure:
    return Measure(*(None if t is None else t.to(device) for t in (m.points, m.weights, m.features)))


def coupled(device: torch.device, a: Measure, b: Measure, at: Temperature):
    """Two sorted clouds, with softmins f and g on them that have not converged, and the reference's coupling."""
    x, y = (TritonReduction().pyramid(on(device, m), 1e-9).levels[0] for m in (a, b))
    dense = DenseCoupling(x, y, at.eps, at.p)
    f, g = (Potential(torch.zeros_like(c.weights), c.points) for c in (x, y))
    for _ in range(3):
        f = dense.rows(at.target_damping * g.values, f, moments=1)
        g = dense.columns(at.source_damping * f.values, g, moments=1)
    return x, y, f, g, dense


def assert_same(one: Potential, other: Potential, eps: float, *, values: float, image: float, jacobian: float) -> None:
    """values: difference in units of eps; image: in lengths; jacobian: relative to the largest entry."""
    assert (one.values - other.values).abs().max() <= values * eps
    assert (one.image - other.image).abs().max() <= image
    assert (one.jacobian is None) == (other.jacobian is None)
    if one.jacobian is not None and other.jacobian is not None:
        assert (one.jacobian - other.jacobian).abs().max() <= jacobian * other.jacobian.abs().max()


def pair(space: int, step: float = 0.2) -> tuple[Measure, Measure]:
    """Two measures of two and three blocks in the plane (2), in space (3) or with two features there (5)."""
    if space == 2:
        return cloud(100, 2, 1), moved(cloud(150, 2, 2), [step, 0.0])
    a, b = sphere(100, 1), moved(sphere(150, 2), [step, 0.0, 0.1])
    if space == 3:
        return a, b
    return tuple(Measure(m.points, m.weights, 0.3 * torch.sin(9 * m.points[:, :2])) for m in (a, b))


@pytest.mark.usefixtures("no_shortcut")
@pytest.mark.parametrize("exact", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("space", [2, 3, 5])
@pytest.mark.parametrize("p", [1, 2])
def test_sums_and_derivatives_agree_with_all_pairs(device, p, space, exact):
    at = Temperature(p, 0.1**p, 0.9, 0.8, 40.0)
    x, y, f, g, dense = coupled(device, *pair(space), at)
    coupling = TritonReduction(exact=exact).couple(x, y, f, g, at)
    assert coupling.rounding == (3e-14 if exact else 2e-6)
    close = {"values": 1e-12, "image": 1e-12, "jacobian": 1e-11} if exact else {}
    close = close or {"values": 1e-5, "image": 1e-5 if p == 2 else 1e-4, "jacobian": 1e-4}
    seen_f, seen_g = 0.9 * f.values, 0.8 * g.values
    assert_same(coupling.rows(seen_g, f, moments=2), dense.rows(seen_g, f, moments=2), at.eps, **close)
    assert_same(coupling.columns(seen_f, g, moments=1), dense.columns(seen_f, g, moments=1), at.eps, **close)
    kept = coupling.rows(seen_g, f, moments=0)
    assert kept.image is f.image
    assert (kept.values - dense.rows(seen_g, f, moments=0).values).abs().max() <= close["values"] * at.eps


@pytest.mark.usefixtures("no_shortcut")
@pytest.mark.parametrize("off", [-200.0, 200.0])
@pytest.mark.parametrize("p", [1, 2])
def test_rows_with_a_bad_guess_are_done_again_exactly(device, p, off):
    at = Temperature(p, 0.1**p, 1.0, 1.0, 400.0)
    x, y, f, g, dense = coupled(device, *pair(3), at)
    guess = Potential(f.values + off * at.eps * (torch.arange(len(x), device=device) % 3 == 0), f.image)
    coupling = TritonReduction().couple(x, y, guess, g, at)
    some, exact = coupling.rows(g.values, guess, moments=1), dense.rows(g.values, f, moments=1)
    assert_same(some, exact, at.eps, values=2e-4, image=2e-4, jacobian=0)
    again = torch.arange(len(x), device=device) % 3 == 0
    assert (some.values - exact.values)[again].abs().max() <= 1e-12 * at.eps


@pytest.mark.usefixtures("no_shortcut")
@pytest.mark.parametrize("p", [1, 2])
def test_blocks_that_are_wide_against_the_blur_are_summed_in_double_precision(device, p):
    at = Temperature(p, 0.005**p if p == 2 else 1e-4, 1.0, 1.0, 40.0)
    x, y, f, g, dense = coupled(device, *pair(3), at)
    coupling = TritonReduction().couple(x, y, f, g, at)
    close = {"values": 1e-8, "image": 1e-10, "jacobian": 1e-6}
    assert_same(coupling.rows(g.values, f, moments=2), dense.rows(g.values, f, moments=2), at.eps, **close)


@pytest.mark.usefixtures("no_shortcut")
def test_a_displacement_of_ten_diagonals_costs_no_precision(device):
    at = Temperature(2, 0.05**2, 1.0, 1.0, 40.0)
    x, y, f, g, dense = coupled(device, *pair(3, step=10.0), at)
    coupling = TritonReduction().couple(x, y, f, g, at)
    assert_same(
        coupling.rows(g.values, f, moments=2),
        dense.rows(g.values, f, moments=2),
        at.eps,
        values=2e-5,
        image=2e-5,
        jacobian=1e-4,
    )


@pytest.mark.usefixtures("no_shortcut")
def test_only_active_blocks_are_summed_and_columns_without_mass_count_for_nothing(device):
    at = Temperature(2, 0.03**2, 1.0, 1.0, 9.0)
    along = torch.tensor([2.0, 0.02, 0.02], dtype=torch.float64)
    a, b = (Measure(m.points * along, m.weights) for m in (cloud(300, 3, 3), cloud(260, 3, 4)))
    b = Measure(b.points, torch.where(b.points[:, 0] > 0.9, 0.0, b.weights))
    x, y, f, g, dense = coupled(device, a, b, at)
    f = dense.rows(g.values, f, moments=1)  # with it, rows sum to one
    coupling = TritonReduction().couple(x, y, f, g, at)
    assert coupling._search.rows.share(5) < 0.9
    # What is left out of a row is below what the search says, on average.
    loss = torch.expm1((coupling.rows(g.values, f, moments=0).values - f.values) / at.eps)
    assert float((loss * x.weights).sum()) <= coupling.dropped + 2e-5
    assert loss.min() >= -2e-5


def test_one_point_against_many(device):
    at = Temperature(2, 0.01, 1.0, 1.0, 20.0)
    x, y, f, g, dense = coupled(device, Measure(torch.zeros(1, 3).double(), torch.ones(1).double()), sphere(80, 5), at)
    coupling = TritonReduction().couple(x, y, f, g, at)
    close = {"values": 1e-8, "image": 1e-8, "jacobian": 1e-6}
    assert_same(coupling.rows(g.values, f, moments=2), dense.rows(g.values, f, moments=2), at.eps, **close)
    assert_same(coupling.columns(f.values, g, moments=1), dense.columns(f.values, g, moments=1), at.eps, **close)


@pytest.mark.slow
@pytest.mark.usefixtures("no_shortcut")
@pytest.mark.parametrize(("p", "reach"), [(2, None), (2, 0.4), (1, None)])
def test_a_whole_problem_is_solved_like_the_reference(device, p, reach):
    a, b = on(device, sphere(70, 6)), on(device, moved(sphere(60, 7), [0.1, 0.0, 0.0]))
    settings = {"blur": 0.2, "reach": reach, "p": p, "tolerance": 1e-3, "cell": 1e-3}
    fast, exact = (Sinkhorn(reduction=name, **settings)(a, b) for name in ("triton", "dense"))
    assert fast.reduction == "triton" and fast.converged
    assert fast.value == pytest.approx(exact.value, abs=fast.error + exact.error + 1e-5 * 0.2**p)
    assert (fast.displacement - exact.displacement).square().sum(1).mean().sqrt() <= 0.01


def test_points_in_main_memory_are_refused_without_the_interpreter(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ArgumentError, match=r"works on points on a CUDA device; got points on cpu\. Use 'cpu'"):
        select_reduction("triton", sphere(5, 1))


def test_without_triton_the_error_names_what_to_use(monkeypatch):
    monkeypatch.setattr(triton_blocks, "triton_is_installed", lambda: False)
    with pytest.raises(ResourceError, match=r"needs Triton, which is missing\. Use 'keops', 'cpu' or 'dense'"):
        select_reduction("triton", sphere(5, 1))


@pytest.mark.parametrize(
    ("broken", "coordinates", "chosen"),
    [((), 7, "triton"), (("triton",), 7, "keops"), (("triton", "keops"), 7, "dense"), ((), 13, "keops")],
)
def test_on_a_gpu_triton_comes_before_keops_and_keops_before_dense(monkeypatch, broken, coordinates, chosen):
    def compiles(name):
        def check(*_):
            if name in broken:
                raise ResourceError("no compiler")

        return check

    monkeypatch.setattr(triton_blocks, "_compiles", compiles("triton"))
    monkeypatch.setattr(KeopsReduction, "check", compiles("keops"))
    reductions._fastest.cache_clear()
    there = SimpleNamespace(
        points=SimpleNamespace(device=torch.device("cuda")), coordinates=torch.zeros(1, coordinates)
    )
    assert select_reduction("auto", there).name == chosen
    if chosen == "triton":
        assert select_reduction("auto", there, exact=True).exact
    reductions._fastest.cache_clear()


def test_many_coordinates_are_refused_with_what_to_use(device):
    m = on(device, cloud(5, 13, 1))
    with pytest.raises(ArgumentError, match=r"at most 12 coordinates, features included; got 13\. Use 'keops'"):
        select_reduction("triton", m)


def test_a_compiler_that_fails_is_a_resource_error_that_says_so(monkeypatch, device):
    class Broken:
        def __getitem__(self, grid):
            raise RuntimeError("Failed to find C compiler.\nPlease specify via CC")

    monkeypatch.setattr(triton_blocks, "_kernels", lambda: SimpleNamespace(nothing=Broken()))
    triton_blocks._compiles.cache_clear()
    message = (
        r"could not compile a kernel: RuntimeError: Failed to find C compiler\. Please specify via CC\. Install gcc"
    )
    with pytest.raises(ResourceError, match=message):
        select_reduction("triton", on(device, sphere(5, 1)))


def test_kernels_are_launched_on_the_device_of_the_points(monkeypatch, device):
    entered = []
    real = torch.cuda.device_of

    def noted(tensor):
        entered.append(tensor.device)
        return real(tensor)

    at = Temperature(2, 0.01, 1.0, 1.0, 20.0)
    x, y, f, g, _ = coupled(device, sphere(20, 1), sphere(30, 2), at)
    coupling = TritonReduction().couple(x, y, f, g, at)
    monkeypatch.setattr(torch.cuda, "device_of", noted)
    coupling.rows(g.values, f, moments=0)
    assert entered == [x.points.device]


COMPILE = """
import sys
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from otreg.transport.reductions import triton_kernels
sizes = {"D": 3, "FIRST": 4, "SECOND": 8, "ROWS": 64}
tiles = ((triton_kernels.softmin_fast, {"COLUMNS": 32, "PARTS": 2}), (triton_kernels.softmin_exact, {"COLUMNS": 64}))
kinds = {"n": "i32", "m": "i32", "starts": "*i64", "columns": "*i64", "redo": "*i32"}
for kernel, tile in tiles:
    for p, moments in ((1, 1), (2, 2)):  # with all that is left out of the others
        constants = {**sizes, **tile, "P": p, "MOMENTS": moments}
        types = {name: "constexpr" if name in constants else kinds.get(name, "*fp64") for name in kernel.arg_names}
        source = ASTSource(kernel, types, constants)
        options = {"num_warps": 8, "enable_fp_fusion": True}
        print(len(compile(source, target=GPUTarget("cuda", int(sys.argv[1]), 32), options=options).asm["cubin"]) > 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles_to_machine_code_of_a_gpu(tmp_path, capability):
    # Triton's compiler needs no GPU. The interpreter accepts more than the compiler does.
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"}
    command = [sys.executable, "-c", COMPILE, str(capability)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280)
    assert done.stdout.split() == ["True"] * 4, done.stderr


def test_clouds_keep_their_order_and_device(device):
    level = TritonReduction().pyramid(on(device, cloud(50, 4, 1)), 0.1).levels
    assert len(level) == 1 and isinstance(level[0], Cloud)
    assert level[0].points.device.type == device.type
