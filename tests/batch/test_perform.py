"""A job inside a worker: a failure is its result, an interrupt is not, whatever a library makes of it."""

import pytest

import otreg.jobs
from otreg.batch.folder import RECORD
from otreg.batch.perform import perform

from .clouds import planned, scans


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job whose registration ends as one does when Ctrl-C falls into compiled code."""

    def register_files(*_, **__):
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()

    monkeypatch.setattr(otreg.jobs, "register_files", register_files)
    return planned(scans(tmp_path, 1)).jobs[0]


def test_what_an_interrupt_became_in_a_library_is_an_interrupt_and_leaves_no_record(job) -> None:
    with pytest.raises(KeyboardInterrupt):
        perform(job, attempt=1, force=False, on_start=lambda: None, on_step=lambda step: None, interrupted=lambda: True)
    assert not (job.folder / RECORD).exists()


def test_the_same_error_of_itself_is_a_failure_with_a_record(job) -> None:
    result = perform(job, attempt=1, force=False, on_start=lambda: None, on_step=lambda step: None)
    assert result.status == "failed" and "SystemError: returned a result" in (result.error or "")
    assert (job.folder / RECORD).exists()
