"""otreg register --landmarks: from two files of points to a pose that the shapes alone leave open."""

import json
import re

import numpy as np
import pytest

from otreg.io import read_shape, write_shape
from otreg.shapes import Shape

POINTS = np.array([[3.0, 0, 0], [0, 2, 0], [0, 0, 1], [-2, 1, 0.5]])
NAMES = ["nose", "left ear", "crown", "neck"]


def moved(points):
    c, s = np.cos(np.radians(130)), np.sin(np.radians(130))
    return points @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]).T + [0.5, 1.0, 0]


@pytest.fixture
def ball(tmp_path):
    """A sphere, the same one turned, and four landmarks of each in another order."""
    k = np.arange(500) + 0.5
    z, angle = 1 - 2 * k / 500, np.pi * (1 + 5**0.5) * k
    sphere = 3 * np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)
    write_shape(Shape(sphere), tmp_path / "source.ply")
    write_shape(Shape(moved(sphere)), tmp_path / "target.ply")
    for name, points, order in (("source", POINTS, [0, 1, 2, 3]), ("target", moved(POINTS), [2, 0, 3, 1])):
        lines = [f"{NAMES[i]},{','.join(map(repr, points[i].tolist()))}" for i in order]
        (tmp_path / f"{name}.csv").write_text("name,x,y,z\n" + "\n".join(lines) + "\n")
    return tmp_path


COMMAND = ("register", "source.ply", "target.ply", "--landmarks", "source.csv", "target.csv", "--blur", "3%")


def test_landmarks_give_the_turn_of_a_sphere_and_are_reported(otreg_here, ball):
    answer = otreg_here(*COMMAND, "-d", "out", cwd=ball)
    assert answer.returncode == 0, answer.stderr
    matrix = np.loadtxt(ball / "out" / "transform.txt")
    assert np.abs(POINTS @ matrix[:3, :3].T + matrix[:3, 3] - moved(POINTS)).max() < 0.02
    row = next(line for line in answer.stdout.splitlines() if line.startswith("landmarks"))
    assert re.fullmatch(r"landmarks +\S+ rms, at most \S+ \('.+'\); \S+ rms before, in file units", row)
    record = json.loads((ball / "out" / "report.json").read_text())
    assert record["landmarks"]["names"] == NAMES
    assert record["landmarks"]["rms_after"] < 0.02 < record["landmarks"]["rms_before"]
    assert record["inputs"]["target_landmarks"]["path"] == "target.csv"
    assert record["settings"]["landmark_weight"] == 0.1


def test_an_outlier_is_named_on_stderr(otreg_here, ball):
    # A shape that can lie in one way only: on a ball, one false landmark takes the others along.
    points = read_shape(ball / "source.ply").points
    lopsided = points * [1, 0.7, 0.5] * (1 + 0.1 * points[:, :1])
    for name, placed in (("source", lopsided), ("target", moved(lopsided))):
        write_shape(Shape(placed), ball / f"{name}.ply", overwrite=True)
    lines = (ball / "target.csv").read_text().splitlines()
    astray = [line if not line.startswith("neck") else "neck,9,9,9" for line in lines]
    (ball / "target.csv").write_text("\n".join(astray))
    answer = otreg_here(*COMMAND, "-o", "out.ply", "--landmark-weight", "1%", cwd=ball)
    assert answer.returncode == 0, answer.stderr
    warnings = [line.removeprefix("otreg: warning: ") for line in answer.stderr.splitlines()]
    assert any(line.startswith("target.csv: landmark 'neck' lies") for line in warnings)
    assert any(line.startswith("landmark 'neck' ends") for line in warnings)


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--landmark-weight", "0"), 2, "--landmark-weight must be greater than 0"),
        (("--landmark-weight", "much"), 2, "--landmark-weight must be"),
        (("-o", "source.csv"), 3, "the output is also an input"),
    ],
)
def test_wrong_use_is_one_line(otreg_here, ball, flags, code, words):
    flags = flags if "-o" in flags else (*flags, "-o", "out.ply")
    answer = otreg_here(*COMMAND, *flags, "--overwrite", cwd=ball)
    assert answer.returncode == code
    assert words in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_a_weight_without_landmarks_is_warned_of(otreg_here, ball):
    answer = otreg_here(
        *COMMAND[:3], "--init", "none", "--blur", "5%", "--landmark-weight", "30%", "-o", "o.ply", cwd=ball
    )
    assert answer.returncode == 0, answer.stderr
    assert "warning: landmark_weight is 0.3, but there are no landmarks; give them with --landmarks" in answer.stderr


def test_a_name_without_partner_is_one_line(otreg_here, ball):
    (ball / "target.csv").write_text((ball / "target.csv").read_text().replace("crown", "crowm"))
    answer = otreg_here(*COMMAND, "-o", "out.ply", cwd=ball)
    assert answer.returncode == 3
    assert re.fullmatch(r"otreg: error: .*'crowm' \(is it 'crown'\?\).*\n", answer.stderr)
    assert not (ball / "out.ply").exists()
