"""--features in register, distance and map: what it costs, what it finds, and one line where a shape has none."""

import json

import numpy as np
import pytest

from otreg.io import read_shape, write_shape
from otreg.shapes import Shape

from .shapes import ellipsoid_ply


def cloud(path, label, points=None):
    points = np.random.default_rng(0).random((60, 3)) if points is None else points
    write_shape(Shape(points, point_data={"label": np.full(len(points), label)}), path)
    return path


def test_another_label_everywhere_is_as_far_as_the_feature_length(otreg_here, tmp_path):
    paths = cloud(tmp_path / "a.ply", 1), cloud(tmp_path / "b.ply", 2)
    flags = ("--features", "labels", "--feature-length", "0.25", "--json")
    record = json.loads(otreg_here("distance", *paths, *flags).stdout)
    assert record["divergence"]["distance"] == pytest.approx(0.25, rel=1e-3)
    assert record["settings"]["features"] == "labels"
    record = json.loads(otreg_here("distance", *paths, "--json").stdout)
    assert record["divergence"]["distance"] < 1e-3


def test_the_length_is_five_blurs_unless_it_is_given(otreg_here, tmp_path):
    paths = cloud(tmp_path / "a.ply", 1), cloud(tmp_path / "b.ply", 2)
    answer = otreg_here("distance", *paths, "--features", "labels:label", "--blur", "0.05", "--json")
    assert json.loads(answer.stdout)["divergence"]["distance"] == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("sampling", ["vertices", "faces", "400"])
def test_register_follows_normals_and_writes_every_field(otreg_here, pair, tmp_path, sampling):
    flags = ("--features", "normals", "--blur", "5%", "--sampling", sampling)
    answer = otreg_here("register", *pair, "-d", tmp_path / "out", *flags, "--init", "none")
    assert answer.returncode == 0, answer.stderr
    matrix = np.loadtxt(tmp_path / "out" / "transform.txt")
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    # Of three coarse samplings, vertices are the same on both sides; the others differ by a fraction of the blur.
    assert np.abs(matrix[:3, :3] - [[c, -s, 0], [s, c, 0], [0, 0, 1]]).max() < (1e-3 if sampling == "vertices" else 0.1)
    fields = read_shape(tmp_path / "out" / "brenier.vtu").point_data
    assert all(np.isfinite(values).all() for values in fields.values())
    assert json.loads((tmp_path / "out" / "report.json").read_text())["resolved"]["turning_features"] is True


@pytest.mark.parametrize(("models", "taken"), [("rigid", False), ("spline", True)])
def test_a_spline_takes_normals_by_itself_where_meshes_agree_about_their_sides(
    otreg_here, pair, tmp_path, models, taken
):
    answer = otreg_here("register", *pair, "-d", tmp_path / "out", "-m", models, "--blur", "10%")
    assert answer.returncode == 0, answer.stderr
    record = json.loads((tmp_path / "out" / "report.json").read_text())
    assert record["settings"]["features"] == "auto"
    assert record["resolved"]["turning_features"] is taken


def test_a_map_with_normals_goes_both_ways(otreg_here, tmp_path):
    paths = ellipsoid_ply(tmp_path / "a.ply"), ellipsoid_ply(tmp_path / "b.ply", shift=0.75)
    answer = otreg_here("map", *paths, "-o", tmp_path / "m.npz", "--both", "--features", "normals")
    assert answer.returncode == 0, answer.stderr
    found = read_shape(tmp_path / "m.npz").point_data
    assert found["displacement"] == pytest.approx(np.tile([0.75, 0, 0], (146, 1)), abs=1e-3)
    assert found["target_displacement"] == pytest.approx(np.tile([-0.75, 0, 0], (146, 1)), abs=1e-3)


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (
            ("--features", "normal"),
            2,
            "none, normals, labels or labels:COLUMN (a point attribute); got 'normal'",
        ),
        (("--features", "normals:nx"), 2, "none, normals, labels or labels:COLUMN"),
        (("--features", "labels:"), 2, "none, normals, labels or labels:COLUMN"),
        (("--features", "labels", "--feature-length", "0"), 2, "--feature-length must be a positive length"),
        (("--features", "normals"), 3, "has neither faces nor normals of its points"),
        (("--features", "labels:part"), 3, "has no point attribute 'part' to tell parts by; it has: label"),
    ],
)
@pytest.mark.parametrize("command", ["register", "distance"])
def test_what_cannot_be_used_is_one_line(otreg_here, tmp_path, command, flags, code, words):
    paths = cloud(tmp_path / "a.ply", 1), cloud(tmp_path / "b.ply", 2)
    outputs = ("-o", tmp_path / "out.ply") if command == "register" else ()
    answer = otreg_here(command, *paths, *outputs, *flags)
    assert answer.returncode == code
    assert words in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["register", "distance", "map"])
def test_a_feature_length_without_features_is_warned_of(otreg_here, tmp_path, command):
    paths = cloud(tmp_path / "a.ply", 1), cloud(tmp_path / "b.ply", 2)
    outputs = () if command == "distance" else ("-o", tmp_path / "out.ply")
    answer = otreg_here(command, *paths, *outputs, "--feature-length", "3%", "--blur", "10%")
    assert answer.returncode == 0, answer.stderr
    assert "warning: feature_length is 3%, but there are no features; choose them with --features" in answer.stderr


def test_features_at_other_points_are_refused(otreg_here, tmp_path):
    paths = cloud(tmp_path / "a.ply", 1), cloud(tmp_path / "b.ply", 2)
    answer = otreg_here("map", *paths, "-o", tmp_path / "m.vtu", "--grid", "5", "--features", "labels")
    assert answer.returncode == 2
    assert "features are known at the points of the shapes only" in answer.stderr


def test_normals_that_nobody_asked_for_move_the_shape_alike_but_do_not_count_in_the_figures(otreg_here, pair, tmp_path):
    records, moved = {}, {}
    for features in ("auto", "normals"):
        folder = tmp_path / features
        flags = ("-m", "spline", "--init", "none", "--blur", "10%", "--features", features)
        assert otreg_here("register", *pair, "-d", folder, *flags).returncode == 0
        records[features] = json.loads((folder / "report.json").read_text())
        moved[features] = read_shape(folder / "registered.ply").points
        assert all(np.isfinite(values).all() for values in read_shape(folder / "brenier.vtu").point_data.values())
    assert (moved["auto"] == moved["normals"]).all()
    assert records["auto"]["divergence"]["value"] < 0.9 * records["normals"]["divergence"]["value"]
