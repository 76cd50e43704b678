"""otreg register: the files it writes, what they mean, and what it refuses."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import meshio
import numpy as np
import pytest

from otreg import read_shape

from .shapes import ellipsoid_ply
from .signals import listening

FAST = ("--blur", "3%")
FILES = {"registered.ply", "transform.json", "transform.txt", "brenier.vtu", "report.json"}


@pytest.fixture(scope="module")
def done(otreg, tmp_path_factory):
    """One finished registration: its folder (with source.ply, target.ply and out/) and what the command printed."""
    folder = tmp_path_factory.mktemp("register")
    ellipsoid_ply(folder / "source.ply")
    ellipsoid_ply(folder / "target.ply", turn=20.0, shift=0.5)
    return folder, otreg("register", "source.ply", "target.ply", "-d", "out", "--json", *FAST, cwd=folder)


def rotation(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def test_the_folder_holds_every_file(done):
    folder, answer = done
    assert answer.returncode == 0, answer.stderr
    assert {path.name for path in (folder / "out").iterdir()} == FILES


def test_json_is_one_object_and_the_report(done):
    folder, answer = done
    record = json.loads(answer.stdout)
    assert record == json.loads((folder / "out" / "report.json").read_text())
    assert answer.stderr == ""
    assert record["schema"] == "otreg.register/1"
    assert record["versions"].keys() >= {"otreg", "python", "torch", "numpy", "numba"}
    assert len(record["inputs"]["source"]["sha256"]) == 64
    assert record["settings"]["blur"] == "3%"
    assert record["divergence"]["lower"] <= record["divergence"]["value"] <= record["divergence"]["upper"]


def test_the_known_rigid_motion_is_found(done):
    folder, _ = done
    matrix = np.loadtxt(folder / "out" / "transform.txt")
    # 1 % of the shape's diagonal of about 7.5 units, a third of the blur.
    assert np.abs(matrix[:3, :3] - rotation(20)).max() < 0.01
    assert np.abs(matrix[:3, 3] - [0.5, 0, 0]).max() < 0.075
    assert matrix[3].tolist() == [0, 0, 0, 1]


def test_the_moved_shape_differs_from_the_source_in_its_coordinates_only(done):
    folder, _ = done
    source, moved = read_shape(folder / "source.ply"), read_shape(folder / "out" / "registered.ply")
    matrix = np.loadtxt(folder / "out" / "transform.txt")
    assert np.abs(moved.points - (source.points @ matrix[:3, :3].T + matrix[:3, 3])).max() < 1e-9
    assert (moved.point_data["red"] == source.point_data["red"]).all()
    assert (moved.cells[0].indices == source.cells[0].indices).all()


def test_the_fields_are_in_file_units_and_in_source_order(done):
    folder, _ = done
    source = read_shape(folder / "source.ply")
    fields = meshio.read(folder / "out" / "brenier.vtu")
    moved = source.points + fields.point_data["registration_displacement"]
    assert np.abs(moved - fields.points).max() < 1e-9
    assert np.abs(moved - read_shape(folder / "out" / "registered.ply").points).max() < 1e-9
    assert set(fields.point_data) == {
        "registration_displacement",
        "brenier_displacement",
        "potential",
        "matched_mass",
    }
    # The shapes lie on each other now: less is left to move than was moved.
    left = np.linalg.norm(fields.point_data["brenier_displacement"], axis=1).mean()
    assert left < 0.2 * np.linalg.norm(fields.point_data["registration_displacement"], axis=1).mean()
    # No point finds less of a partner than the others.
    assert np.ptp(fields.point_data["matched_mass"]) < 0.1


def test_existing_results_are_refused_before_any_work_and_left_as_they_are(otreg_here, done):
    folder, _ = done
    before = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    answer = otreg_here("register", "source.ply", "target.ply", "-d", "out", *FAST, cwd=folder)
    assert answer.returncode == 3
    assert re.fullmatch(r"otreg: error: out/registered\.ply: exists already; .*--overwrite\n", answer.stderr)
    assert {path.name: path.read_bytes() for path in (folder / "out").iterdir()} == before


def test_apply_moves_landmarks_with_their_names(otreg_here, done, tmp_path):
    folder, _ = done
    landmarks = tmp_path / "landmarks.csv"
    landmarks.write_text("x,y,z,name\n3,0,0,nose\n0,2,0,left ear\n0,0,-1,foot\n")
    answer = otreg_here("apply", folder / "out" / "transform.json", landmarks, "-o", tmp_path / "moved.csv")
    assert answer.returncode == 0, answer.stderr
    moved = read_shape(tmp_path / "moved.csv")
    matrix = np.loadtxt(folder / "out" / "transform.txt")
    expected = np.array([[3.0, 0, 0], [0, 2, 0], [0, 0, -1]]) @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.abs(moved.points - expected).max() < 1e-9
    assert list(moved.point_data["name"]) == ["nose", "left ear", "foot"]


def test_the_source_moved_by_apply_is_the_registered_shape(otreg_here, done, tmp_path):
    folder, _ = done
    otreg_here("apply", folder / "out" / "transform.json", folder / "source.ply", "-o", tmp_path / "again.ply")
    assert (tmp_path / "again.ply").read_bytes() == (folder / "out" / "registered.ply").read_bytes()


def test_millimetres_instead_of_metres_scale_the_answer_by_a_thousand(otreg_here, done, tmp_path):
    folder, answer = done
    small = json.loads(answer.stdout)
    ellipsoid_ply(tmp_path / "source.ply", scale=1000.0)
    ellipsoid_ply(tmp_path / "target.ply", turn=20.0, shift=0.5, scale=1000.0)
    answer = otreg_here("register", "source.ply", "target.ply", "-d", "out", "--json", *FAST, cwd=tmp_path)
    large = json.loads(answer.stdout)
    metres, millimetres = (np.loadtxt(path / "out" / "transform.txt") for path in (folder, tmp_path))
    # Rounding differs, so that a step more or less may be taken: twice the tolerance of 1e-4 diagonals of 7.5 units.
    assert np.abs(millimetres[:3, :3] - metres[:3, :3]).max() < 2e-4
    assert np.abs(millimetres[:3, 3] - 1000 * metres[:3, 3]).max() < 1.5
    assert large["frame"]["scale"] == pytest.approx(1000 * small["frame"]["scale"], rel=1e-12)
    # Both are nearly 0: a hundred-millionth of the squared diagonal is a hundredth of a percent of it as a length.
    difference = large["divergence"]["value"] - 1e6 * small["divergence"]["value"]
    assert abs(difference) < 1e-8 * large["frame"]["scale"] ** 2


def test_a_spline_writes_no_matrix_and_removes_the_one_of_an_earlier_run(otreg_here, pair, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "transform.txt").write_text("of an earlier run")
    flags = ("-m", "rigid,spline", "--blur", "6%", "--control-points", "30", "--iterations", "3", "--overwrite")
    answer = otreg_here("register", *pair, "-d", out, *flags)
    assert answer.returncode == 0, answer.stderr
    assert {path.name for path in out.iterdir()} == FILES - {"transform.txt"}
    answer = otreg_here("apply", out / "transform.json", pair[0], "-o", tmp_path / "again.ply")
    assert answer.returncode == 0, answer.stderr
    assert np.abs(read_shape(tmp_path / "again.ply").points - read_shape(out / "registered.ply").points).max() < 1e-9


def test_a_file_alone_is_all_that_is_written(otreg_here, pair, tmp_path):
    before = set(tmp_path.iterdir())
    answer = otreg_here("register", *pair, "-o", tmp_path / "moved.ply", "--blur", "6%", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert set(tmp_path.iterdir()) - before == {tmp_path / "moved.ply"}
    rows = dict(line.split(maxsplit=1) for line in answer.stdout.splitlines())
    assert set(rows) == {"shape", "divergence", "distance", "status"}
    assert rows["shape"] == str(tmp_path / "moved.ply")


def test_the_folder_is_named_after_both_shapes_and_quiet_prints_nothing(otreg_here, pair, tmp_path):
    answer = otreg_here("register", *pair, "-q", "--blur", "6%", cwd=tmp_path)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert {path.name for path in (tmp_path / "source_to_target").iterdir()} == FILES


def test_strict_exits_with_4_and_still_writes_when_the_steps_run_out(otreg_here, pair, tmp_path):
    flags = ("--blur", "2%", "--iterations", "1", "--tolerance", "1e-9")
    answer = otreg_here("register", *pair, "-d", tmp_path / "out", "--strict", *flags)
    assert answer.returncode == 4
    assert answer.stderr.startswith("otreg: error: did not converge: ")
    assert answer.stderr.count("\n") == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_verbose_prints_one_line_per_step_without_a_terminal(otreg_here, pair, tmp_path):
    models = ("-m", "rigid,affine")  # each takes one step at least
    answer = otreg_here("register", *pair, *models, "-d", tmp_path / "out", "-v", "--json", "--blur", "6%")
    steps = sum(len(stage["steps"]) for stage in json.loads(answer.stdout)["stages"])
    lines = answer.stderr.splitlines()
    assert len(lines) == steps > 1
    assert all(re.match(r"(rigid|affine) step \d+  blur \d", line) for line in lines)
    assert "\x1b" not in answer.stderr


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_shows_a_live_line_in_colour_unless_told_otherwise(pair, tmp_path, no_color):
    script = str(Path(sys.executable).parent / "otreg")
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "CI")} | {
        "TERM": "xterm-256color"
    }
    if no_color:
        env["NO_COLOR"] = "1"
    ours, theirs = pty.openpty()
    command = [script, "register", *map(str, pair), "-o", str(tmp_path / "out.ply"), "--blur", "6%"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=env)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert child.wait(timeout=60) == 0
    text = shown.decode()
    assert "rigid step 1" in text
    assert ("\x1b[36m" in text) == (not no_color)


def test_an_interrupt_is_one_line_exit_code_130_and_no_half_written_file(pair, tmp_path):
    script = str(Path(sys.executable).parent / "otreg")
    out = tmp_path / "out"
    # So fine a tolerance and blur that it would go on for long.
    flags = ["--blur", "0.5%", "--tolerance", "1e-12", "--iterations", "100000", "--optimizer", "adam", "-v"]
    command = [script, "register", *map(str, pair), "-d", str(out), *flags]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listening
    ) as child:
        assert child.stderr is not None
        first = child.stderr.readline()
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        _, rest = child.communicate(timeout=60)
    assert first.startswith("rigid step 1")
    assert child.returncode == 130
    assert rest.splitlines()[-1] == "otreg: error: interrupted"
    assert "Traceback" not in rest
    assert not out.exists() or not list(out.iterdir())


def test_normals_turn_with_the_shape(otreg_here, sample_data, tmp_path):
    for name in ("scan_source.ply", "scan_target.ply"):
        shutil.copy(sample_data / name, tmp_path)
    flags = ("--blur", "8%", "--sampling", "500", "--iterations", "3")
    answer = otreg_here("register", "scan_source.ply", "scan_target.ply", "-d", "out", *flags, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    before, after = read_shape(tmp_path / "scan_source.ply"), read_shape(tmp_path / "out" / "registered.ply")
    matrix = np.loadtxt(tmp_path / "out" / "transform.txt")
    normals, turned = (
        np.stack([shape.point_data[name] for name in ("nx", "ny", "nz")], axis=1).astype(float)
        for shape in (before, after)
    )
    assert np.abs(matrix[:3, :3] - np.eye(3)).max() > 0.1, "a turn is needed for this test to say anything"
    assert np.abs(turned - normals @ matrix[:3, :3].T).max() < 1e-5
