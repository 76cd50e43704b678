"""Outputs are settled and refused before any work, and checking them touches nothing."""

import os

import pytest

from otreg.errors import ArgumentError, OutputFileError
from otreg.jobs.outputs import Outputs, check_outputs, check_writable_format


def test_a_folder_receives_everything_and_a_matrix_for_linear_models_only(tmp_path):
    outputs = Outputs(directory=tmp_path / "out")
    names = {role: path.name for role, path in outputs.files(".ply", linear=True).items()}
    assert names == {
        "shape": "registered.ply",
        "transform": "transform.json",
        "matrix": "transform.txt",
        "fields": "brenier.vtu",
        "report": "report.json",
    }
    assert "matrix" not in outputs.files(".ply", linear=False)


def test_a_file_alone_receives_the_shape_alone(tmp_path):
    assert Outputs(shape=tmp_path / "a.ply").files(".obj", linear=True) == {"shape": tmp_path / "a.ply"}


def test_nowhere_to_write_is_refused():
    with pytest.raises(ArgumentError, match="neither"):
        Outputs()


def test_existing_files_are_refused_unless_overwriting(tmp_path):
    (tmp_path / "a.ply").write_text("precious")
    with pytest.raises(OutputFileError, match=r"a\.ply: exists already.*--overwrite"):
        check_outputs([tmp_path / "a.ply"], inputs=[], overwrite=False)
    check_outputs([tmp_path / "a.ply"], inputs=[], overwrite=True)
    assert (tmp_path / "a.ply").read_text() == "precious"


@pytest.mark.parametrize("name", ["a.ply", "folder/../a.ply", "link.ply", "hard.ply"])
def test_an_output_that_is_an_input_under_any_name_is_refused_even_when_overwriting(tmp_path, name):
    source = tmp_path / "a.ply"
    source.write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.ply").symlink_to(source)
    os.link(source, tmp_path / "hard.ply")
    with pytest.raises(OutputFileError, match="also an input"):
        check_outputs([tmp_path / name], inputs=[source], overwrite=True)


def test_two_outputs_with_one_name_are_refused(tmp_path):
    with pytest.raises(OutputFileError, match="two outputs"):
        check_outputs([tmp_path / "a.json", tmp_path / "b" / ".." / "a.json"], inputs=[], overwrite=True)


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "a.ply").mkdir()
    with pytest.raises(OutputFileError, match="is a folder"):
        check_outputs([tmp_path / "a.ply"], inputs=[], overwrite=True)


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputFileError, match="not a folder"):
        check_outputs([tmp_path / "out" / "deep" / "a.ply"], inputs=[], overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(OutputFileError, match="no permission"):
        check_outputs([tmp_path / "locked" / "a.ply"], inputs=[], overwrite=False)


def test_checking_creates_nothing(tmp_path):
    check_outputs([tmp_path / "new" / "a.ply"], inputs=[tmp_path / "missing.ply"], overwrite=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.docx", "a"])
def test_an_unknown_extension_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(OutputFileError, match=r"\.ply"):
        check_writable_format(tmp_path / name)
    check_writable_format(tmp_path / "a.PLY")
