"""Whatever is handed in as a shape or a transform: one line, exit code 3, nothing written."""

import json

import pytest

GARBAGE = {
    "empty.ply": b"",
    "magic.ply": b"ply\n",
    "noise.ply": bytes(range(256)) * 8,
    "page.obj": b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n",
    "pointer.ply": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "huge.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\nproperty float x\nproperty float y\n"
    b"property float z\nend_header\n\0\0\0\0",
    "nan.csv": b"x,y,z\n0,0,0\nnan,0,0\n1,1,1\n",
    "ragged.csv": b"0,0,0\n1,1\n2,2,2\n",
    "one.csv": b"x,y,z\n1,2,3\n",
    "unknown.docx": b"hello",
}


@pytest.mark.parametrize("name", [*GARBAGE, "missing.ply", "folder", "https://example.com/a.ply"])
def test_garbage_is_one_line_and_exit_code_3(otreg_here, pair, tmp_path, name):
    if name in GARBAGE:
        (tmp_path / name).write_bytes(GARBAGE[name])
    if name == "folder":
        (tmp_path / name).mkdir()
    for arguments in ((name, "target.ply"), ("source.ply", name)):
        answer = otreg_here("register", *arguments, "-o", "result.ply", cwd=tmp_path)
        assert (answer.returncode, answer.stdout) == (3, ""), answer.stderr
        assert answer.stderr.count("\n") == 1
        assert answer.stderr.startswith("otreg: error: ")
        assert name.split("/")[-1] in answer.stderr
    assert not (tmp_path / "result.ply").exists()


def test_shapes_of_different_dimension_are_refused(otreg_here, pair, tmp_path):
    (tmp_path / "plane.csv").write_text("x,y\n0,0\n1,0\n0,1\n")
    answer = otreg_here("distance", pair[0], tmp_path / "plane.csv")
    assert answer.returncode == 3
    assert "3 in the source and 2 in the target" in answer.stderr


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "not valid JSON"),
        ("{}", "format"),
        ("[1]", "transform.json"),
        (json.dumps({"format": "otreg-transform", "version": 99}), "version"),
        ('{"format": "otreg-transform", "version": NaN}', "NaN"),
    ],
)
def test_a_broken_transform_is_one_line_with_its_name(otreg_here, pair, tmp_path, text, part):
    (tmp_path / "transform.json").write_text(text)
    answer = otreg_here("apply", "transform.json", "source.ply", "-o", "moved.ply", cwd=tmp_path)
    assert answer.returncode == 3
    assert answer.stderr.startswith("otreg: error: transform.json: ")
    assert answer.stderr.count("\n") == 1
    assert part in answer.stderr
    assert not (tmp_path / "moved.ply").exists()


@pytest.mark.parametrize("flags", [("-o", "source.ply", "--overwrite"), ("-o", "out.docx"), ("-d", "target.ply")])
def test_outputs_that_cannot_be_are_refused_before_any_work(otreg_here, pair, tmp_path, flags):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    answer = otreg_here("register", "source.ply", "target.ply", *flags, cwd=tmp_path)
    assert answer.returncode == 3
    assert answer.stderr.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_device_that_is_not_there_is_exit_code_5(otreg_here, pair, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    answer = otreg_here("register", *pair, "--device", "cuda", "-o", tmp_path / "out.ply")
    assert answer.returncode == 5
    assert "cuda" in answer.stderr


def test_too_many_threads_are_refused_with_the_number_there_is(otreg_here, pair, tmp_path):
    answer = otreg_here("register", *pair, "--threads", "100000", "-o", tmp_path / "out.ply")
    assert answer.returncode == 2
    assert "threads must be at most" in answer.stderr
