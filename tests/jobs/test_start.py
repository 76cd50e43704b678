"""A registration starts from the map that a file holds, whatever kind of file, or says why it cannot."""

import json

import numpy as np
import pytest

from otreg.config import RegisterConfig, load_settings
from otreg.errors import ArgumentError, InputError, InputFileError
from otreg.io import read_shape, write_json, write_matrix, write_shape
from otreg.jobs import Outputs, register_files

TURN = np.array([[0.0, -1, 0, 5], [1, 0, 0, -3], [0, 0, 1, 2], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def pair(sample_data, tmp_path_factory):
    """A scan turned by 90 degrees and moved, and where it came from, in files."""
    folder = tmp_path_factory.mktemp("pair")
    shape = read_shape(sample_data / "scan_target.ply")
    write_shape(shape, folder / "target.ply")
    back = np.linalg.inv(TURN)
    write_shape(shape.with_points(shape.points @ back[:3, :3].T + back[:3, 3], None), folder / "source.ply")
    return folder


def registered(folder, tmp_path, **settings):
    config = load_settings(RegisterConfig, {"blur": "3%", **settings})
    return register_files(folder / "source.ply", folder / "target.ply", config, Outputs(directory=tmp_path / "out"))


def test_a_matrix_and_a_transform_of_otreg_start_at_the_same_place(pair, tmp_path):
    write_matrix(tmp_path / "start.txt", TURN)
    first = registered(pair, tmp_path / "first", init=str(tmp_path / "start.txt"))
    found = np.loadtxt(first.files["matrix"])
    size = first.record["frame"]["scale"]
    assert np.abs(found - TURN)[:3, :3].max() < 1e-3 and np.abs(found - TURN)[:3, 3].max() < 1e-3 * size
    assert first.record["search"] is None
    # It was there already: the first step is the last.
    assert first.record["stages"][0]["steps"][0]["move"] < 1e-3
    second = registered(pair, tmp_path / "second", init=str(first.files["transform"]))
    assert second.record["stages"][0]["steps"][0]["move"] < 1e-3


def test_the_search_is_on_record_and_finds_the_turn(pair, tmp_path):
    report = registered(pair, tmp_path)
    assert report.record["search"]["starts"] > 500
    size = report.record["frame"]["scale"]
    found = np.loadtxt(report.files["matrix"])
    assert np.abs(found - TURN)[:3, :3].max() < 1e-2 and np.abs(found - TURN)[:3, 3].max() < 1e-2 * size


@pytest.mark.parametrize(
    ("linear", "words"),
    [
        (np.diag([1.0, 2.0, 1.0]), "a rigid model cannot start from this map, which is affine"),
        (np.diag([-1.0, 1.0, 1.0]), "a rigid model cannot start from this map, which is affine"),
        (2 * np.eye(3), "a rigid model cannot start from this map, which is similarity"),
    ],
)
def test_maps_that_the_first_model_cannot_hold_are_refused(pair, tmp_path, linear, words):
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    write_matrix(tmp_path / "start.txt", matrix)
    with pytest.raises(InputError, match=words):
        registered(pair, tmp_path, init=str(tmp_path / "start.txt"))


def test_a_start_of_another_dimension_is_refused(pair, tmp_path):
    write_matrix(tmp_path / "start.txt", np.eye(3))
    with pytest.raises(InputError, match="dimension 3; got 2"):
        registered(pair, tmp_path, init=str(tmp_path / "start.txt"))


def test_a_spline_is_no_start(pair, tmp_path):
    bent = registered(pair, tmp_path, models="spline", control_points=5)
    assert json.loads(bent.files["transform"].read_text())["model"]["name"] == "spline"
    with pytest.raises(InputError, match="a start must be linear"):
        registered(pair, tmp_path / "again", init=str(bent.files["transform"]))


def test_a_missing_start_is_named_before_anything_is_written(pair, tmp_path):
    with pytest.raises(InputFileError, match=r"nowhere\.json: no such file; init must be auto, search"):
        registered(pair, tmp_path, init=str(tmp_path / "nowhere.json"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", ["", "  ", 3])
def test_a_start_that_is_neither_word_nor_path_is_refused(value):
    with pytest.raises(ArgumentError, match="--init must be"):
        load_settings(RegisterConfig, {"init": value}, name=lambda field: f"--{field}")


def test_starts_in_json_that_are_no_transforms_are_refused(pair, tmp_path):
    write_json(tmp_path / "start.json", {"format": "other"})
    with pytest.raises(InputError, match=r"start\.json"):
        registered(pair, tmp_path, init=str(tmp_path / "start.json"))
