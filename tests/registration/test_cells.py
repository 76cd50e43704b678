"""Cells for all blurs from one pyramid: what they hold, how large they are, and when they are made anew."""

import pytest
import torch

from otreg.measures import Measure
from otreg.models import start_model
from otreg.registration.cells import Cells

from .shapes import rotation

BLURS = (0.02, 0.01, 0.005)


def bowl(n=60_000):
    """A bent sheet with weights and normals."""
    random = torch.Generator().manual_seed(0)
    xy = torch.rand(n, 2, generator=random, dtype=torch.float64) - 0.5
    points = torch.cat([xy, xy.square().sum(1, keepdim=True)], 1)
    normals = torch.nn.functional.normalize(torch.cat([-2 * xy, torch.ones(n, 1, dtype=torch.float64)], 1))
    weights = 0.5 + torch.rand(n, generator=random, dtype=torch.float64)
    return Measure(points, weights / weights.sum(), 0.1 * normals)


def posed(measure, factor=1.0, turn=None):
    model = start_model("affine", measure.points, measure.weights)
    matrix = factor * (torch.eye(3, dtype=torch.float64) if turn is None else turn)
    return model.with_map(matrix, torch.full((3,), 0.3, dtype=torch.float64))


@pytest.mark.parametrize("featured", [True, False])
def test_every_blur_keeps_mass_and_means(featured):
    measure = bowl() if featured else Measure(bowl().points, bowl().weights)
    cells, counts = Cells(measure, blur=BLURS[-1]), []
    for blur in BLURS:
        found = cells.at(blur)
        assert float(found.mass) == pytest.approx(1, abs=1e-12)
        assert (found.mean - measure.mean).abs().max() < 1e-12
        if featured:
            means = [(m.weights[:, None] * m.features).sum(0) for m in (found, measure)]
            assert (means[0] - means[1]).abs().max() < 1e-12
        assert (found.features is None) == (not featured)
        counts.append(len(found))
    assert 1000 <= counts[0] < counts[1] < counts[2] < len(measure)


@pytest.mark.parametrize("blur", BLURS)
def test_cells_are_as_large_as_those_made_for_one_blur_alone(blur):
    measure = bowl()
    shared, alone = Cells(measure, blur=BLURS[-1]), Cells(measure, blur=blur)
    shared.at(BLURS[0])
    assert len(shared.at(blur)) == pytest.approx(len(alone.at(blur)), rel=0.02)


def test_a_model_that_shrinks_the_shape_gets_cells_for_its_size_there_and_turns_keep_them():
    measure = bowl()
    cells = Cells(measure, blur=BLURS[-1])
    there = cells.at(BLURS[-1], posed(measure))
    turn = torch.from_numpy(rotation(70.0, 3, seed=2))
    assert torch.equal(cells.at(BLURS[-1], posed(measure, turn=turn)).points, there.points)
    for factor in (0.5, 2.0):
        scaled = Measure(factor * measure.points, measure.weights, measure.features)
        expected = len(Cells(scaled, blur=BLURS[-1]).at(BLURS[-1]))
        found = cells.at(BLURS[-1], posed(measure, factor), turning=True)
        assert len(found) == pytest.approx(expected, rel=0.02)
        assert len(found) != len(there)
        assert (found.mean - measure.mean).abs().max() < 1e-12  # before the model


def test_a_flat_map_and_equal_points_have_cells():
    measure = bowl(3000)
    flat = posed(measure, turn=torch.diag(torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)))
    cells = Cells(measure, blur=0.02)
    for _ in range(2):
        assert float(cells.at(0.02, flat).mass) == pytest.approx(1, abs=1e-12)
    same = Measure(torch.zeros(5, 3, dtype=torch.float64), torch.full((5,), 0.2, dtype=torch.float64))
    assert float(Cells(same, blur=0.02).at(0.02).mass) == pytest.approx(1, abs=1e-12)
