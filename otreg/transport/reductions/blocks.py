"""Which blocks of columns can matter to a block of rows: the search of :mod:`.cpu_search` in PyTorch, on any device.

Clouds are cut into blocks of consecutive points. A pair of blocks stays when a *bound* on f + g - C over it says that
it may hold plan mass; the bound comes from potentials linearised at the centres, so it stays tight under large
displacements. Pairs of large blocks are bounded first and those that may matter are split, all at once at every size,
so the work is linear in what is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch

from otreg.transport import devices
from otreg.transport.pyramid import Cloud
from otreg.transport.reductions.base import Potential, Temperature
from otreg.transport.sums import run_lengths, sums_by_cell

# Blocks grow by this factor from one size to the next, up to the size of which a cloud has only a few.
_BRANCH = 4
_FEW_BLOCKS = 64
# So many pairs of blocks are bounded at a time, which bounds the memory.
_PAIRS_AT_A_TIME = 2**19
_TINY = 1e-300


@dataclass(frozen=True)
class Statistics:
    """What bounds need of every block of a cloud.

    centre, image: (blocks, D) about the mean of points and of their images; radius: (blocks,) and extent: (blocks, D)
    how far points lie from the centre, at most; top: (blocks,) with u = x - centre, the largest f - <centre - image,
    u>, for p = 2 less |u|^2 / 2; log_mass: (blocks,).
    """

    centre: torch.Tensor
    image: torch.Tensor
    radius: torch.Tensor
    extent: torch.Tensor
    top: torch.Tensor
    log_mass: torch.Tensor

    def __len__(self) -> int:
        return len(self.centre)

    def take(self, blocks: torch.Tensor) -> Statistics:
        """Those of some of the blocks."""
        parts = (self.centre, self.image, self.radius, self.extent, self.top, self.log_mass)
        return Statistics(*(part[blocks] for part in parts))


@dataclass(frozen=True)
class ActivePairs:
    """Pairs of blocks that may matter, in CSR form.

    starts: (row blocks + 1,) and columns: (pairs,) int64, ascending within a row. dropped: (row blocks,) bound on the
    sum of a row's entries b_j exp((f_i + g_j - C_ij) / eps) in the pairs that were left out.
    """

    starts: torch.Tensor
    columns: torch.Tensor
    dropped: torch.Tensor

    @property
    def rows(self) -> torch.Tensor:
        """(pairs,) the row block of each pair."""
        blocks = torch.arange(len(self.dropped), device=self.columns.device)
        return torch.repeat_interleave(blocks, self.starts.diff(), output_size=len(self.columns))

    def share(self, column_blocks: int) -> float:
        """Of all pairs of blocks, how many are active."""
        return len(self.columns) / (len(self.dropped) * column_blocks)


def padded(values: torch.Tensor, size: int) -> torch.Tensor:
    """(blocks, size, ...) values (n, ...) cut into blocks; the last one is filled up with its last value."""
    blocks = -(-len(values) // size)
    missing = blocks * size - len(values)
    if missing:
        values = torch.cat([values, values[-1:].expand(missing, *values.shape[1:])])
    return values.view(blocks, size, *values.shape[1:])


def statistics(cloud: Cloud, potential: Potential, size: int, p: int) -> Statistics:
    """What the search needs of every block of ``size`` points."""
    x, image, f = (padded(values, size) for values in (cloud.points, potential.image, potential.values))
    mass = torch.nn.functional.pad(cloud.weights, (0, x.shape[0] * size - len(cloud))).view(-1, size).sum(1)
    centre, mean_image = x.mean(1), image.mean(1)
    u = x - centre[:, None]
    square = u.square().sum(2)
    level = f - (u * (centre - mean_image)[:, None]).sum(2)
    if p == 2:
        level = level - square / 2
    return Statistics(
        centre, mean_image, square.amax(1).sqrt(), u.abs().amax(1), level.amax(1), mass.clamp_min(_TINY).log()
    )


def largest_exponents(row: Statistics, column: Statistics, p: int) -> torch.Tensor:
    """(pairs,) upper bounds of f_i + g_j - C_ij between blocks of rows and of columns, pair by pair.

    c, t are centre and image of the row block, e, s those of the column block; u, v reach from the centres to points.
    p = 2: f_i + g_j - C_ij <= fmax + gmax - |c - e|^2/2 + max_u <e - t, u> + max_v <c - s, v> + max <u, v>.
    p = 1: |x - y| >= <x - y, a> for a = (c - e) / |c - e|, so it is at most
    fmax + gmax - |c - e| + max_u <c - t - a, u> + max_v <e - s + a, v>.
    """
    apart = row.centre - column.centre
    square = apart.square().sum(1)
    if p == 2:
        slope_u, slope_v = column.centre - row.image, row.centre - column.image
        cost = square / 2
        both = torch.minimum(row.radius * column.radius, (row.extent * column.extent).sum(1))
    else:
        cost = square.sqrt()
        direction = apart / cost.clamp_min(_TINY)[:, None]
        slope_u = row.centre - row.image - direction
        slope_v = column.centre - column.image + direction
        both = torch.zeros_like(cost)
    return (
        row.top
        + column.top
        - cost
        + torch.minimum(row.radius * slope_u.norm(dim=1), (row.extent * slope_u.abs()).sum(1))
        + torch.minimum(column.radius * slope_v.norm(dim=1), (column.extent * slope_v.abs()).sum(1))
        + both
    )


def statistics_of_sizes(cloud: Cloud, potential: Potential, *, size: int, sizes: int, p: int) -> list[Statistics]:
    """Statistics for blocks of ``size`` points and for ``sizes - 1`` larger ones."""
    return [statistics(cloud, potential, size * _BRANCH**k, p) for k in range(sizes)]


def number_of_sizes(points: int, size: int) -> int:
    """How many sizes of blocks, from ``size`` points on, lead to a few blocks that hold all points."""
    sizes, blocks = 1, -(-points // size)
    while blocks > _FEW_BLOCKS:
        sizes, blocks = sizes + 1, -(-blocks // _BRANCH)
    return sizes


def find_active_pairs(
    rows: list[Statistics], columns: list[Statistics], *, eps: float, cut: float, p: int
) -> ActivePairs:
    """Pairs of the smallest blocks that may hold more than the share exp(-cut) of a row.

    rows, columns: see :func:`statistics_of_sizes`, as many sizes on both sides. With f the rows' softmins, a row's
    entries b_j exp((f_i + g_j - C_ij) / eps) sum to one; a pair is left out when exp(bound / eps) times the mass of
    its columns is below exp(-cut). A row block without pairs gets the most likely one.
    """
    device = rows[0].centre.device
    i = torch.arange(len(rows[-1]), device=device).repeat_interleave(len(columns[-1]))
    j = torch.arange(len(columns[-1]), device=device).repeat(len(rows[-1]))
    dropped = torch.zeros(len(rows[-1]), dtype=torch.float64, device=device)
    for size in range(len(rows) - 1, -1, -1):
        r, c = len(rows[size]), len(columns[size])
        exists = (i < r) & (j < c)  # the last blocks were split into more than there are
        i, j = i.clamp_max(r - 1), j.clamp_max(c - 1)
        share = _log_shares(rows[size], columns[size], i, j, eps, p)
        stays = share >= -cut
        dropped = dropped + sums_by_cell(share.exp().masked_fill(stays | ~exists, 0.0), i, r)
        kept = (stays & exists).nonzero()[:, 0]  # how many is all that a device is asked for at each size
        i, j = i[kept], j[kept]
        if size > 0:
            dropped = dropped.repeat_interleave(_BRANCH)[: len(rows[size - 1])]
            i, j = _split(i, j)
    counts = run_lengths(i, len(dropped))
    empty = (counts == 0).nonzero()[:, 0]
    if len(empty):
        i, order = torch.cat([i, empty]).sort(stable=True)
        j = torch.cat([j, _most_likely(rows[0].take(empty), columns[0], p)])[order]
        counts[empty] = 1
    return ActivePairs(torch.nn.functional.pad(counts.cumsum(0), (1, 0)), j, dropped)


def _log_shares(
    rows: Statistics, columns: Statistics, i: torch.Tensor, j: torch.Tensor, eps: float, p: int
) -> torch.Tensor:
    """(pairs,) log of a bound on the sum of a row's entries in each pair (i, j) of blocks."""
    out = torch.empty(len(i), dtype=torch.float64, device=i.device)

    def bound(some: slice) -> None:
        column = columns.take(j[some])
        out[some] = largest_exponents(rows.take(i[some]), column, p) / eps + column.log_mass

    short = f"no memory left on {i.device} to bound pairs of blocks"
    devices.in_chunks(bound, count=len(i), size=_PAIRS_AT_A_TIME, short=short)
    return out


