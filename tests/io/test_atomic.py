"""A file appears whole or not at all, and nothing is replaced unasked."""

import errno
import os
import stat
from pathlib import Path

import pytest

from otreg.errors import OutputFileError
from otreg.io import atomic_write


def test_the_file_appears_only_at_the_end_and_parents_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "out.ply"
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == ".ply"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_any_exception_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), atomic_write(tmp_path / "out") as temporary:
        temporary.write_text("half")
        raise error
    assert not list(tmp_path.iterdir())


def test_existing_files_are_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(OutputFileError, match="exists already; pass --overwrite"), atomic_write(path):
        raise AssertionError("the block must not run")
    assert path.read_text() == "old"
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_of_two_jobs_with_one_output_the_second_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(OutputFileError, match="exists already"), atomic_write(path) as temporary:
        temporary.write_text("second")
        path.write_text("first")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputFileError, match="is a folder"), atomic_write(tmp_path, overwrite=True):
        raise AssertionError("the block must not run")


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(OutputFileError, match="could not be written: No space left"), atomic_write(tmp_path / "o"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFileError, match="could not be written"), atomic_write(tmp_path / "file" / "out"):
        raise AssertionError("the block must not run")


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "out") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputFileError, match="is a pipe or a device"), atomic_write(tmp_path / "pipe", overwrite=True):
        raise AssertionError("the block must not run")
    assert (tmp_path / "pipe").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
