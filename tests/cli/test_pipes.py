"""Register, distance and map between pipes: results on stdout, everything else on stderr, and - in every report."""

import io
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from otreg.io import read_shape

from .records import checked

FAST = ("--blur", "6%", "--init", "none")
SCRIPT = Path(sys.executable).parent / "otreg"


@pytest.fixture
def stdin(monkeypatch):
    """Puts the bytes of a file on standard input."""

    def put(path: Path) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))

    return put


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What bash makes of a pipeline; it fails where any part of it does."""
    command = ["bash", "-c", f"set -o pipefail; {line.replace('otreg ', shlex.quote(str(SCRIPT)) + ' ')}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_the_moved_shape_goes_through_a_pipe_into_another_program(pair, tmp_path):
    fast = " ".join(FAST)
    answer = shell(f"otreg register source.ply target.ply -o - --format ply {fast} | otreg info - --json", tmp_path)
    assert answer.returncode == 0, answer.stderr
    record = checked(answer.stdout)
    assert (record["path"], record["format"], record["points"]) == ("-", "ply", 146)
    # What is no shape came on stderr: the rows of the registration.
    rows = dict(line.split(maxsplit=1) for line in answer.stderr.splitlines())
    assert set(rows) == {"shape", "divergence", "distance", "status"}
    assert rows["shape"] == "-"


def test_a_chain_of_pipes_reads_and_writes_streams(pair, tmp_path):
    fast = " ".join(FAST)
    line = (
        f"cat source.ply | otreg register - target.ply -o - --to npz -q -d out {fast} "
        "| otreg distance - target.ply --json"
    )
    answer = shell(line, tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    record = checked(answer.stdout)
    assert [record["inputs"][role]["path"] for role in ("source", "target")] == ["-", "target.ply"]
    assert record["inputs"]["source"]["format"] == "npz"
    report = checked((tmp_path / "out" / "report.json").read_text())
    assert report["inputs"]["source"]["path"] == report["outputs"]["shape"] == "-"
    transform = json.loads((tmp_path / "out" / "transform.json").read_text())
    assert transform["provenance"]["source"]["path"] == "-"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "brenier.vtu",
        "report.json",
        "transform.json",
        "transform.txt",
    ]


def test_the_shape_on_stdout_is_the_file_to_the_last_byte(otreg_here, pair, tmp_path):
    file = otreg_here("register", *pair, "-o", tmp_path / "moved.ply", *FAST)
    pipe = otreg_here("register", *pair, "-o", "-", "--to", "ply", *FAST)
    assert (file.returncode, pipe.returncode) == (0, 0)
    assert pipe.stdout == (tmp_path / "moved.ply").read_text()


def test_a_target_may_come_through_the_pipe_and_names_the_folder_stdin(otreg_here, pair, tmp_path, stdin):
    stdin(pair[1])
    answer = otreg_here("register", pair[0], "-", *FAST, "--json", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    record = checked(answer.stdout)
    assert record["inputs"]["target"]["path"] == "-"
    assert record["outputs"]["shape"] == "source_to_stdin/registered.ply"


def test_a_map_goes_to_stdout_with_both_directions_in_one_file(otreg_here, pair, tmp_path):
    line = f"otreg map {pair[0]} {pair[1]} -o - --to npz --both --blur 5% > both.npz"
    answer = shell(line, tmp_path)
    assert answer.returncode == 0 and answer.stderr.startswith("map "), answer.stderr
    with np.load(tmp_path / "both.npz") as arrays:
        assert {"points", "displacement", "target_points", "target_displacement"} <= set(arrays)
    answer = otreg_here("map", *pair, "-o", "-", "--to", "ply", "--both")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "-: standard output must be one file; got both directions as ply" in answer.stderr


def test_a_map_at_points_from_a_pipe(otreg_here, pair, tmp_path, stdin):
    (tmp_path / "p.csv").write_text("x,y,z\n0,0,1\n3,0,0\n")
    stdin(tmp_path / "p.csv")
    flags = ("--at", "-", "--format", "csv", "--json", "--blur", "5%")
    # The format is that of all inputs, so all are tables here.
    for path in pair:
        np.savetxt(path.with_suffix(".csv"), read_shape(path).points, delimiter=",", header="x,y,z", comments="")
    tables = [path.with_suffix(".csv") for path in pair]
    answer = otreg_here("map", *tables, "-o", tmp_path / "m.npz", *flags)
    assert answer.returncode == 0, answer.stderr
    record = checked(answer.stdout)
    assert record["inputs"]["at"]["path"] == "-" and record["points"] == {"map": 2}


def test_any_file_can_get_a_format_that_its_name_does_not_tell(otreg_here, pair, tmp_path):
    answer = otreg_here("register", *pair, "-o", tmp_path / "moved.bin", "--to", "vtk", *FAST)
    assert answer.returncode == 0, answer.stderr
    assert len(read_shape(tmp_path / "moved.bin", format="vtk").points) == 146
    answer = otreg_here("map", *pair, "-o", tmp_path / "m.bin", "--to", "npz", "--blur", "5%")
    assert answer.returncode == 0, answer.stderr
    assert "displacement" in read_shape(tmp_path / "m.bin", format="npz").point_data


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("register", "-", "-", "-o", "m.ply"), 2, "standard input (-) can be one of the inputs only"),
        (("distance", "-", "-"), 2, "standard input (-) can be one of the inputs only"),
        (("map", "source.ply", "-", "--at", "-", "-o", "m.npz"), 2, "standard input (-) can be one of the inputs only"),
        (("register", "source.ply", "target.ply", "-o", "-"), 2, "give --to or --format NAME"),
        (("map", "source.ply", "target.ply", "-o", "-"), 2, "give --to or --format NAME"),
        (("register", "source.ply", "target.ply", "-o", "-", "--to", "ply", "--json"), 2, "--json and a shape"),
        (("map", "source.ply", "target.ply", "-o", "-", "--to", "ply", "--json"), 2, "--json and a shape"),
        (("convert", "source.ply", "-", "--to", "ply", "--json"), 2, "--json and a shape"),
        (("apply", "t.txt", "source.ply", "-o", "-", "--to", "ply", "--json"), 2, "--json and a shape"),
        (("register", "source.ply", "target.ply", "--to", "ply"), 2, "a format must be that of a shape file"),
        (("register", "source.ply", "target.ply", "-o", "-", "--to", "blend"), 3, "format 'blend' is unknown"),
        (("register", "source.ply", "target.ply", "-o", "-", "--to", "nifti"), 3, "-: format nifti can only be read"),
        (("register", "source.ply", "target.ply", "-o", "-", "--to", "off"), 3, "-: format off cannot hold"),
        (("register", "-", "target.ply", "-o", "m.ply"), 3, "otreg: error: -: the file is empty"),
        (("distance", "source.ply", "-"), 3, "otreg: error: -: the file is empty"),
    ],
)
def test_what_cannot_be_piped_is_one_line_and_nothing_on_stdout(
    otreg_here, pair, tmp_path, stdin, arguments, code, words
):
    (tmp_path / "empty").write_bytes(b"")
    stdin(tmp_path / "empty")
    answer = otreg_here(*arguments, cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (code, "")
    assert words in answer.stderr and answer.stderr.count("\n") == 1
    assert not (tmp_path / "m.ply").exists()


def test_a_reader_that_has_seen_enough_is_no_error(pair, tmp_path):
    answer = shell("otreg convert source.ply - --to npz | true", tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("otreg info - <&-", "-: standard input is closed"),
        ("otreg convert source.ply - --to npz >&-", "-: standard output is closed"),
        ("otreg convert source.ply - --to npz > /dev/full", "-: standard output could not be written: No space left"),
        ("otreg info source.ply > /dev/full", "No space left"),
    ],
)
def test_streams_that_are_closed_or_full_are_one_line(pair, tmp_path, line, words):
    answer = shell(line, tmp_path)
    assert (answer.returncode, answer.stdout) == (3, "")
    assert words in answer.stderr and answer.stderr.count("\n") == 1


def test_a_full_stderr_keeps_the_exit_code(pair, tmp_path):
    assert shell("otreg info nothing.ply 2> /dev/full", tmp_path).returncode == 3
    assert shell("otreg info nothing.ply 2>&-", tmp_path).returncode == 3