def _split(i: torch.Tensor, j: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All pairs of the smaller blocks that pairs (i, j) of larger ones consist of, row by row."""
    within = torch.arange(_BRANCH, device=i.device)
    i = (i[:, None, None] * _BRANCH + within[None, :, None]).expand(-1, -1, _BRANCH)
    j = (j[:, None, None] * _BRANCH + within[None, None, :]).expand(-1, _BRANCH, -1)
    i, order = i.flatten().sort(stable=True)
    return i, j.flatten()[order]


def _most_likely(rows: Statistics, columns: Statistics, p: int) -> torch.Tensor:
    """(row blocks,) the column block with the largest bound."""
    r, c = len(rows), len(columns)
    best = torch.empty(r, dtype=torch.int64, device=rows.centre.device)
    chunk = max(1, _PAIRS_AT_A_TIME // c)
    for first in range(0, r, chunk):
        some = torch.arange(first, min(first + chunk, r), device=best.device)
        i, j = some.repeat_interleave(c), torch.arange(c, device=best.device).repeat(len(some))
        bound = largest_exponents(rows.take(i), columns.take(j), p)
        best[some] = bound.view(len(some), c).argmax(1)
    return best


@final
class BlockSearch:
    """The active pairs of blocks between two clouds, for softmins over the columns and over the rows.

    Each direction is searched when it is first asked for: extensions to many points need only one.
    """

    def __init__(
        self, source: Cloud, target: Cloud, f: Potential, g: Potential, temperature: Temperature, *, size: int
    ) -> None:
        """f, g: softmins on source and target, as far as known. size: points in a block."""
        self._source, self._target, self._f, self._g, self._at = source, target, f, g, temperature
        self.size = size
        self._sizes = max(number_of_sizes(len(cloud), size) for cloud in (source, target))

    @cached_property
    def rows(self) -> ActivePairs:
        """Blocks of the target that matter to each block of the source."""
        return self._search(self._of_source, self._seen_of_target)

    @cached_property
    def columns(self) -> ActivePairs:
        """Blocks of the source that matter to each block of the target."""
        if self._target is self._source and self._g is self._f:
            return self.rows
        return self._search(self._of_target, self._seen_of_source)

    @cached_property
    def dropped(self) -> float:
        """Bound on the share of a row's sum that was left out, averaged over the source by mass."""
        masses = self._of_source[0].log_mass.exp()
        return float((self.rows.dropped * masses).sum() / masses.sum())

    @cached_property
    def _of_source(self) -> list[Statistics]:
        return self._statistics(self._source, self._f)

    @cached_property
    def _of_target(self) -> list[Statistics]:
        if self._target is self._source and self._g is self._f:
            return self._of_source
        return self._statistics(self._target, self._g)

    @property
    def _seen_of_source(self) -> list[Statistics]:
        seen = self._f.damped(self._source, self._at.source_damping)
        return self._of_source if seen is self._f else self._statistics(self._source, seen)

    @property
    def _seen_of_target(self) -> list[Statistics]:
        seen = self._g.damped(self._target, self._at.target_damping)
        return self._of_target if seen is self._g else self._statistics(self._target, seen)

    def _statistics(self, cloud: Cloud, potential: Potential) -> list[Statistics]:
        return statistics_of_sizes(cloud, potential, size=self.size, sizes=self._sizes, p=self._at.p)

    def _search(self, rows: list[Statistics], columns: list[Statistics]) -> ActivePairs:
        return find_active_pairs(rows, columns, eps=self._at.eps, cut=self._at.cut, p=self._at.p)
