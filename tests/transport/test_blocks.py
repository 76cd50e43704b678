"""Pairs of blocks that are left out hold next to nothing, and the bound on it is a bound: against brute force."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.measures import Measure
from otreg.transport.pyramid import Cloud
from otreg.transport.pyramid_torch import build_pyramid_on_device
from otreg.transport.reductions import blocks
from otreg.transport.reductions.base import Potential
from otreg.transport.reductions.blocks import (
    ActivePairs,
    find_active_pairs,
    largest_exponents,
    number_of_sizes,
    statistics_of_sizes,
)
from otreg.transport.reductions.dense import DenseCoupling
from tests.transport.generators import moved, sphere

CUT = 9.0
SIZE = 16


def coupled(seed: int, *, p: int, diagonals: float, blur: float, n: int = 500, features: bool = False):
    """Two sorted clouds, softmins f and potentials g on them, unconverged, and the shares (n, m) of each row."""
    a, b = sphere(n, seed), moved(sphere(n - 70, seed + 1), [diagonals, -0.3 * diagonals, 0.0])
    if features:
        a, b = (Measure(m.points, m.weights, (m.points - m.mean)[:, :2] * 2) for m in (a, b))
    x, y = (build_pyramid_on_device(m, 1e-9).levels[0] for m in (a, b))
    dense = DenseCoupling(x, y, blur**p, p)
    g = Potential(torch.zeros_like(y.weights), y.points)
    f = Potential(torch.zeros_like(x.weights), x.points)
    for _ in range(3):
        f = dense.rows(g.values, f, moments=1)
        g = dense.columns(f.values, g, moments=1)
    f = dense.rows(g.values, f, moments=1)
    return x, y, f, g, shares(x, y, f.values, g.values, blur**p, p)


def shares(x: Cloud, y: Cloud, f: torch.Tensor, g: torch.Tensor, eps: float, p: int) -> torch.Tensor:
    """(n, m) b_j exp((f_i + g_j - C_ij) / eps), stored: rows of a softmin f sum to one."""
    cost = (x.points[:, None] - y.points[None]).square().sum(2)
    cost = cost.sqrt() if p == 1 else cost / 2
    return torch.exp((f[:, None] + g[None] - cost) / eps) * y.weights


def searched(x: Cloud, y: Cloud, f: Potential, g: Potential, eps: float, p: int) -> ActivePairs:
    sizes = max(number_of_sizes(len(c), SIZE) for c in (x, y)) + 1  # one more than needed, so that pairs are split
    rows, columns = (statistics_of_sizes(c, h, size=SIZE, sizes=sizes, p=p) for c, h in ((x, f), (y, g)))
    return find_active_pairs(rows, columns, eps=eps, cut=CUT, p=p)


def mask(pairs: ActivePairs, x: Cloud, y: Cloud) -> torch.Tensor:
    """(n, m) True where a pair of points is summed."""
    blocks = torch.zeros(-(-len(x) // SIZE), -(-len(y) // SIZE), dtype=torch.bool)
    blocks[pairs.rows, pairs.columns] = True
    assert int(blocks.sum()) == len(pairs.columns), "a pair of blocks occurs twice"
    return blocks.repeat_interleave(SIZE, 0)[: len(x)].repeat_interleave(SIZE, 1)[:, : len(y)]


@given(
    seed=st.integers(0, 1000),
    p=st.sampled_from([1, 2]),
    diagonals=st.sampled_from([0.0, 0.2, 5.0]),
    blur=st.floats(0.02, 0.3),
    features=st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_what_is_left_out_holds_less_than_it_says(seed, p, diagonals, blur, features):
    x, y, f, g, share = coupled(seed, p=p, diagonals=diagonals, blur=blur, features=features)
    pairs = searched(x, y, f, g, blur**p, p)
    kept = mask(pairs, x, y)
    lost = (share * ~kept).sum(1)
    assert (lost <= pairs.dropped.repeat_interleave(SIZE)[: len(x)] * (1 + 1e-9) + 1e-15).all()
    assert kept.any(1).all()
    # No block of rows and columns that was left out holds more than the threshold in any of its rows.
    padded = torch.nn.functional.pad(share * ~kept, (0, -len(y) % SIZE))
    assert padded.view(len(x), -1, SIZE).sum(2).max() <= math.exp(-CUT) * (1 + 1e-9)


@pytest.mark.parametrize("p", [1, 2])
def test_far_pairs_are_left_out_and_rows_come_in_order(p):
    # Otherwise the test above would hold for a search that keeps everything.
    blur = 0.03 if p == 2 else 0.01
    x, y, f, g, _ = coupled(1, p=p, diagonals=0.2, blur=blur, n=3000)
    pairs = searched(x, y, f, g, blur**p, p)
    assert pairs.share(-(-len(y) // SIZE)) < 0.4
    assert 0 < float(pairs.dropped.mean()) < 0.1
    assert (pairs.starts.diff() > 0).all()
    for first, last in zip(pairs.starts[:-1].tolist(), pairs.starts[1:].tolist(), strict=True):
        assert (pairs.columns[first:last].diff() > 0).all()


def test_searches_through_several_sizes_and_through_one_agree_on_what_matters():
    x, y, f, g, share = coupled(2, p=2, diagonals=0.1, blur=0.03)
    flat = find_active_pairs(
        *([statistics_of_sizes(c, h, size=SIZE, sizes=1, p=2)[0]] for c, h in ((x, f), (y, g))), eps=9e-4, cut=CUT, p=2
    )
    deep = searched(x, y, f, g, 9e-4, 2)
    one, other = mask(flat, x, y), mask(deep, x, y)
    assert (other <= one).all(), "larger blocks only leave out more"
    assert (share * (one & ~other)).sum(1).max() <= float(deep.dropped.max())


@pytest.mark.parametrize("p", [1, 2])
def test_rows_beyond_everything_keep_the_most_likely_block(p):
    x, y, f, g, _ = coupled(3, p=p, diagonals=0.0, blur=0.1)
    hopeless = Potential(f.values - 100, f.image)  # nothing can matter
    pairs = searched(x, y, hopeless, g, 0.01, p)
    assert pairs.starts.diff().tolist() == [1] * (len(pairs.starts) - 1)
    cost = (x.points[:, None] - y.points[None]).norm(dim=2)
    exponent = hopeless.values[:, None] + g.values - (cost if p == 1 else cost.square() / 2)
    largest = torch.nn.functional.pad(exponent.amax(1), (0, -len(x) % SIZE), value=-torch.inf).view(-1, SIZE).amax(1)
    rows, columns = (statistics_of_sizes(c, h, size=SIZE, sizes=1, p=p)[0] for c, h in ((x, hopeless), (y, g)))
    bound = largest_exponents(rows, columns.take(pairs.columns), p)
    # The largest of all bounds is no less than the largest exponent.
    assert (bound >= largest).all()


def test_one_point_against_many_is_one_row_of_pairs():
    y = build_pyramid_on_device(sphere(300, 4), 1e-9).levels[0]
    x = Cloud(y.points[:1], torch.ones(1, dtype=torch.float64), 0.0, None)
    dense = DenseCoupling(x, y, 0.01)
    g = Potential(torch.zeros_like(y.weights), y.points)
    f = dense.rows(g.values, Potential(torch.zeros(1, dtype=torch.float64), x.points), moments=1)
    pairs = searched(x, y, f, g, 0.01, 2)
    assert len(pairs.dropped) == 1
    share = shares(x, y, f.values, g.values, 0.01, 2)
    assert float((share * ~mask(pairs, x, y)).sum()) <= float(pairs.dropped[0]) + 1e-15


def test_a_cloud_needs_more_sizes_the_larger_it_is():
    assert [number_of_sizes(n, 64) for n in (1, 4096, 4097, 2**20, 10**7)] == [1, 1, 2, 5, 7]


def test_a_search_that_runs_out_of_memory_goes_on_with_fewer_pairs_at_a_time(monkeypatch):
    x, y, f, g, _ = coupled(3, p=2, diagonals=0.2, blur=0.05)
    whole = searched(x, y, f, g, 0.05**2, 2)
    real, sizes = blocks.largest_exponents, []

    def short_of_memory(rows, columns, p):
        sizes.append(len(rows))
        if len(rows) > 100:
            raise torch.OutOfMemoryError("out of memory")
        return real(rows, columns, p)

    monkeypatch.setattr(blocks, "largest_exponents", short_of_memory)
    parts = searched(x, y, f, g, 0.05**2, 2)
    assert max(sizes) > 100
    assert torch.equal(parts.columns, whole.columns) and torch.equal(parts.starts, whole.starts)
    assert torch.equal(parts.dropped, whole.dropped)
