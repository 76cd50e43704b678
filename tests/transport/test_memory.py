"""The plan is never stored: large problems take memory in proportion to their points."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource, torch
from otreg.measures import Measure
from otreg.transport import Sinkhorn
def surface(n, seed):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, dtype=torch.float64, generator=rng)
    return Measure(0.29 * x / x.norm(dim=1, keepdim=True), torch.full((n,), 1 / n, dtype=torch.float64))
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def solve(n):
    a, b = surface(n, 1), surface(n, 2)
    transport = Sinkhorn(blur=0.02, reduction="REDUCTION", tolerance=TOLERANCE)(a, b)
    assert transport.displacement.isfinite().all() and transport.converged
solve(SMALL)
before = peak()
solve(LARGE)
print(peak() - before)
"""


def extra_mebibytes(reduction: str, small: int, large: int, tolerance: float) -> float:
    code = CODE.replace("REDUCTION", reduction).replace("SMALL", str(small)).replace("LARGE", str(large))
    code = code.replace("TOLERANCE", str(tolerance))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@pytest.mark.slow
def test_two_hundred_thousand_points_a_side_stay_under_a_gibibyte():
    # A stored plan of this size would be 320 GB.
    assert extra_mebibytes("cpu", 2_000, 200_000, 1e-3) < 1024


@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["dense", "keops"])
def test_all_pairs_are_summed_without_being_stored(reduction):
    # 5,000 by 5,000 float64 are 190 MiB.
    assert extra_mebibytes(reduction, 500, 5_000, 10.0) < 95
