"""Shapes in map coordinates, millions of metres from the origin: what a registration writes keeps a micrometre."""

import json

import numpy as np
import pytest

from otreg.config import RegisterConfig, load_settings
from otreg.io import read_shape, write_shape
from otreg.jobs import Outputs, apply_transform, register_files
from otreg.shapes import Shape

UTM = np.array([512_345.678901, 5_123_456.789012, 431.256789])


@pytest.mark.parametrize("extension", [".ply", ".csv", ".vtk", ".npz", ".obj"])
def test_every_output_agrees_with_the_transform_to_a_micrometre(tmp_path, extension):
    points = np.random.default_rng(0).normal(size=(150, 3)) * [30, 20, 10]
    angle = 0.1
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    source, target = tmp_path / f"a{extension}", tmp_path / f"b{extension}"
    write_shape(Shape(points + UTM), source)
    write_shape(Shape(points @ turn.T + UTM + [1, 2, 3]), target)
    config = load_settings(RegisterConfig, {"models": "rigid", "blur": "2%", "reach": "none"})
    report = register_files(source, target, config, Outputs(directory=tmp_path / "out"))
    moved = read_shape(report.files["shape"]).points
    # The same map in extended precision, from the model's own frame.
    stored = json.loads(report.files["transform"].read_text())
    frame, model = stored["frame"], stored["model"]
    start = read_shape(source).points.astype(np.longdouble)
    origin = np.array(frame["origin"], dtype=np.longdouble)
    inside = (start - origin) / np.longdouble(frame["scale"])
    pivot, shift = (np.array(model[key], dtype=np.longdouble) for key in ("pivot", "translation"))
    inside = (inside - pivot) @ np.array(model["matrix"], dtype=np.longdouble).T + pivot + shift
    exact = inside * np.longdouble(frame["scale"]) + origin
    assert np.abs(moved - exact).max() < 1e-6
    matrix = np.loadtxt(report.files["matrix"]).astype(np.longdouble)
    assert np.abs(start @ matrix[:3, :3].T + matrix[:3, 3] - exact).max() < 1e-6
    apply_transform(report.files["matrix"], source, tmp_path / f"c{extension}")
    assert np.abs(read_shape(tmp_path / f"c{extension}").points - exact).max() < 1e-6
    apply_transform(report.files["transform"], report.files["shape"], tmp_path / f"d{extension}", inverse=True)
    assert np.abs(read_shape(tmp_path / f"d{extension}").points - start).max() < 1e-6
    fields = read_shape(report.files["fields"])
    assert np.abs(fields.points - exact).max() < 1e-6
    assert np.abs(fields.point_data["registration_displacement"] - (exact - start)).max() < 1e-6
