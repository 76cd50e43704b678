"""The solver of a distance or map is what its settings say, in the frame's unit."""

import pytest

from otreg.config import DistanceConfig, MapConfig, load_settings
from otreg.jobs.solver import solver
from otreg.measures import Frame
from otreg.transport import Sinkhorn

FRAME = Frame(origin=(1.0, 2.0, 3.0), scale=50.0)


def test_every_setting_reaches_the_solver_with_lengths_in_the_frame():
    values = {"blur": "5", "reach": "none,20%", "p": "1", "tolerance": "1e-4", "precision": "float64"}
    config = load_settings(DistanceConfig, {**values, "reduction": "dense"})
    expected = Sinkhorn(
        blur=0.1, reach=(None, 0.2), p=1, tolerance=1e-4, precision="float64", reduction="dense", map_tolerance=5e-3
    )
    assert solver(config, FRAME) == expected


@pytest.mark.parametrize("text", ["none", "auto", "10%"])
def test_one_reach_is_for_both_sides(text):
    reach = solver(load_settings(MapConfig, {"reach": text, "blur": "5%"}), FRAME).reaches
    assert reach == {"none": (None, None), "auto": (0.1, 0.1), "10%": (0.1, 0.1)}[text]


def test_a_map_that_is_a_product_is_extended_exactly():
    assert solver(MapConfig(), FRAME, exact_map=True).map_tolerance == 0
