"""otreg distance and otreg info: what they print is right, and JSON is one object."""

import json

import numpy as np
import pytest

from .shapes import ellipsoid_ply


def test_the_distance_of_a_shift_is_its_length(otreg_here, tmp_path):
    source = ellipsoid_ply(tmp_path / "a.ply")
    target = ellipsoid_ply(tmp_path / "b.ply", shift=0.75)
    answer = otreg_here("distance", source, target, "--json")
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)
    # S(a, a + t) = |t|^2 / 2 at any blur.
    assert record["divergence"]["value"] == pytest.approx(0.75**2 / 2, rel=1e-4)
    assert record["divergence"]["distance"] == pytest.approx(0.75, rel=1e-4)
    assert record["divergence"]["lower"] <= 0.75**2 / 2 * (1 + 1e-4)
    assert record["divergence"]["upper"] >= 0.75**2 / 2 * (1 - 1e-4)


def test_the_distance_in_file_units_scales_with_them(otreg_here, tmp_path):
    values = []
    for scale in (1.0, 1000.0):
        source = ellipsoid_ply(tmp_path / f"a{scale}.ply", scale=scale)
        target = ellipsoid_ply(tmp_path / f"b{scale}.ply", scale=scale, turn=30.0)
        # The blur is 0.2 file units in one, 200 in the other.
        answer = otreg_here("distance", source, target, "--json", "--blur", 0.2 * scale)
        values.append(json.loads(answer.stdout)["divergence"]["distance"])
    assert values[1] == pytest.approx(1000 * values[0], rel=1e-3)


def test_the_printed_distance_says_its_interval_and_unit(otreg_here, pair):
    answer = otreg_here("distance", *pair, "--blur", "5%")
    assert answer.returncode == 0, answer.stderr
    names = [line.split()[0] for line in answer.stdout.splitlines()]
    assert names == ["divergence", "distance", "status"]
    assert "between" in answer.stdout and "squared file units" in answer.stdout


def test_info_counts_what_is_in_the_file(otreg_here, tmp_path):
    path = ellipsoid_ply(tmp_path / "a.ply")
    record = json.loads(otreg_here("info", path, "--json").stdout)
    assert (record["points"], record["dimension"], record["cells"]) == (146, 3, {"triangle": 288})
    assert record["boundary_edges"] == 0
    assert record["point_attributes"] == {"red": "uint8"}
    spread = np.array(record["upper"]) - np.array(record["lower"])
    assert np.linalg.norm(spread) == pytest.approx(record["diagonal"])
    text = otreg_here("info", path).stdout
    assert "triangle 288" in text and "146" in text


def test_a_column_without_numbers_cannot_weigh_the_points(otreg_here, pair):
    answer = otreg_here("distance", *pair, "--weights", "mass")
    assert answer.returncode == 3
    assert "no point attribute 'mass'" in answer.stderr
    assert "red" in answer.stderr


def test_with_p_1_the_distance_of_a_shift_is_the_divergence(otreg_here, tmp_path):
    source = ellipsoid_ply(tmp_path / "a.ply")
    target = ellipsoid_ply(tmp_path / "b.ply", shift=0.75)
    flags = ["--p", "1", "--precision", "float64", "--reduction", "dense", "--blur", "1%", "--tolerance", "1e-4"]
    record = json.loads(otreg_here("distance", source, target, *flags, "--json").stdout)
    assert (record["settings"]["p"], record["settings"]["precision"]) == (1, "float64")
    # The mean way of the mass is at most the shift; on a closed surface some of it has a shorter one.
    assert 0.5 * 0.75 < record["divergence"]["value"] < 0.75 * (1 + 1e-3)
    assert record["divergence"]["distance"] == record["divergence"]["value"]
    text = otreg_here("distance", source, target, *flags).stdout
    assert "in file units, the divergence itself" in text and "squared" not in text


def test_a_side_without_reach_keeps_its_mass_and_the_flag_says_which(otreg_here, pair):
    values = []
    for reach in ("none,5%", "5%,none", "5%"):
        answer = otreg_here("distance", *pair, "--reach", reach, "--blur", "3%", "--json")
        assert answer.returncode == 0, answer.stderr
        record = json.loads(answer.stdout)
        assert record["settings"]["reach"] == reach
        values.append(record["divergence"]["value"])
    assert len(set(values)) == 3
    # What may be left behind on both sides costs least.
    assert values[2] < min(values[:2])


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--p", "3"], "--p must be less than or equal to 2; got '3'"),
        (["--reach", "1,5"], "--reach must not look like a decimal comma; got '1,5'"),
        (["--reach", "1%,auto"], "--reach must be a positive length; got 'auto'"),
        (["--precision", "float16"], "float16"),
    ],
)
def test_wrong_settings_of_a_distance_are_one_line(otreg_here, pair, flags, part):
    answer = otreg_here("distance", *pair, *flags)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.count("\n") == 1 and part in answer.stderr


def test_a_registration_refuses_two_reaches(otreg_here, pair):
    answer = otreg_here("register", *pair, "--reach", "1%,2%")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "--reach must be one length in a registration; got '1%,2%'" in answer.stderr
