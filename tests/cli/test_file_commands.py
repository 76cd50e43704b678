"""The commands about files: info, convert, apply, invert and compose, with pipes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from otreg.io import read_shape, write_json, write_matrix, write_shape
from otreg.jobs.transform_files import read_transform
from otreg.shapes import CellBlock, Shape

from .shapes import ellipsoid_ply

TURN = np.array([[0.0, -1, 0, 10], [1, 0, 0, 0], [0, 0, 1, -5], [0, 0, 0, 1]])
MAIN = [sys.executable, "-c", "from otreg_cli.main import main; main()"]


def piped(*arguments: object, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*MAIN, *map(str, arguments)], input=data, capture_output=True, timeout=120, check=False)


def flawed(path: Path) -> Path:
    """Two sheets that meet a third in one edge, a face without area, a point of no cell, an attribute with NaN."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, 0], [9, 9, 9]], dtype=float)
    faces = np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 0, 1]])
    data = {"quality": np.array([1.0, np.nan, 3, np.inf, 5, 6])}
    write_shape(Shape(points, (CellBlock("triangle", faces),), data), path)
    return path


def test_info_names_every_defect_in_text_and_in_json(otreg_here, tmp_path):
    answer = otreg_here("info", flawed(tmp_path / "a.npz"), "--json")
    record = json.loads(answer.stdout)
    assert (record["unreferenced_points"], record["zero_area_faces"], record["non_manifold_edges"]) == (1, 1, 1)
    assert record["weights"] == {"by": "area", "total": 1.5, "zero": 1}
    assert (record["frame"], record["not_finite"]) == ("none", {"quality": 2})
    assert record["lower"] == [0, -1, 0] and record["upper"] == [9, 9, 9]
    assert record["point_attributes"] == {"quality": "float64"}
    sentences = [
        "1 point is used by no cell",
        "1 face has no area",
        "1 edge belongs to more than two faces",
        "attribute 'quality' holds 2 values that are NaN",
    ]
    for sentence in sentences:
        assert any(sentence in warning for warning in record["warnings"])
        assert f"otreg: warning: {sentence}" in answer.stderr
    text = otreg_here("info", tmp_path / "a.npz")
    lines = text.stdout.splitlines()
    column = {line.index(line.removeprefix(name).lstrip()) for line in lines for name in [_name(line, record)]}
    assert len(column) == 1, "all values begin in one column"
    assert "weights             by area, total 1.5, zero 1" in lines


def _name(line: str, record: dict) -> str:
    return max((n for n in (key.replace("_", " ") for key in record) if line.startswith(n)), key=len)


def test_info_of_points_that_are_not_finite_names_the_first(otreg_here, tmp_path):
    (tmp_path / "a.csv").write_text("x,y,z\n0,0,0\n1,nan,1\n1,2,3\n")
    answer = otreg_here("info", tmp_path / "a.csv")
    assert answer.returncode == 3 and "point 1 (counted from 0) is (1, nan, 1)" in answer.stderr
    answer = otreg_here("info", tmp_path / "a.csv", "--drop-invalid", "--json")
    assert json.loads(answer.stdout)["points"] == 2 and "1 points that are not finite" in answer.stderr


