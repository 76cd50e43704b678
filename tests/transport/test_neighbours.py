"""The nearest points are the same in main memory and on a device."""

from __future__ import annotations

import pytest
import torch

from otreg.transport import devices, neighbours
from otreg.transport.neighbours import nearest
from tests.transport.generators import cloud


@pytest.fixture(params=["tree", "all pairs"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "all pairs":
        monkeypatch.setattr(devices, "in_main_memory", lambda tensor: False)
        monkeypatch.setattr(neighbours, "_PAIRS_AT_A_TIME", 1000)  # a few chunks
    return request.param


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("far", [0.0, 1e4])
def test_no_other_point_is_closer(count, far):
    known, points = cloud(60, 3, 1).points + far, cloud(90, 3, 2).points + far
    found = nearest(known, points, count)
    assert found.shape == (90, count) and found.dtype == torch.int64
    apart = (points[:, None] - known[None]).norm(dim=2)
    assert (apart.gather(1, found) - apart.sort(1).values[:, :count]).abs().max() <= 1e-15 * max(1.0, far)


@pytest.mark.usefixtures("way")
def test_all_known_points_can_be_asked_for():
    known = cloud(7, 2, 3).points
    assert nearest(known, known, 7).sort(1).values.tolist() == [list(range(7))] * 7
    assert nearest(known, known)[:, 0].tolist() == list(range(7))


def test_chunks_that_do_not_fit_are_halved(monkeypatch):
    monkeypatch.setattr(devices, "in_main_memory", lambda tensor: False)
    known, points = cloud(60, 3, 1).points, cloud(90, 3, 2).points
    whole, real, sizes = nearest(known, points, 3), torch.addmm, []

    def short_of_memory(bias, x, y, **options):
        sizes.append(len(x))
        if len(x) > 20:
            raise torch.OutOfMemoryError("out of memory")
        return real(bias, x, y, **options)

    monkeypatch.setattr(torch, "addmm", short_of_memory)
    assert torch.equal(nearest(known, points, 3), whole)
    assert sizes == [90, 45, 23, 12, 12, 12, 12, 12, 12, 12, 6]
