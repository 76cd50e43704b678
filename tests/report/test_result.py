"""A report is made from a result folder alone, finds the target where it was, and says so when it cannot."""

import os
import shutil

import pytest

from otreg.errors import FormatError, InputError, InputFileError, OutputFileError
from otreg.io import read_json, write_json, write_shape
from otreg.report import read_result, write_index, write_report

from .shapes import sphere, turned


@pytest.fixture
def folder(surface_result, tmp_path):
    """A copy of a result that lies elsewhere than its inputs."""
    return shutil.copytree(surface_result, tmp_path / "copy")


def move_target(folder, name="elsewhere.ply"):
    """The report of the folder then names a target that is not there."""
    record = read_json(folder / "report.json")
    record["inputs"]["target"] |= {"absolute": f"/nowhere/{name}", "path": name}
    write_json(folder / "report.json", record, overwrite=True)


def test_a_report_is_a_page_and_a_picture(folder):
    written = write_report(folder)
    assert (written.page.name, written.preview.name, written.notes) == ("report.html", "preview.png", ())
    assert written.preview.read_bytes().startswith(b"\x89PNG")
    assert "source.ply → target.ply" in written.page.read_text(encoding="utf-8")


def test_the_source_is_known_without_its_file(folder):
    found = read_result(folder)
    assert found.source.points == pytest.approx(sphere(12).points, abs=1e-9)
    assert (found.source.cells[0].indices == sphere(12).cells[0].indices).all()


def test_existing_files_are_left_alone_unless_asked(folder):
    (folder / "report.html").write_text("mine")
    with pytest.raises(OutputFileError, match=r"report\.html: exists already"):
        write_report(folder)
    assert (folder / "report.html").read_text() == "mine"
    assert not (folder / "preview.png").exists()
    write_report(folder, overwrite=True)
    assert "<!DOCTYPE html>" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_target_that_is_gone_is_said_and_not_shown(folder):
    move_target(folder)
    written = write_report(folder)
    assert written.notes == (
        "the target elsewhere.ply is not there any more, so it is not shown; say where it is with --target FILE",
    )
    assert written.notes[0] in written.page.read_text(encoding="utf-8")
    assert read_result(folder).target is None


def test_a_target_that_was_moved_is_found_by_its_content(folder, surface_result):
    move_target(folder)
    target = surface_result.parent / "target.ply"
    assert read_result(folder, target=target).target is not None
    shutil.copy(target, folder / "elsewhere.ply")
    assert read_result(folder).target.path == folder / "elsewhere.ply"


def test_a_target_with_other_content_is_not_taken_for_it(folder, tmp_path):
    move_target(folder)
    write_shape(turned(sphere(12), degrees=90), folder / "elsewhere.ply")
    [note] = read_result(folder).notes
    assert note.endswith("elsewhere.ply has changed since the registration, so it is not shown")
    with pytest.raises(InputError, match=r"is not the target of .*its content differs"):
        read_result(folder, target=folder / "elsewhere.ply")
    with pytest.raises(InputFileError):
        read_result(folder, target=tmp_path / "missing.ply")


def test_folders_without_a_result_are_refused_in_one_line(folder, tmp_path):
    with pytest.raises(InputFileError, match=r"report\.json"):
        write_report(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"must hold a report\.json, or folders with one; found none"):
        write_index(folder)
    with pytest.raises(InputFileError, match="must be a folder"):
        write_index(tmp_path / "nothing")
    write_json(folder / "report.json", {"schema": "otreg.map/1"}, overwrite=True)
    with pytest.raises(FormatError, match=r"'schema' otreg\.register/1; got 'otreg\.map/1'"):
        write_report(folder)
    write_json(folder / "report.json", [1], overwrite=True)
    with pytest.raises(FormatError, match="got None"):
        write_report(folder)
    write_json(folder / "report.json", {"schema": "otreg.register/1"}, overwrite=True)
    with pytest.raises(FormatError, match="lacks 'converged', so it was edited"):
        write_report(folder)


def test_a_report_that_names_no_inputs_is_refused(folder):
    record = read_json(folder / "report.json")
    write_json(folder / "report.json", {**record, "inputs": {"source": record["inputs"]["source"]}}, overwrite=True)
    with pytest.raises(FormatError, match="says nothing of its target"):
        write_report(folder)


def test_fields_of_something_else_are_refused(folder):
    write_shape(sphere(5), folder / "brenier.vtu", overwrite=True)
    with pytest.raises(FormatError, match="must hold the field 'registration_displacement'"):
        write_report(folder)


@pytest.fixture
def many(surface_result, curve_result, tmp_path):
    """A folder of three results, one of them damaged."""
    folder = tmp_path / "many"
    shutil.copytree(surface_result, folder / "a & b")
    shutil.copytree(curve_result, folder / "deep" / "curve")
    shutil.copytree(surface_result, folder / "damaged")
    (folder / "damaged" / "report.json").write_text("{")
    return folder


def test_an_index_lists_every_result_and_says_what_is_wrong(many):
    seen = []
    written = write_index(many, on_result=lambda done, of: seen.append((done, of)))
    text = written.index.read_text(encoding="utf-8")
    assert (written.results, seen) == (3, [(1, 3), (2, 3), (3, 3)])
    assert text.count('<th scope="row"') == 3
    assert 'data-value="a &amp; b"' in text
    assert 'src="a%20%26%20b/preview.png"' in text
    assert (many / "deep" / "curve" / "preview.png").exists()
    assert not (many / "deep" / "curve" / "report.html").exists()
    [note] = [note for note in written.notes if note.startswith("damaged")]
    assert "not valid JSON" in note
    assert "look at this" in text
    mean = read_json(many / "deep" / "curve" / "report.json")["quality"]["distances"]["symmetric"]["mean"]
    assert f'data-value="{mean!r}"' in text


def test_an_index_writes_pages_when_asked_and_only_what_is_old(curve_result, tmp_path):
    one = shutil.copytree(curve_result, tmp_path / "all" / "one")
    write_index(tmp_path / "all", pages=True)
    page = one / "report.html"
    assert page.exists()
    with pytest.raises(OutputFileError, match=r"index\.html: exists already"):
        write_index(tmp_path / "all")
    page.write_text("kept")
    written = write_index(tmp_path / "all", pages=True, overwrite=True)
    assert page.read_text() == "kept"
    assert 'href="one/report.html"' in written.index.read_text(encoding="utf-8")
    # A registration that is newer than its page.
    os.utime(page, (0, 0))
    write_index(tmp_path / "all", pages=True, overwrite=True)
    assert page.read_text(encoding="utf-8") != "kept"