def test_info_needs_no_torch(pair):
    code = (
        "import sys; from otreg_cli.main import run\n"
        f"assert run(['info', {str(pair[0])!r}]) == 0\nassert not {{'torch', 'numba'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_url_is_named_as_it_was_given(otreg_here):
    answer = otreg_here("info", "https://example.org/shapes/a.ply")
    assert answer.returncode == 3
    assert answer.stderr.startswith("otreg: error: https://example.org/shapes/a.ply: is a URL")


def test_convert_keeps_the_shape_or_refuses(otreg_here, pair, tmp_path):
    source = read_shape(pair[0])
    answer = otreg_here("convert", pair[0], tmp_path / "a.vtk")
    assert answer.returncode == 0 and "converted" in answer.stdout, answer.stderr
    after = read_shape(tmp_path / "a.vtk")
    assert np.array_equal(after.points, source.points)
    assert np.array_equal(after.point_data["red"], source.point_data["red"])
    assert np.array_equal(after.cells[0].indices, source.cells[0].indices)
    for arguments, code, words in (
        ((pair[0], tmp_path / "a.off"), 3, "format off cannot hold the attribute 'red'; formats that can: ply, npz"),
        ((pair[0], tmp_path / "a.vtk"), 3, "exists already"),
        ((pair[0], pair[0], "--overwrite"), 3, "also an input"),
        ((pair[0], tmp_path / "a.glb"), 3, "format gltf can only be read. Give the output one of .asc"),
        ((pair[0], tmp_path / "x.bin", "--to", "blend"), 3, "format 'blend' is unknown"),
        ((pair[0], tmp_path / "x.nii", "--to", "nifti"), 3, "can only be read"),
    ):
        answer = otreg_here("convert", *arguments)
        assert (answer.returncode, answer.stdout) == (code, "")
        assert words in answer.stderr and answer.stderr.count("\n") == 1
    record = json.loads(otreg_here("convert", pair[0], tmp_path / "b.dat", "--to", "npz", "--json").stdout)
    assert record == {
        "schema": "otreg.convert/1",
        "output": str(tmp_path / "b.dat"),
        "points": 146,
        "warnings": [],
    }
    assert len(read_shape(tmp_path / "b.dat", format="npz").points) == 146


def test_convert_says_where_axes_point(otreg_here, tmp_path):
    (tmp_path / "a.csv").write_text("name,x,y,z\nnose,1,2,3\ntail,4,5,6\n")
    assert "RAS or LPS" in otreg_here("convert", tmp_path / "a.csv", tmp_path / "a.mrk.json").stderr
    answer = otreg_here("convert", tmp_path / "a.csv", tmp_path / "a.mrk.json", "--frame", "LPS")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert json.loads(otreg_here("info", tmp_path / "a.mrk.json", "--json").stdout)["frame"] == "LPS"
    answer = otreg_here("convert", tmp_path / "a.mrk.json", tmp_path / "b.mrk.json", "--frame", "RAS")
    assert answer.returncode == 2 and "frame must be that of the file, LPS; got RAS" in answer.stderr
    answer = otreg_here("convert", tmp_path / "a.mrk.json", tmp_path / "b.csv")
    assert answer.returncode == 0 and "does not say that its coordinates are in LPS" in answer.stderr


def test_shapes_go_through_pipes(tmp_path):
    source = ellipsoid_ply(tmp_path / "a.ply")
    data = source.read_bytes()
    answer = piped("convert", "-", "-", "--to", "npz", data=data)
    assert (answer.returncode, answer.stderr) == (0, b"")
    (tmp_path / "b.npz").write_bytes(answer.stdout)
    assert np.array_equal(read_shape(tmp_path / "b.npz").points, read_shape(source).points)
    answer = piped("info", "-", "--json", data=answer.stdout)
    record = json.loads(answer.stdout)
    assert (record["path"], record["points"]) == ("-", 146)
    write_matrix(tmp_path / "t.txt", TURN)
    answer = piped("apply", tmp_path / "t.txt", "-", "-o", "-", "--format", "xyz", data=b"1 2 3\n4 5 6\n")
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert np.allclose(np.loadtxt(answer.stdout.decode().splitlines()), [[8, 1, -2], [5, 4, 1]])


def test_warnings_about_pipes_call_them_a_dash(tmp_path):
    write_shape(Shape(np.eye(3), space="LPS"), tmp_path / "a.mrk.json")
    answer = piped(
        "convert", "-", "-", "--format", "mrk.json", "--to", "csv", data=(tmp_path / "a.mrk.json").read_bytes()
    )
    assert answer.returncode == 0
    assert answer.stderr.startswith(b"otreg: warning: -: does not say that its coordinates are in LPS")


def test_converting_to_single_precision_says_so(otreg_here, tmp_path):
    triangle = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    for name, points in (("exact", triangle), ("third", triangle / 3)):
        write_shape(Shape(points, cells=(CellBlock("triangle", np.array([[0, 1, 2]])),)), tmp_path / f"{name}.ply")
    for extension in ("stl", "white"):
        answer = otreg_here("convert", tmp_path / "exact.ply", tmp_path / f"exact.{extension}")
        assert (answer.returncode, answer.stderr) == (0, "")
        answer = otreg_here("convert", tmp_path / "third.ply", tmp_path / f"third.{extension}")
        assert answer.returncode == 0
        assert "third.ply's coordinates were rounded to single precision" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "data", "code", "words"),
    [
        (("convert", "-", "-"), b"ply\n", 2, "give --to or --format NAME"),
        (("convert", "-", "-", "--to", "ply"), b"ply\n", 3, "otreg: error: -: "),
        (("info", "-"), b"", 3, "otreg: error: -: the file is empty"),
        (("info", "-"), b"1 2 3\n", 3, "otreg: error: -: its format is unknown"),
    ],
)
def test_bad_pipes_are_one_line(arguments, data, code, words):
    answer = piped(*arguments, data=data)
    assert (answer.returncode, answer.stdout) == (code, b"")
    assert words in answer.stderr.decode() and answer.stderr.count(b"\n") == 1


