"""The pyramid on any device has the cells of the compiled one, and features keep points apart."""

from __future__ import annotations

import pytest
import torch

from otreg.measures import Measure
from otreg.transport.pyramid import build_pyramid
from otreg.transport.pyramid_torch import build_pyramid_on_device, hilbert_codes
from tests.transport.generators import cloud, measure, sphere


@pytest.mark.parametrize(("dimension", "bits"), [(1, 6), (2, 5), (3, 3), (4, 2), (6, 2)])
def test_the_curve_visits_every_cell_once_and_steps_to_a_neighbour(dimension, bits):
    axis = torch.arange(2**bits)
    cells = torch.stack(torch.meshgrid([axis] * dimension, indexing="ij"), -1).reshape(-1, dimension)
    codes, order = hilbert_codes(cells, bits).sort()
    assert torch.equal(codes, torch.arange(2 ** (bits * dimension)))
    assert (cells[order].diff(dim=0).abs().sum(1) == 1).all()
    # Without the last bit of each axis, the code of the cell twice as large; the curve there may be turned.
    coarse = {(int(code), *cell) for code, cell in zip(codes >> dimension, (cells[order] // 2).tolist(), strict=True)}
    assert len(coarse) == 2 ** ((bits - 1) * dimension)


@pytest.mark.parametrize("finest", [1e-9, 0.004, 0.05])
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_the_cells_are_those_of_the_compiled_pyramid(dimension, finest):
    m = sphere(4000, 1) if dimension == 3 else cloud(4000, dimension, 1)
    ours, compiled = build_pyramid_on_device(m, finest), build_pyramid(m, finest)
    assert [level.cell for level in ours.levels] == [level.cell for level in compiled.levels]
    for one, other in zip(ours.levels, compiled.levels, strict=True):
        # The compiled curve runs in three dimensions, so the order in the plane is another one.
        assert other.points[:, dimension:].abs().sum() == 0
        rows = [torch.cat([c.points[:, :dimension], c.weights[:, None]], 1) for c in (one, other)]
        if dimension < 3:
            rows = [row[sorting(row)] for row in rows]
        assert (rows[0] - rows[1]).abs().max() <= 1e-14


def sorting(rows: torch.Tensor) -> torch.Tensor:
    """An order that rounding does not change: by a direction in which no two rows are alike."""
    return (rows @ torch.tensor([1.0, 2.0**0.5, 3.0**0.5][: rows.shape[1]], dtype=rows.dtype)).argsort()


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_levels_conserve_mass_and_centre_and_know_their_parents(dimension):
    m = cloud(3000, dimension, 2)
    pyramid = build_pyramid_on_device(m, 0.02 if dimension > 1 else 1e-3)
    assert len(pyramid.levels) >= 3
    assert torch.equal(pyramid.levels[0].points, m.points[pyramid.order])
    for fine, coarse in zip(pyramid.levels, pyramid.levels[1:], strict=False):
        assert coarse.parents is not None
        assert (coarse.weights @ coarse.points - m.mean).abs().max() <= 1e-14
        mass = torch.zeros(len(coarse), dtype=torch.float64).index_add(0, coarse.parents, fine.weights)
        assert (mass - coarse.weights).abs().max() <= 1e-15
        assert (fine.points - coarse.points[coarse.parents]).abs().max() <= coarse.cell


def test_points_with_other_features_share_no_cell():
    m = sphere(2000, 3)
    both = Measure(
        m.points.repeat(2, 1),
        m.weights.repeat(2) / 2,
        torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], dtype=torch.float64).repeat_interleave(2000, 0),
    )
    levels = build_pyramid_on_device(both, 0.02).levels
    assert levels[0].points.shape == (4000, 6)
    assert len(levels) >= 3
    for level in levels:
        if level.cell < 1:
            assert (level.points[:, 5].abs() - 1).abs().max() <= 1e-12
            assert level.weights[level.points[:, 5] > 0].sum() == pytest.approx(0.5, rel=1e-12)


def test_cells_without_mass_still_have_a_place():
    m = cloud(2000, 3, 4)
    empty = Measure(m.points, torch.where(m.points[:, 0] < 0.5, 0.0, m.weights))
    for level in build_pyramid_on_device(empty, 0.05).levels:
        assert level.points.isfinite().all()
        assert float(level.weights.sum()) == pytest.approx(float(empty.mass), rel=1e-12)
    assert (level.weights == 0).any()


def test_one_place_is_one_cell_however_many_points():
    levels = build_pyramid_on_device(measure(torch.ones(500, 2)), 0.01).levels
    assert levels[-1].points.tolist() == [[1, 1]]


@pytest.mark.parametrize(("dimension", "features"), [(4, 0), (3, 12)])
def test_spaces_that_no_code_can_hold_are_a_single_level(dimension, features):
    m = cloud(300, dimension, 5)
    extra = torch.rand(300, features, dtype=torch.float64) if features else None
    pyramid = build_pyramid_on_device(Measure(m.points, m.weights, extra), 0.01)
    assert [level.cell for level in pyramid.levels] == [0.0]
    assert pyramid.levels[0].points.shape == (300, dimension + features)
