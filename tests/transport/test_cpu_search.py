"""The compiled search for slices of columns that matter to a block of rows."""

from __future__ import annotations

import numpy as np
import pytest

from otreg.transport.reductions import cpu_search
from otreg.transport.reductions.cpu_blocks import BLOCK, GROUP, SLICE


@pytest.mark.parametrize("remembered", [1, 22, 25])
def test_blocks_with_more_slices_than_remembered_get_all_of_them(
    remembered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    x, y = (np.sort(rng.random((n, 1)), axis=0) for n in (700, 900))  # on a line, so that blocks are short
    x_statistics, y_statistics = (
        [
            cpu_search.block_statistics(points, np.zeros(n), points, np.full(n, 1 / n), size, 2)
            for size in (BLOCK, SLICE, GROUP)
        ]
        for points, n in ((x, len(x)), (y, len(y)))
    )
    rows, row_slices = (np.ascontiguousarray(x_statistics[which].T) for which in (0, 1))
    search = (rows, row_slices, y_statistics[2], y_statistics[1], 1e-3, -20.0, 2)
    starts, active, dropped = cpu_search.find_active_slices(*search)
    counts = np.diff(starts)
    assert counts.min() < 22 and 25 < counts.max() < len(y) / SLICE  # some blocks fit, others do not
    monkeypatch.setattr(cpu_search, "_REMEMBERED", remembered)

    again = cpu_search.find_active_slices(*search)

    for expected, found in zip((starts, active, dropped), again, strict=True):
        np.testing.assert_array_equal(found, expected)
