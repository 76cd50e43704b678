"""The reference goes on with fewer rows at a time when memory is short, and says so when none is left."""

from __future__ import annotations

import pytest
import torch

from otreg.errors import ResourceError
from otreg.transport.pyramid import single_level
from otreg.transport.reductions import dense
from otreg.transport.reductions.base import Potential
from otreg.transport.reductions.dense import DenseCoupling
from tests.transport.generators import cloud


def softmin(p: int = 2) -> Potential:
    x, y = (single_level(cloud(n, 3, n)).levels[0] for n in (50, 40))
    nothing = Potential(torch.zeros_like(x.weights), x.points)
    return DenseCoupling(x, y, 0.1, p).rows(torch.zeros_like(y.weights), nothing, moments=2)


@pytest.mark.parametrize("p", [1, 2])
def test_rows_that_do_not_fit_are_taken_in_smaller_chunks(monkeypatch, p):
    whole = softmin(p)
    real, sizes = dense._softmin_rows, []

    def short_of_memory(x, *rest):
        sizes.append(len(x))
        if len(x) > 7:
            raise torch.OutOfMemoryError("out of memory")
        return real(x, *rest)

    monkeypatch.setattr(dense, "_softmin_rows", short_of_memory)
    parts = softmin(p)
    assert sizes == [50, 25, 13] + [7] * 7 + [1]
    assert (parts.values - whole.values).abs().max() <= 1e-14
    assert (parts.image - whole.image).abs().max() <= 1e-14
    assert (parts.jacobian is None) == (p == 1)
    if p == 2:
        assert (parts.jacobian - whole.jacobian).abs().max() <= 1e-13


def test_no_room_for_a_single_row_is_a_resource_error(monkeypatch):
    def no_memory(*_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(dense, "_softmin_rows", no_memory)
    with pytest.raises(ResourceError, match=r"no memory left on cpu for a sum over 40 points\. Use fewer points\."):
        softmin()