def test_invert_and_compose_undo_and_follow(otreg_here, tmp_path):
    write_matrix(tmp_path / "t.txt", TURN)
    answer = otreg_here("invert", tmp_path / "t.txt", "-o", tmp_path / "inverse.json")
    assert (answer.returncode, answer.stderr) == (0, "")
    answer = otreg_here("compose", tmp_path / "t.txt", tmp_path / "inverse.json", "-o", tmp_path / "one.txt", "--json")
    written = {"output": str(tmp_path / "one.txt"), "linear": True, "residual": None}
    assert json.loads(answer.stdout) == {"schema": "otreg.compose/1", **written}
    assert np.abs(np.loadtxt(tmp_path / "one.txt") - np.eye(4)).max() < 1e-12
    answer = otreg_here("compose", tmp_path / "t.txt", "-o", tmp_path / "t.tfm")
    assert answer.returncode == 3 and "--frame RAS or --frame LPS" in answer.stderr
    assert otreg_here("compose", tmp_path / "t.txt", "-o", tmp_path / "t.tfm", "--frame", "LPS").returncode == 0
    assert np.abs(read_transform(tmp_path / "t.tfm").matrix() - TURN).max() < 1e-12
    assert otreg_here("compose", "-o", tmp_path / "x.json").returncode == 2


def test_apply_inverse_reports_the_residual_of_a_spline(otreg_here, tmp_path):
    from tests.jobs.test_transform_files import POINTS, cloud, spline

    write_json(tmp_path / "t.json", spline().to_dict())
    cloud(tmp_path / "a.csv")
    answer = otreg_here("apply", tmp_path / "t.json", tmp_path / "a.csv", "-o", tmp_path / "b.csv")
    assert answer.returncode == 0 and "residual" not in answer.stdout
    arguments = ("apply", "--inverse", tmp_path / "t.json", tmp_path / "b.csv", "-o")
    record = json.loads(otreg_here(*arguments, tmp_path / "c.csv", "--json").stdout)
    assert 0 <= record["residual"] < 1e-6
    assert "residual" in otreg_here(*arguments, tmp_path / "d.csv").stdout
    assert np.abs(read_shape(tmp_path / "c.csv").points - POINTS).max() < 1e-6
    answer = otreg_here("invert", tmp_path / "t.json", "-o", tmp_path / "i.json")
    assert "residual" in answer.stdout and "at the control points" in answer.stdout


def test_an_inverse_that_is_not_found_is_exit_code_4(otreg_here, tmp_path):
    from tests.jobs.test_transform_files import POINTS, cloud, spline

    write_json(tmp_path / "t.json", spline(bend=3.0).to_dict())
    cloud(tmp_path / "a.csv", POINTS * 10)
    answer = otreg_here("apply", "--inverse", tmp_path / "t.json", tmp_path / "a.csv", "-o", tmp_path / "b.csv")
    assert answer.returncode == 4 and answer.stderr.count("\n") == 1
    assert not (tmp_path / "b.csv").exists()
