"""KeOps agrees with the reference over active blocks, stays silent on stdout, compiles once for several processes, and
says what to do without a compiler.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from otreg.errors import ResourceError
from otreg.measures import Measure
from otreg.transport.reductions.base import Potential, Temperature
from otreg.transport.reductions.blocks import ActivePairs
from otreg.transport.reductions.dense import DenseCoupling
from otreg.transport.reductions.keops import KeopsReduction, _kernel, ranges_of
from tests.transport.conftest import require_keops
from tests.transport.generators import cloud


def coupled(p: int, blur: float, features: int, cut: float):
    """The coupling of two long thin clouds at softmins of the reference, and the reference's."""
    along = torch.tensor([2.0, 0.02, 0.02], dtype=torch.float64)
    measures = [Measure(m.points * along, m.weights) for m in (cloud(1500, 3, 1), cloud(1300, 3, 2))]
    if features:
        measures = [Measure(m.points, m.weights, torch.sin(9 * m.points[:, :features])) for m in measures]
    x, y = (KeopsReduction().pyramid(m, 1e-9).levels[0] for m in measures)
    at = Temperature(p, blur**p, 0.9, 0.8, cut)
    dense = DenseCoupling(x, y, at.eps, p)
    f, g = (Potential(torch.zeros_like(c.weights), c.points) for c in (x, y))
    for _ in range(3):
        g = dense.columns(0.9 * f.values, g, moments=1)
        f = dense.rows(0.8 * g.values, f, moments=1)
    return KeopsReduction().couple(x, y, f, g, at), dense, f, g, at.eps


@pytest.mark.parametrize(("p", "blur", "features"), [(1, 0.005, 0), (2, 0.02, 0), (2, 0.5, 2)])
def test_sums_over_active_blocks_agree_with_all_pairs(p, blur, features):
    require_keops()
    coupling, dense, f, g, eps = coupled(p, blur, features, cut=30.0)
    assert (coupling._row_ranges is None) == bool(features), "both ways of summing are to be tested"
    for moments in (0, 1, 2):
        pairs = [
            (some.rows(0.8 * g.values, f, moments=moments), some.columns(0.9 * f.values, g, moments=moments))
            for some in (coupling, dense)
        ]
        for ours, exact in zip(*pairs, strict=True):
            assert (ours.values - exact.values).abs().max() <= 1e-9 * eps
            assert (ours.image - exact.image).abs().max() <= 1e-9
            assert (ours.jacobian is None) == (exact.jacobian is None) == (moments < 2 or p == 1)
            if ours.jacobian is not None:
                assert (ours.jacobian - exact.jacobian).abs().max() <= 1e-8 * exact.jacobian.abs().max()


def test_what_is_left_out_is_no_more_than_is_stated():
    require_keops()
    coupling, _, f, g, eps = coupled(2, 0.02, 0, cut=0.5)
    lost = 1 - torch.exp((f.values - coupling.rows(0.8 * g.values, f, moments=0).values) / eps)
    weights = coupling._source.weights
    assert lost.max() > 1e-9, "with such a cut something is left out"
    assert 0 < float((lost * weights).sum() / weights.sum()) <= coupling.dropped


def test_neighbouring_blocks_become_one_range():
    pairs = ActivePairs(torch.tensor([0, 3, 4, 6]), torch.tensor([0, 1, 3, 2, 2, 3]), torch.zeros(3))
    taken, ends, summed, *rest = ranges_of(pairs, rows=23, columns=37, size=10)
    assert taken.tolist() == [[0, 10], [10, 20], [20, 23]]
    assert ends.tolist() == [2, 3, 4]
    assert summed.tolist() == [[0, 20], [30, 37], [20, 30], [20, 37]]
    assert all(tensor.dtype == torch.int64 for tensor in (taken, ends, summed, *rest)), "else KeOps copies them"


def test_points_in_main_memory_stay_there_when_keops_finds_a_gpu(monkeypatch):
    require_keops()
    import pykeops

    monkeypatch.setattr(pykeops.config, "gpu_available", True)
    point = torch.zeros(1, 3, dtype=torch.float64)
    kernel = _kernel.__wrapped__(2, 1, 3, point.device)
    assert kernel(point, point, point[:, :1], point[0, :1]).tolist() == [[0.0, 1.0, 0.0, 0.0, 0.0]]


def test_points_on_a_gpu_that_keops_does_not_find_are_refused(monkeypatch):
    # It would read the memory of the device as if it were main memory.
    require_keops()
    import pykeops

    monkeypatch.setattr(pykeops.config, "gpu_available", False)
    with pytest.raises(ResourceError, match=r"KeOps finds no CUDA driver and nvrtc\. Install g\+\+ and CUDA's nvrtc"):
        KeopsReduction.check(torch.device("cuda", 99), 3)  # a device of which nothing has been compiled yet


SOLVE = """
import torch
from otreg.measures import Measure
from otreg.transport import Sinkhorn
x = torch.arange(12, dtype=torch.float64).view(6, 2)
a = torch.full((6,), 1 / 6, dtype=torch.float64)
print(round(Sinkhorn(blur=1.0, reduction="keops")(Measure(x, a), Measure(x + 1, a)).value, 3))
"""


def start(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.slow
def test_two_processes_compile_at_once_and_print_nothing_but_their_answers(tmp_path):
    require_keops()
    both = [start(SOLVE, KEOPS_CACHE_FOLDER=str(tmp_path)) for _ in range(2)]
    assert [process.communicate(timeout=200) for process in both] == [("1.0\n", ""), ("1.0\n", "")]


ERROR = """
from otreg.errors import ResourceError
try:
    exec(SOLVE)
except ResourceError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("compiler", ["none", "broken"])
def test_without_a_working_compiler_the_error_says_what_to_do(tmp_path: Path, compiler):
    tools = tmp_path / "bin"
    tools.mkdir()
    if compiler == "broken":
        (tools / "g++").write_text("#!/bin/sh\necho no >&2\nexit 1\n")
        (tools / "g++").chmod(0o755)
    code = f"SOLVE = {SOLVE!r}\n{ERROR}"
    out, err = start(code, PATH=str(tools), CXX="", KEOPS_CACHE_FOLDER=str(tmp_path / "cache")).communicate(timeout=200)
    reason = {"none": "no C++ compiler was found", "broken": "the C++ compiler failed"}[compiler]
    assert out == (
        f"ResourceError reduction 'keops' could not compile its kernel: {reason}. "
        "Install g++ or use --reduction dense or cpu.\n"
    )
    assert err == ""


def test_a_cache_that_cannot_be_written_is_a_resource_error(tmp_path):
    (tmp_path / "file").touch()
    code = f"SOLVE = {SOLVE!r}\n{ERROR}"
    out, _ = start(code, KEOPS_CACHE_FOLDER=str(tmp_path / "file")).communicate(timeout=200)
    assert out.startswith("ResourceError reduction 'keops' could not compile its kernel: ")
    assert len(out.splitlines()) == 1


def test_the_library_does_not_import_keops_before_it_is_asked_for():
    code = "import sys, otreg.transport, otreg.transport.reductions.keops; print('pykeops' in sys.modules)"
    assert start(code).communicate(timeout=200) == ("False\n", "")
