"""The figures of report.json: both units, every part, and what they are for a registration whose answer is known."""

import json

import numpy as np
import pytest

from otreg.config import RegisterConfig, load_settings
from otreg.io import write_shape
from otreg.jobs import Outputs, register_files
from otreg.models.chain import transform_of_matrix
from otreg.quality import quality_of
from otreg.shapes import Shape

from .test_distances import grid


def shifted(shape, z):
    return shape.with_points(shape.points + np.array([0.0, 0.0, z]))


def lift(z):
    matrix = np.eye(4)
    matrix[2, 3] = z
    return transform_of_matrix(matrix)


def test_figures_are_in_file_units_and_in_percent_of_the_diagonal():
    source = grid(3.0, 4)
    found = quality_of(
        source=source, moved=shifted(source, 0.5), target=shifted(source, 0.75), point_map=lift(0.5), overlap_mass=0.9
    ).to_dict()
    assert found["diagonal"] == pytest.approx(np.sqrt(18))
    for way in found["distances"].values():
        assert way["mean"] == pytest.approx(0.25)
        assert way["percent"]["maximum"] == pytest.approx(100 * 0.25 / np.sqrt(18))
    assert found["chamfer"] == pytest.approx(2 * 0.25**2)
    assert found["overlap_mass"] == 0.9
    assert found["jacobian"] == {"smallest": pytest.approx(1), "largest": pytest.approx(1), "points": 25 + 32}
    assert found["flipped_faces"] == {"count": 0, "checked": 32}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_what_is_not_known_is_none():
    cloud = Shape(points=grid(1.0, 3).points)
    found = quality_of(source=cloud, moved=cloud, target=cloud, point_map=lift(0.0), overlap_mass=float("nan"))
    assert found.overlap_mass is None
    assert found.to_dict()["flipped_faces"] is None
    assert found.distances.symmetric_maximum == 0


def test_the_sample_is_as_large_as_asked():
    found = quality_of(
        source=grid(1.0, 9), moved=grid(1.0, 9), target=grid(1.0, 9), point_map=lift(0.0), samples=50
    ).to_dict()
    assert found["distances"]["source_to_target"]["samples"] == 50
    assert found["flipped_faces"]["checked"] <= 50


def test_a_registration_reports_how_well_it_fits_and_where_its_inputs_lie(tmp_path, monkeypatch):
    points = np.random.default_rng(0).standard_normal((300, 3)) * [3.0, 2.0, 1.0]
    write_shape(Shape(points=points), tmp_path / "a.ply")
    write_shape(Shape(points=points + np.array([0.5, 0.0, 0.0])), tmp_path / "b.ply")
    config = load_settings(RegisterConfig, {"blur": "8%", "init": "none", "iterations": 10})
    monkeypatch.chdir(tmp_path)
    a, b = (tmp_path / name for name in ("a.ply", "b.ply"))
    report = register_files(a.relative_to(tmp_path), b.relative_to(tmp_path), config, Outputs(shape=tmp_path / "c.ply"))
    quality = report.record["quality"]
    # What a registration at this blur leaves of a shift of half a unit.
    assert quality["distances"]["symmetric"]["maximum"] < 0.05
    assert quality["jacobian"]["smallest"] == pytest.approx(1, abs=1e-9)
    assert 0.9 < quality["overlap_mass"] < 1.1
    assert report.record["inputs"]["target"]["absolute"] == str(b)
    assert report.record["inputs"]["target"]["path"] == "b.ply"
