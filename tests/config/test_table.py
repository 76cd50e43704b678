"""A table of pairs, as spreadsheets save it: one row a pair, empty cells not given, problems with their line."""

from pathlib import Path

import pytest

from otreg.config import Length, RegisterConfig
from otreg.config.table import read_table
from otreg.errors import InputFileError, SettingsError


def table(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "t.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    with pytest.raises(SettingsError) as failure:
        read_table(table(tmp_path, text), defaults=RegisterConfig())
    return [line.replace(f"{tmp_path}/", "") for line in failure.value.problems]


def test_a_row_is_a_pair_with_the_settings_that_its_cells_give(tmp_path):
    text = 'source,target,name,blur,models\na.ply,b.ply,first,2%,"rigid,spline"\nc.ply,d.ply,,,\n'
    defaults = RegisterConfig(seed=7, blur="5%")
    first, second = read_table(table(tmp_path, text), defaults=defaults)
    assert (first.source, first.target, first.name) == (tmp_path / "a.ply", tmp_path / "b.ply", "first")
    assert first.settings == RegisterConfig(seed=7, blur=Length(0.02, "diagonal"), models=("rigid", "spline"))
    assert (second.name, second.settings) == ("c_to_d", defaults)
    assert (first.where, second.where) == (f"{tmp_path}/t.csv:2", f"{tmp_path}/t.csv:3")


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfsource;target;blur\r\na.ply;b.ply;2%\r\n",
        "source\ttarget\tblur\na.ply\tb.ply\t2%\n",
        "\n\n source , target , blur \n\n a.ply , b.ply , 2% \n,,\n",
        '"source","target","blur"\n"a.ply","b.ply","2%"',
        "blur,target,source\n2%,b.ply,a.ply\n",
    ],
)
def test_what_spreadsheets_make_of_a_table_does_not_matter(tmp_path, text):
    (pair,) = read_table(table(tmp_path, text), defaults=RegisterConfig())
    assert (pair.source.name, pair.target.name) == ("a.ply", "b.ply")
    assert pair.settings.blur == Length(0.02, "diagonal")


def test_a_name_that_looks_like_a_number_stays_a_name(tmp_path):
    (pair,) = read_table(table(tmp_path, "source,target,name\n001,002,0017\n"), defaults=RegisterConfig())
    assert (pair.source.name, pair.name) == ("001", "0017")


def test_landmarks_are_columns(tmp_path):
    text = "source,target,source_landmarks,target_landmarks\na,b,l/a.csv,l/b.csv\n"
    (pair,) = read_table(table(tmp_path, text), defaults=RegisterConfig())
    assert pair.landmarks == (tmp_path / "l/a.csv", tmp_path / "l/b.csv")


def test_lines_are_counted_over_cells_that_hold_line_ends(tmp_path):
    text = 'source,target,name\na,b,"two\nlines"\n\nc,,x\n'
    assert problems(tmp_path, text) == ["t.csv:5: target: must be given"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ["t.csv:1: must begin with the names of its columns"]),
        ("source,target\n", ["t.csv:1: must hold a row for each pair"]),
        ("source,blurr\na,b\n", ["t.csv:1: blurr: unknown column; did you mean 'blur'?", "t.csv:1: target: must be"]),
        ("source,target,source\na,b,c\n", ["t.csv:1: source: is the name of two columns"]),
        ("source,target,\na,b,c\n", ["t.csv:1: column 3: unknown column; known columns: blur"]),
        ("a.ply,b.ply\nc.ply,d.ply\n", ["t.csv:1: a.ply: unknown", "t.csv:1: b.ply: unknown"] + ["t.csv:1: "] * 2),
        (
            "source,target\na,b,c\nd\n",
            ["t.csv:2: must have 2 cells, as the first line has; got 3", "t.csv:3: must have 2"],
        ),
        (
            "source,target,blur,seed\na,,x,\nb,c,1%,y\n",
            ["t.csv:2: target: must be given", "t.csv:2: blur: must be a positive", "t.csv:3: seed: must be a valid"],
        ),
        ('source,target\na,"b\n', ["t.csv:2: is not a CSV table"]),
        ("source,target,source_landmarks\na,b,c\n", ["t.csv:2: must give landmarks of both shapes"]),
        ('source,target,"blurr\nx"\na,b,c\n', ["t.csv:1: blurr\\nx: unknown column"]),
        ("source,target,settings\na,b,c\n", ["t.csv:1: settings: unknown column"]),
    ],
)
def test_everything_odd_is_said_at_once_with_its_line_and_column(tmp_path, text, lines):
    found = problems(tmp_path, text)
    assert len(found) == len(lines), found
    for start in lines:
        assert any(line.startswith(start) for line in found), (start, found)


def test_a_table_must_be_text_that_is_there(tmp_path):
    with pytest.raises(InputFileError, match="no such file"):
        read_table(tmp_path / "t.csv", defaults=RegisterConfig())
    assert problems(tmp_path, b"source,target\n\xe4,b\n") == ["t.csv:2: must be UTF-8 text; byte 15 of the file is not"]
