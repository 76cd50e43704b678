"""--json: each command prints one object, which its documented schema describes to the last field."""

import json

import numpy as np
import pytest

from otreg.io import write_matrix
from otreg.records import record_schema

from .records import checked, closed

FAST = ("--blur", "6%")
TURN = np.array([[0.0, -1, 0, 10], [1, 0, 0, 0], [0, 0, 1, -5], [0, 0, 0, 1]])


def test_the_check_notices_a_field_that_is_missing_wrong_or_not_described():
    record = {"schema": "otreg.convert/1", "output": "a.ply", "points": 3, "warnings": []}
    assert checked(json.dumps(record)) == record
    for change in ({"points": "3"}, {"points": -1}, {"colour": "red"}, {"warnings": [1]}):
        with pytest.raises(AssertionError):
            checked(json.dumps(record | change))
    with pytest.raises(AssertionError):
        checked(json.dumps({key: value for key, value in record.items() if key != "points"}))
    schema = record_schema("otreg.register/1")
    assert closed(schema)["$defs"]["step"]["additionalProperties"] is False


def test_register_with_a_search_and_its_report(otreg_here, pair, tmp_path):
    answer = otreg_here("register", *pair, "-d", tmp_path / "out", "--json", "-m", "rigid,affine", *FAST)
    record = checked(answer.stdout)
    assert record["schema"] == "otreg.register/1"
    assert record["search"]["starts"] > 1
    assert [stage["name"] for stage in record["stages"]] == ["rigid", "affine"]
    checked((tmp_path / "out" / "report.json").read_text())


def test_register_without_a_search_and_without_reach(otreg_here, pair, tmp_path):
    flags = ("--init", "none", "--reach", "none", "-m", "rigid,spline", "--control-points", "20", "--iterations", "2")
    record = checked(otreg_here("register", *pair, "-d", tmp_path / "out", "--json", *flags, *FAST).stdout)
    assert record["search"] is None
    assert {step["reach"] for stage in record["stages"] for step in stage["steps"]} == {None}


@pytest.mark.parametrize("flags", [(), ("--p", "1", "--blur", "5%"), ("--reach", "5%,none")])
def test_distance(otreg_here, pair, flags):
    record = checked(otreg_here("distance", *pair, "--json", *flags).stdout)
    assert record["schema"] == "otreg.distance/1"


@pytest.mark.parametrize("flags", [(), ("--both",), ("--grid", "4")])
def test_map(otreg_here, pair, tmp_path, flags):
    record = checked(otreg_here("map", *pair, "-o", tmp_path / "m.vtu", "--json", *FAST, *flags).stdout)
    assert record["schema"] == "otreg.map/1"
    assert (record["grid"] is None) == ("--grid" not in flags)


def test_map_at_points(otreg_here, pair, tmp_path):
    (tmp_path / "p.csv").write_text("x,y,z\n0,0,1\n3,0,0\n")
    record = checked(otreg_here("map", *pair, "-o", tmp_path / "m.npz", "--at", tmp_path / "p.csv", "--json").stdout)
    assert record["inputs"]["at"]["points"] == 2


def test_info_of_a_mesh_and_of_a_cloud(otreg_here, pair, tmp_path):
    assert checked(otreg_here("info", pair[0], "--json").stdout)["cells"] == {"triangle": 288}
    (tmp_path / "a.csv").write_text("x,y,heat\n0,1,2\n3,4,nan\n")
    record = checked(otreg_here("info", tmp_path / "a.csv", "--json").stdout)
    assert (record["dimension"], record["not_finite"]) == (2, {"heat": 1})


def test_commands_about_files_and_transforms(otreg_here, pair, tmp_path):
    write_matrix(tmp_path / "t.txt", TURN)
    for name, arguments in (
        ("convert", (pair[0], tmp_path / "a.npz")),
        ("apply", (tmp_path / "t.txt", pair[0], "-o", tmp_path / "b.ply")),
        ("invert", (tmp_path / "t.txt", "-o", tmp_path / "i.json")),
        ("compose", (tmp_path / "t.txt", tmp_path / "i.json", "-o", tmp_path / "c.txt")),
    ):
        answer = otreg_here(name, *arguments, "--json")
        assert checked(answer.stdout)["schema"] == f"otreg.{name}/1", answer.stderr


def test_answers_say_where_they_were_computed_whatever_was_asked_for(otreg_here, pair, tmp_path):
    automatic = checked(otreg_here("distance", *pair, "--json").stdout)
    assert automatic["settings"]["device"] == automatic["settings"]["reduction"] == "auto"
    import torch

    on_gpu = torch.cuda.is_available()
    where = automatic["computed_on"]
    assert where["device"].startswith("cuda" if on_gpu else "cpu")
    assert (where["device_name"] is None) == (not on_gpu)
    flags = ("--device", "cpu", "--reduction", "dense", "--threads", "1")
    asked = checked(otreg_here("distance", *pair, "--json", *flags).stdout)["computed_on"]
    assert asked == {"device": "cpu", "device_name": None, "reduction": "dense", "threads": 1}
    moved = otreg_here("register", *pair, "-o", tmp_path / "m.ply", "--json", "--init", "none", *flags, *FAST)
    assert checked(moved.stdout)["computed_on"] == asked
    mapped = otreg_here("map", *pair, "-o", tmp_path / "m.npz", "--json", *flags, *FAST)
    assert checked(mapped.stdout)["computed_on"] == asked
