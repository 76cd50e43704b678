"""otreg map: what it writes is what it says, errors are one line, and the help names every flag."""

import json

import numpy as np
import pytest

from otreg.io import read_shape

from .shapes import ellipsoid_ply


@pytest.fixture
def shifted(tmp_path):
    return ellipsoid_ply(tmp_path / "a.ply"), ellipsoid_ply(tmp_path / "b.ply", shift=0.75)


def test_the_map_of_a_shift_is_the_shift(otreg_here, shifted, tmp_path):
    answer = otreg_here("map", *shifted, "-o", tmp_path / "m.vtu", "--both")
    assert answer.returncode == 0, answer.stderr
    lines = dict(line.split(maxsplit=1) for line in answer.stdout.splitlines() if not line.startswith("target map"))
    assert lines["map"] == str(tmp_path / "m.vtu") and lines["points"] == "146 and 146"
    assert lines["divergence"].startswith("0.28125 ") or abs(float(lines["divergence"].split()[0]) - 0.28125) < 1e-4
    for name, sign in (("m.vtu", 1), ("m_target.vtu", -1)):
        found = read_shape(tmp_path / name)
        assert found.point_data["displacement"] == pytest.approx(np.tile([sign * 0.75, 0, 0], (146, 1)), abs=1e-3)
        assert sum(len(block) for block in found.cells) == 288


def test_the_json_report_names_files_points_and_interval(otreg_here, shifted, tmp_path):
    (tmp_path / "p.csv").write_text("x,y,z\n0,0,1\n3,0,0\n")
    answer = otreg_here("map", *shifted, "-o", tmp_path / "m.npz", "--at", tmp_path / "p.csv", "--json")
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)
    assert record["outputs"] == {"map": str(tmp_path / "m.npz")}
    assert record["points"] == {"map": 2}
    assert record["inputs"]["at"]["points"] == 2
    assert record["divergence"]["lower"] <= record["divergence"]["value"] <= record["divergence"]["upper"]
    assert read_shape(tmp_path / "m.npz").point_data["displacement"] == pytest.approx(
        np.tile([0.75, 0, 0], (2, 1)), abs=1e-3
    )


def test_a_grid_is_written_as_points(otreg_here, shifted, tmp_path):
    # Coarse: deep inside a hollow shape a fine blur leaves open which wall a point belongs to.
    answer = otreg_here("map", *shifted, "-o", tmp_path / "m.ply", "--grid", 6, "--blur", "15%", "--json")
    assert answer.returncode == 0, answer.stderr
    counts = json.loads(answer.stdout)["grid"]["counts"]
    assert max(counts) == 6
    found = read_shape(tmp_path / "m.ply")
    assert len(found.points) == np.prod(counts)
    assert found.point_data["displacement_0"] == pytest.approx(np.full(len(found.points), 0.75), abs=1e-2)


@pytest.mark.parametrize(
    ("flags", "code", "part"),
    [
        ([], 2, "Missing option '-o'"),
        (["-o", "m.obj"], 2, "m.obj: a map is written as .vtu, .ply, .npz; got '.obj'"),
        (["-o", "m.ply", "--to", "stl"], 2, "'stl'"),
        (["-o", "a.ply", "--overwrite"], 3, "a.ply: the output is also an input"),
        (["-o", "m.ply", "--at", "b.ply", "--grid", "5"], 2, "at and grid exclude each other"),
        (["-o", "m.ply", "--grid", "1"], 2, "--grid must be greater than or equal to 2; got '1'"),
        (["-o", "m.ply", "--grid", "9999"], 2, "a grid must have at most"),
        (["-o", "m.ply", "--at", "nothing.csv"], 3, "nothing.csv"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(otreg_here, shifted, flags, code, part):
    source, target = shifted
    answer = otreg_here("map", source.name, target.name, *flags, cwd=source.parent)
    assert (answer.returncode, answer.stdout) == (code, "")
    assert answer.stderr.count("\n") == 1
    assert part in answer.stderr
    assert sorted(path.name for path in source.parent.iterdir()) == ["a.ply", "b.ply"]


def test_strict_complains_after_the_map_is_written(otreg_here, tmp_path):
    source, target = ellipsoid_ply(tmp_path / "a.ply"), ellipsoid_ply(tmp_path / "b.ply", turn=40.0)
    answer = otreg_here("map", source, target, "-o", tmp_path / "m.npz", "--tolerance", "1e-15", "--strict")
    assert answer.returncode == 4
    assert "did not converge" in answer.stderr
    assert len(read_shape(tmp_path / "m.npz").points) == 146
