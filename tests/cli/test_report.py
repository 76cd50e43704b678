"""otreg report and otreg view: pages of results and of any shapes."""

import shutil
from pathlib import Path

import pytest

from otreg_cli import view
from otreg_cli.view import has_display

from .records import checked

FAST = ("--blur", "6%", "--init", "none", "--iterations", "2")


@pytest.fixture(scope="module")
def done(otreg, tmp_path_factory):
    """A registration with --report, by the installed script: its folder and what it printed."""
    from .shapes import ellipsoid_ply

    folder = tmp_path_factory.mktemp("report")
    ellipsoid_ply(folder / "source.ply")
    ellipsoid_ply(folder / "target.ply", turn=20.0, shift=0.5)
    return folder, otreg("register", "source.ply", "target.ply", "-d", "out", "--report", *FAST, cwd=folder)


def test_register_writes_the_page_and_the_picture_beside_the_results(done):
    folder, answer = done
    assert answer.returncode == 0, answer.stderr
    assert "page         out/report.html\npreview      out/preview.png\n" in answer.stdout
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "source.ply → target.ply" in page
    assert "target.ply is not there" not in page
    assert (folder / "out" / "preview.png").stat().st_size > 10_000


def test_register_refuses_existing_pages_before_any_work_and_needs_a_folder(otreg_here, done, tmp_path):
    folder, _ = done
    shutil.copytree(folder / "out", tmp_path / "out")
    for name in ("registered.ply", "report.json", "transform.json", "transform.txt", "brenier.vtu"):
        (tmp_path / "out" / name).unlink()
    pair = folder / "source.ply", folder / "target.ply"
    answer = otreg_here("register", *pair, "-d", tmp_path / "out", "--report", *FAST)
    assert answer.returncode == 3
    assert "report.html: exists already" in answer.stderr
    answer = otreg_here("register", *pair, "-o", tmp_path / "a.ply", "--report", *FAST)
    assert answer.returncode == 2
    assert "name it with -d DIR" in answer.stderr
    assert not (tmp_path / "a.ply").exists()


def test_a_new_registration_removes_the_pictures_of_the_old_one(otreg_here, done, tmp_path):
    folder, _ = done
    shutil.copytree(folder / "out", tmp_path / "out")
    pair = folder / "source.ply", folder / "target.ply"
    assert otreg_here("register", *pair, "-d", tmp_path / "out", "--overwrite", "-q", *FAST).returncode == 0
    assert not {"report.html", "preview.png"} & {path.name for path in (tmp_path / "out").iterdir()}


def test_report_of_one_folder_and_of_many(otreg_here, done, tmp_path):
    folder, _ = done
    shutil.copytree(folder / "out", tmp_path / "all" / "one")
    one = otreg_here("report", tmp_path / "all" / "one", "--overwrite", "--json")
    record = checked(one.stdout)
    assert record["outputs"] == {
        "page": str(tmp_path / "all" / "one" / "report.html"),
        "preview": str(tmp_path / "all" / "one" / "preview.png"),
    }
    assert (record["results"], record["warnings"]) == (1, [])
    many = otreg_here("report", tmp_path / "all")
    assert many.returncode == 0, many.stderr
    assert many.stdout == f"index        {tmp_path / 'all' / 'index.html'}\nresults      1\n"


def test_a_target_that_is_gone_is_a_warning(otreg_here, done, tmp_path):
    folder, _ = done
    moved = tmp_path / "moved"
    shutil.copytree(folder / "out", moved / "out")
    text = (moved / "out" / "report.json").read_text().replace(str(folder / "target.ply"), "/nowhere/target.ply")
    (moved / "out" / "report.json").write_text(text)
    answer = otreg_here("report", moved / "out", "--overwrite", cwd=tmp_path)
    assert answer.returncode == 0
    assert "otreg: warning: the target target.ply is not there any more" in answer.stderr
    answer = otreg_here("report", moved / "out", "--overwrite", "--target", folder / "target.ply")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_report_refuses_what_makes_no_sense(otreg_here, done, tmp_path):
    folder, _ = done
    for arguments, code, words in (
        ((tmp_path / "nothing",), 3, "must be a folder"),
        ((tmp_path,), 3, "found none"),
        ((folder / "out", "--pages"), 2, "--pages is for folders of results"),
        ((folder, "--target", folder / "target.ply"), 2, "--target is for the folder of one result"),
    ):
        answer = otreg_here("report", *arguments)
        assert answer.returncode == code
        assert words in answer.stderr
        assert answer.stderr.count("\n") == 1


def test_view_writes_a_page_of_one_or_two_shapes(otreg_here, pair, tmp_path):
    answer = otreg_here("view", *pair, "-o", tmp_path / "two.html", "--json")
    record = checked(answer.stdout)
    assert (record["outputs"], record["opened"]) == ({"page": str(tmp_path / "two.html")}, False)
    assert "source.ply and target.ply" in (tmp_path / "two.html").read_text(encoding="utf-8")
    again = otreg_here("view", pair[0], "-o", tmp_path / "two.html")
    assert again.returncode == 3
    assert "exists already" in again.stderr
    assert otreg_here("view", tmp_path / "missing.ply", "-o", tmp_path / "x.html").returncode == 3


def test_view_refuses_shapes_of_different_dimension(otreg_here, pair, tmp_path):
    (tmp_path / "flat.csv").write_text("x,y\n0,0\n1,0\n0,1\n")
    answer = otreg_here("view", pair[0], tmp_path / "flat.csv", "-o", tmp_path / "x.html")
    assert answer.returncode == 3
    assert "must have the same number of coordinates; got 3 in source.ply and 2 in flat.csv" in answer.stderr
    assert not (tmp_path / "x.html").exists()


def test_view_opens_a_browser_where_there_is_a_display_and_says_so_where_not(otreg_here, pair, monkeypatch):
    asked = []
    monkeypatch.setattr(view.webbrowser, "open", lambda address: asked.append(address) or True)
    monkeypatch.setattr(view, "has_display", lambda: True)
    answer = otreg_here("view", pair[0])
    page = Path(answer.stdout.split(maxsplit=1)[1].strip())
    assert (asked, answer.stderr) == ([page.as_uri()], "")
    shutil.rmtree(page.parent)
    monkeypatch.setattr(view, "has_display", lambda: False)
    answer = otreg_here("view", pair[0])
    shutil.rmtree(Path(answer.stdout.split(maxsplit=1)[1].strip()).parent)
    assert len(asked) == 1
    assert "no display here: copy the page" in answer.stderr


@pytest.mark.skipif(view.platform.system() != "Linux", reason="displays of Linux")
def test_a_display_is_what_the_environment_says(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    assert not has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert has_display()
    monkeypatch.setenv("SSH_CONNECTION", "somewhere")
    assert not has_display()
