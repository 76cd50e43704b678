"""The examples in configs/ do what they say: as they stand on the sample data, and to the end on small shapes."""

import csv
import shutil
from pathlib import Path

import jsonschema
import pytest

from otreg.config.json_schema import json_schema
from otreg.config.yaml_tree import read_tree
from otreg.io import read_shape

from .records import checked
from .shapes import ellipsoid_ply

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(file.name for file in (ROOT / "configs").glob("*.yaml"))
JOBS = {"rigid-scans": 2, "skull-atlas": 1, "partial-scans": 2, "large-clouds": 2}


@pytest.fixture
def examples(tmp_path) -> Path:
    """The folder of the examples, beside small shapes and landmarks with the names of the sample data."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "sample_data").mkdir()
    for name, turn in {"scan_source": 0, "scan_target": 15, "creature": 0, "creature_bent": 15}.items():
        shape = read_shape(ellipsoid_ply(tmp_path / "sample_data" / f"{name}.ply", turn=turn, shift=turn / 30))
        landmarks = tmp_path / "configs" / "landmarks" / f"{name}.csv"
        lines = [f"{k},{x},{y},{z}" for k, (x, y, z) in enumerate(shape.points[::40])]
        landmarks.write_text("\n".join(["name,x,y,z", *lines]) + "\n")
    clouds = tmp_path / "configs" / "large-clouds.yaml"
    assert "sampling: 100000 " in clouds.read_text()
    clouds.write_text(clouds.read_text().replace("sampling: 100000 ", "sampling: 1000 "))  # of shapes of 146 points
    return tmp_path / "configs"


def test_there_is_an_example_for_each_way_to_name_pairs():
    assert [f"{name}.yaml" for name in sorted(JOBS)] == EXAMPLES
    text = (ROOT / "configs" / "README.md").read_text()
    assert all(f"`{name}`" in text for name in EXAMPLES)
    keys = {key for name in EXAMPLES for key in read_tree(ROOT / "configs" / name).root.content}
    assert {"pairs", "all", "to", "every", "table", "settings", "source_landmarks"} <= keys


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_fulfil_the_schema(name):
    jsonschema.validate(
        read_tree(ROOT / "configs" / name).root.plain(), json_schema("batch"), jsonschema.Draft202012Validator
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_dry_run_plans_the_jobs_on_the_sample_data_and_finds_no_problem(otreg_here, name):
    answer = otreg_here("batch", f"configs/{name}", "--dry-run", cwd=ROOT)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"jobs         {JOBS[name.removesuffix('.yaml')]}\n" in answer.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_to_its_end(otreg, examples, name):
    answer = otreg("batch", examples / name)
    assert answer.returncode == 0, answer.stderr
    folder = examples.parent / "demo" / name.removesuffix(".yaml")
    with (folder / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["done"] * JOBS[name.removesuffix(".yaml")]
    for row in rows:
        record = checked((folder / row["name"] / "report.json").read_text())
        assert record["converged"]
        assert (record["landmarks"] is not None) == (name == "skull-atlas.yaml")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_settings_of_an_example_hold_for_one_pair(otreg_here, examples, name):
    shapes = examples.parent / "sample_data"
    arguments = (shapes / "scan_source.ply", shapes / "scan_target.ply", "--config", examples / name, "--json")
    answer = otreg_here("register", *arguments, "-d", examples.parent / "out", "--blur", "6%")
    record = checked(answer.stdout)
    written = read_tree(examples / name).root.plain()["settings"]
    assert record["settings"]["models"] == written["models"].split(",")
    assert record["settings"]["blur"] == "6%"
