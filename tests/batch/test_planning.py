"""From a configuration to jobs: what is registered onto what, into which folder, and what is wrong before it begins."""

import os
from pathlib import Path

import numpy as np
import pytest

from otreg.batch import PlanError, Shard, plan, run
from otreg.config import BatchConfig
from otreg.errors import ArgumentError

from .clouds import cloud, planned, scans


def sentences(found) -> str:
    return "\n".join(found.sentences())


def test_all_files_of_a_pattern_go_onto_the_template_in_the_order_of_their_names(tmp_path) -> None:
    found = planned(scans(tmp_path, 3))
    assert [job.name for job in found.jobs] == ["s000", "s001", "s002"]
    assert {job.target for job in found.jobs} == {tmp_path / "template.csv"}
    assert [job.folder for job in found.jobs] == [tmp_path / "results" / f"s00{k}" for k in range(3)]
    assert found.problems == ()


def test_the_template_is_no_source_of_a_pattern_that_matches_it_and_neither_are_results(tmp_path) -> None:
    cloud(tmp_path / "a.csv", 0)
    cloud(tmp_path / "template.csv", 1)
    keys = {"all": str(tmp_path / "**" / "*.csv"), "to": tmp_path / "template.csv", "output_dir": tmp_path}
    keys["settings"] = {"init": "none", "iterations": 1}
    first = plan(BatchConfig.model_validate(keys))
    assert [job.name for job in first.jobs] == ["a_to_template"]
    assert first.problems == ()
    for name in ("a_to_template/.lock", "a_to_template/registered.csv", "summary.csv", "summary-1-of-3.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("what a batch leaves")
    assert plan(BatchConfig.model_validate(keys)).jobs == first.jobs


def test_a_batch_without_a_pair_is_a_problem(tmp_path) -> None:
    template = cloud(tmp_path / "template.csv", 0)
    found = plan(BatchConfig.model_validate({"all": str(tmp_path / "*.csv"), "to": template}))
    assert found.jobs == () and "no pair is left" in sentences(found)


def test_every_file_goes_onto_every_other_one(tmp_path) -> None:
    scans(tmp_path, 3)
    found = plan(BatchConfig(every=str(tmp_path / "scans" / "*.csv"), output_dir=tmp_path / "r"))
    assert len(found.jobs) == 6 and len({job.name for job in found.jobs}) == 6
    assert all(job.source != job.target for job in found.jobs)


def test_pairs_have_their_own_names_and_settings_and_the_number_counts_all_jobs(tmp_path) -> None:
    scans(tmp_path, 2)
    files = {"source": tmp_path / "scans" / "s000.csv", "target": tmp_path / "template.csv"}
    found = planned(
        tmp_path,
        pairs=[{**files, "name": "own", "settings": {"blur": "3%"}}],
        output="{index:03d}-{name}",
    )
    assert [job.name for job in found.jobs] == ["001-own", "002-s000_to_template", "003-s001_to_template"]
    assert [str(job.config.blur) for job in found.jobs] == ["3%", "1%", "1%"]


def test_every_problem_of_a_batch_is_told_at_once(tmp_path) -> None:
    scans(tmp_path, 2)
    template = tmp_path / "template.csv"
    (tmp_path / "page.ply").write_text("<!DOCTYPE html><html>404</html>")
    (tmp_path / "cut.ply").write_text("ply\nformat ascii 1.0\nelement vertex many\nend_header\n")
    (tmp_path / "taken").write_text("")
    found = plan(
        BatchConfig.model_validate(
            {
                "pairs": [
                    {"source": tmp_path / "missing.ply", "target": template, "name": "a"},
                    {"source": tmp_path / "page.ply", "target": template, "name": "b"},
                    {"source": tmp_path / "cut.ply", "target": template, "name": "c"},
                    {"source": template, "target": tmp_path / "scans" / "s000.csv", "name": "twice"},
                    {"source": template, "target": tmp_path / "scans" / "s001.csv", "name": "twice"},
                    {"source": template, "target": tmp_path / "scans" / "s001.csv", "name": "scans"},
                    {"source": template, "target": tmp_path / "scans" / "s001.csv", "name": "taken"},
                    {"source": template, "target": tmp_path / "scans" / "s001.csv", "name": "../up"},
                    {
                        "source": template,
                        "target": tmp_path / "scans" / "s001.csv",
                        "name": "start",
                        "settings": {"init": str(tmp_path / "start.json")},
                    },
                ],
                "all": [str(tmp_path / "nothing" / "*.ply")],
                "to": template,
                "every": str(tmp_path / "template.*"),
                "output_dir": tmp_path,
            }
        )
    )
    text = sentences(found)
    for sentence in (
        "missing.ply: no such file",
        "page.ply: is a web page",
        "cut.ply: line 3: an element's count must be a number",
        "twice: is the output of two jobs",
        "s000.csv: is an input, and lies in the output folder of job scans",
        "taken",
        "up: must be a folder below",
        "start.json: no such file",
        f"all: no file matches {tmp_path / 'nothing' / '*.ply'}",
        "every: needs two files at least",
    ):
        assert sentence in text, sentence
    with pytest.raises(PlanError, match=r"missing\.ply") as refused:
        run(found)
    assert refused.value.exit_code == 3 and refused.value.problems == found.sentences()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.ply", "page.ply", "scans", "taken", "template.csv"]


def test_a_missing_template_is_told_once_however_many_jobs_need_it(tmp_path) -> None:
    scans(tmp_path, 5)
    (tmp_path / "template.csv").unlink()
    found = planned(tmp_path)
    assert len(found.problems) == 5 and len(found.sentences()) == 1


def test_an_input_where_the_summary_goes_is_refused(tmp_path) -> None:
    scans(tmp_path, 1)
    table = tmp_path / "summary.csv"
    table.write_text("source,target\nscans/s000.csv,template.csv\n")
    found = plan(BatchConfig.model_validate({"table": table, "output_dir": tmp_path}))
    assert "the summary is to be written there" in sentences(found)


def test_sizes_come_from_headers(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((123, 3)))
    header = "ply\nformat ascii 1.0\nelement vertex 77\nproperty float x\nproperty float y\nend_header\n"
    (tmp_path / "b.ply").write_text(header)
    found = plan(
        BatchConfig.model_validate(
            {"pairs": [{"source": tmp_path / "a.npy", "target": tmp_path / "b.ply"}], "output_dir": tmp_path / "r"}
        )
    )
    (estimate,) = found.estimates.values()
    assert (estimate.source.points, estimate.target.points) == (123, 77)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_the_parts_of_a_plan_are_all_of_it_and_have_nothing_in_common(tmp_path, count) -> None:
    whole = planned(scans(tmp_path, 10))
    parts = [whole.part(Shard(number, count)) for number in range(1, count + 1)]
    names = [job.name for part in parts for job in part.jobs]
    assert sorted(names) == sorted(job.name for job in whole.jobs)
    assert max(len(part.jobs) for part in parts) - min(len(part.jobs) for part in parts) <= 1
    assert {part.summary.name for part in parts} == {f"summary-{k}-of-{count}.csv" for k in range(1, count + 1)}


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/", "/2", "a/b", "1/2/3", "-1/3", "1.0/2"])
def test_what_is_no_shard_is_refused(text) -> None:
    with pytest.raises(ArgumentError, match="shard"):
        Shard.parse(text)


def test_a_plan_writes_nothing(tmp_path) -> None:
    scans(tmp_path, 2)
    before = sorted(os.walk(tmp_path))
    planned(tmp_path)
    assert sorted(os.walk(tmp_path)) == before


def test_folders_of_one_file_by_two_names_are_one_output(tmp_path: Path) -> None:
    scans(tmp_path, 1)
    (tmp_path / "results" / "s000").mkdir(parents=True)
    (tmp_path / "results" / "link").symlink_to(tmp_path / "results" / "s000")
    files = {"source": tmp_path / "template.csv", "target": tmp_path / "scans" / "s000.csv"}
    found = planned(tmp_path, pairs=[{**files, "name": "link"}], output="{name}", all=(), to=None)
    assert found.problems == ()
    found = planned(
        tmp_path, pairs=[{**files, "name": "link"}, {**files, "name": "s000"}], output="{name}", all=(), to=None
    )
    assert "is the output of two jobs" in sentences(found)
