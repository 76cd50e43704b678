"""JSON, matrices and hashes come back as they were, or with one clear error."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otreg.errors import ArgumentError, FormatError, InputFileError, OutputFileError
from otreg.io import file_hash, read_json, read_matrix, write_json, write_matrix


def test_json_round_trips(tmp_path: Path) -> None:
    value = {"a": [1, 0.1, None, True, "ü"], "b": {"c": 1e-300}}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value
    assert (tmp_path / "x.json").read_text(encoding="utf-8").splitlines()[1].startswith('  "a"')


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": np.float32(1)}, object()])
def test_what_json_cannot_say_is_refused_and_nothing_written(tmp_path: Path, value: object) -> None:
    with pytest.raises(ArgumentError, match="cannot be written as JSON"):
        write_json(tmp_path / "x.json", value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "line 1"),
        (b'{"a":\n 1,}', "line 2"),
        (b"NaN", "NaN is not a JSON number"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe", "UTF-8"),
        (b"1" * 10_000, "not valid JSON"),
    ],
)
def test_bad_json_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_json(tmp_path / "x.json")
    assert words in str(caught.value) and "\n" not in str(caught.value)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=16, max_size=16))
def test_matrices_round_trip_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("matrix") / "m.txt"
    matrix = np.array(values).reshape(4, 4)
    write_matrix(path, matrix)
    assert np.array_equal(read_matrix(path), matrix)
    assert len(path.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "text", ["1 2\n3 4\n", "1 0 0\n0 1 0\n0 0 x\n", "1 0 0 0\n0 1 0\n0 0 1 0\n0 0 0 1\n", "nan 0 0\n0 1 0\n0 0 1"]
)
def test_what_is_no_transform_matrix_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.txt").write_text(text)
    with pytest.raises(FormatError, match="a transform matrix"):
        read_matrix(tmp_path / "m.txt")


def test_matrices_are_checked_and_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="square and finite"):
        write_matrix(tmp_path / "m.txt", np.full((4, 4), np.nan))
    write_matrix(tmp_path / "m.txt", np.eye(4))
    with pytest.raises(OutputFileError, match="exists"):
        write_matrix(tmp_path / "m.txt", np.eye(4))


def test_the_hash_is_sha256_and_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_hash(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(InputFileError, match="no such file"):
        file_hash(tmp_path / "y")
