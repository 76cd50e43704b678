"""Slices of columns that are left out hold next to nothing, and the bound on it is a bound: against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from otreg.measures import Measure
from otreg.transport.pyramid import Cloud, build_pyramid
from otreg.transport.reductions.base import Potential, Temperature
from otreg.transport.reductions.cpu import CpuCoupling, CpuReduction
from otreg.transport.reductions.cpu_blocks import BLOCK, SLICE
from otreg.transport.reductions.cpu_search import drop_weak_blocks
from otreg.transport.reductions.cpu_softmin import _exp2
from otreg.transport.reductions.dense import DenseCoupling
from tests.transport.generators import CPU, cloud, dense_plan, moved, sphere

CUT = 14.0


def coupled(seed: int, diagonals: float, blur: float, flat: bool, p: int = 2, features: int = 0):
    """Two sorted clouds with potentials from real, unconverged, softmins, and their dense plan with exact rows."""
    make = (lambda n, s: cloud(n, 3, s)) if flat else sphere
    a, b = make(700, seed), moved(make(600, seed + 1), [diagonals, -0.3 * diagonals, 0.0])
    if features:
        a, b = (Measure(m.points, m.weights, cloud(len(m), features, seed + 2).points) for m in (a, b))
    x, y = (build_pyramid(m, 1e-9).levels[0] for m in (a, b))
    eps = blur**p
    dense = DenseCoupling(x, y, eps, p)
    nothing = Potential(torch.zeros_like(x.weights), x.points)
    f = dense.rows(torch.zeros_like(y.weights), nothing, moments=1)
    for _ in range(3):
        g = dense.columns(f.values, Potential(torch.zeros_like(y.weights), y.points), moments=1)
        f = dense.rows(g.values, f, moments=1)
    return x, y, f, g, eps, dense_plan(x, y, f.values, g.values, eps, p) / x.weights[:, None]


PROBLEMS = {
    "seed": st.integers(0, 1000),
    "diagonals": st.sampled_from([0.0, 0.2, 5.0]),
    "blur": st.floats(0.03, 0.3),
    "flat": st.booleans(),
    "p": st.sampled_from([1, 2]),
    "features": st.sampled_from([0, 2]),
}


@given(**PROBLEMS)
@settings(max_examples=30)
def test_a_slice_that_is_left_out_holds_less_than_the_threshold(seed, diagonals, blur, flat, p, features):
    x, y, f, g, eps, share = coupled(seed, diagonals, blur, flat, p, features)
    coupling = CpuReduction().couple(x, y, f, g, Temperature(p, eps, 1.0, 1.0, CUT))
    kept, lost = kept_and_lost(coupling, share.numpy())
    for i, j in zip(*np.nonzero(~kept), strict=True):
        rows, columns = (slice(size * k, size * k + size) for k, size in ((i, BLOCK), (j, SLICE)))
        assert share[rows, columns].sum(1).max() <= math.exp(-CUT) * (1 + 1e-9)
    # The stated bound on what is lost, averaged over the rows by mass, is one.
    assert float(x.weights @ torch.from_numpy(lost)) / float(x.weights.sum()) <= coupling.dropped * (1 + 1e-9) + 1e-15
    assert coupling.dropped <= len(kept[0]) * math.exp(-CUT)


def kept_and_lost(coupling: CpuCoupling, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(row blocks, column slices) whether each is summed, and (n,) what each row loses in the others."""
    starts, active = coupling._rows._starts, coupling._rows._active
    n, m = share.shape
    kept = np.zeros((len(starts) - 1, -(-m // SLICE)), dtype=bool)
    for i in range(len(kept)):
        kept[i, active[starts[i] : starts[i + 1]]] = True
    mask = kept.repeat(BLOCK, 0)[:n].repeat(SLICE, 1)[:, :m]
    return kept, (share * ~mask).sum(1)


def test_truncation_leaves_out_far_pairs_of_a_larger_problem():
    # Otherwise the tests above would hold for a search that keeps everything.
    a, b = sphere(3000, 1), moved(sphere(2500, 2), [0.2, 0.0, 0.0])
    cross = CPU.solve(a, b, 0.03, tolerance=1e-3, cell=1e-3, cut=CUT)._cross.last
    x, y = cross.plan.source, cross.plan.target
    assert (len(x), len(y)) == (3000, 2500)
    share = dense_plan(x, y, cross.f.values, cross.g.values, 0.03**2) / x.weights[:, None]
    kept, lost = kept_and_lost(cross.coupling, share.numpy())
    assert kept.mean() < 0.7
    assert kept.any(1).all()
    assert 0 < float(x.weights @ torch.from_numpy(lost)) <= cross.coupling.dropped


@pytest.mark.parametrize("diagonals", [0.0, 30.0])
def test_blocks_are_summed_by_how_far_their_boxes_are_apart(diagonals):
    # A plate, its points about a blur apart, and the potentials that carry it off as it is.
    blur = 0.02
    side = 1.2 * blur * torch.arange(48, dtype=torch.float64)
    plate = torch.cartesian_prod(side, side, torch.zeros(1, dtype=torch.float64))
    x = build_pyramid(Measure(plate, torch.full((len(plate),), 1 / len(plate), dtype=torch.float64)), 1e-9).levels[0]
    way = diagonals * torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    y = Cloud(x.points + way, x.weights, 0.0, None)
    f = Potential(-(x.points @ way), y.points)
    g = Potential(y.points @ way - way @ way / 2, x.points)
    coupling = CpuReduction().couple(x, y, f, g, Temperature(2, blur**2, 1.0, 1.0, CUT))
    starts, active = coupling._rows._starts, coupling._rows._active
    gap = 0.0
    for i, j in zip(np.arange(len(starts) - 1).repeat(np.diff(starts)), active, strict=True):
        rows, columns = x.points[i * BLOCK :][:BLOCK], x.points[j * SLICE :][:SLICE]
        apart = torch.maximum(rows.amin(0) - columns.amax(0), columns.amin(0) - rows.amax(0)).clamp_min(0)
        gap = max(gap, float(apart.norm()))
    assert 0 < gap**2 / 2 <= CUT * blur**2 * (1 + 1e-6)


@given(**PROBLEMS)
@settings(max_examples=20)
def test_sums_over_active_blocks_agree_with_all_pairs(seed, diagonals, blur, flat, p, features):
    x, y, f, g, eps, _ = coupled(seed, diagonals, blur, flat, p, features)
    guess = Potential(f.values + 0.5 * eps, f.image)
    coupling = CpuReduction().couple(x, y, guess, g, Temperature(p, eps, 1.0, 1.0, CUT))
    exact, fast = DenseCoupling(x, y, eps, p).rows(g.values, f, moments=1), coupling.rows(g.values, guess, moments=1)
    assert (fast.values - exact.values).abs().max() <= 2e-3 * eps
    assert (fast.image - exact.image).abs().max() <= 2e-3
    back = DenseCoupling(x, y, eps, p).columns(f.values, g, moments=1), coupling.columns(f.values, g, moments=1)
    assert (back[0].values - back[1].values).abs().max() <= 2e-3 * eps
    assert (back[0].image - back[1].image).abs().max() <= 2e-3


def test_blocks_measured_to_be_empty_are_skipped_without_a_trace():
    x, y, f, g, eps, _ = coupled(2, 0.2, 0.05, False)
    coupling = CpuReduction().couple(x, y, f, g, Temperature(2, eps, 1.0, 1.0, CUT))
    before = len(coupling._rows._active)
    first = coupling.rows(g.values, f, moments=1)
    coupling.columns(f.values, g, moments=1)
    coupling.settle()
    second = coupling.rows(g.values, f, moments=1)
    assert len(coupling._rows._active) < before
    assert (first.values - second.values).abs().max() <= 1e-4 * eps
    assert (first.image - second.image).abs().max() <= 1e-4


@pytest.mark.parametrize("off", [-100.0, -30.0, 30.0, 100.0])
def test_a_bad_guess_is_repaired_row_by_row(off):
    x, y, f, g, eps, _ = coupled(3, 0.2, 0.1, False)
    coupling = CpuReduction().couple(x, y, f, g, Temperature(2, eps, 1.0, 1.0, CUT))
    good = coupling.rows(g.values, f, moments=1)
    bad = coupling.rows(g.values, Potential(f.values + off * eps, f.image), moments=1)
    assert (bad.values - good.values).abs().max() <= 1e-3 * eps
    assert (bad.image - good.image).abs().max() <= 1e-3


def test_weak_blocks_go_and_every_row_keeps_its_strongest():
    starts, columns = np.array([0, 3, 5]), np.array([4, 7, 9, 1, 2], dtype=np.int32)
    peak = np.array([0.5, 1e-9, 0.2, 1e-12, 1e-10], dtype=np.float32)
    new_starts, kept, lost = drop_weak_blocks(starts, columns, peak, 1e-6)
    assert new_starts.tolist() == [0, 2, 3]
    assert lost.tolist() == pytest.approx([1e-9, 1.01e-10], rel=1e-5)
    assert kept.tolist() == [4, 9, 2]


@njit
def _powers(x, out):
    for i in range(x.shape[0]):
        out[i] = _exp2(x[i])


def test_powers_of_two_are_accurate_to_single_precision():
    x = np.linspace(-125.5, 125.5, 200_001).astype(np.float32)
    out = np.empty_like(x)
    _powers(x, out)
    assert np.abs(out / np.exp2(x.astype(np.float64)) - 1).max() <= 3e-7
    _powers(extremes := np.array([-1e30, -200, 200, 1e30], dtype=np.float32), out := np.empty(4, dtype=np.float32))
    assert len(extremes) == len(out)
    assert out[:2].max() <= 2e-38  # nothing, but a number
    assert np.isfinite(out).all() and out[2:].min() >= 2.0**125
