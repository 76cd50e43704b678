"""YAML 1.2 as plain data: what a value is, where it stands, and what is refused, always in one line each."""

import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otreg.config.yaml_tree import DEEPEST, LARGEST_FILE, MOST_VALUES, Tree, read_tree
from otreg.errors import InputFileError, SettingsError


def tree(tmp_path: Path, text: str | bytes) -> Tree:
    file = tmp_path / "x.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_tree(file)


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    """The lines about a file, without the path of its folder."""
    return [line.replace(f"{tmp_path}/", "") for _, line in tree(tmp_path, text).lines()]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 1e-3),
        ("1.5E+2", 150.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-7", -7),
        ("0012", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("Off", "Off"),
        ("y", "y"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("none", "none"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2020-01-01", "2020-01-01"),
        ("1%", "1%"),
        ("rigid,spline", "rigid,spline"),
        ("none,5%", "none,5%"),
        ("1e", "1e"),
        ("'1'", "1"),
        ('"null"', "null"),
        ('"a\\tb"', "a\tb"),
        ("=", "="),
        ("9" * 5000, math.inf),
        ("-.inf", -math.inf),
    ],
)
def test_words_and_numbers_are_those_of_the_core_schema_of_yaml_1_2(tmp_path, written, value):
    found = tree(tmp_path, f"k: {written}\n").root.plain()
    assert found == {"k": value}
    assert type(found["k"]) is type(value)


def test_not_a_number_is_a_number(tmp_path):
    assert math.isnan(tree(tmp_path, "k: .nan\n").root.plain()["k"])


def test_every_value_and_key_knows_its_line_and_column(tmp_path):
    found = tree(tmp_path, "# comment\na: 1\npairs:\n  - source: x\n    settings: {blur: 1%, reach: 2}\n  - y\n")
    assert str(found.place_of(("a",))) == "2:4"
    assert str(found.place_of(("pairs", 0, "source"))) == "4:13"
    assert str(found.place_of(("pairs", 0, "settings", "reach"))) == "5:33"
    assert str(found.place_of(("pairs", 0, "settings", "reach"), of_key=True)) == "5:26"
    assert str(found.place_of(("pairs", 1))) == "6:5"
    # What is not there is looked for where it should be.
    assert str(found.place_of(("pairs", 0, "target"))) == "4:5"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "---\n# x\n...\n"])
def test_an_empty_file_says_nothing(tmp_path, text):
    found = tree(tmp_path, text)
    assert (found.root.plain(), found.problems) == ({}, ())


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path):
    found = tree(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
    assert found.root.plain() == {"a": 1, "b": "x"}
    assert str(found.place_of(("b",))) == "2:4"


def test_anchors_and_merge_keys_repeat_values_and_what_stands_there_wins(tmp_path):
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\none:\n  <<: [*b, *m]\n  x: 9\ntwo: *b\n"
    found = tree(tmp_path, text).root.plain()
    assert found["one"] == {"x": 9, "y": 2, "z": 4}
    assert found["two"] == {"x": 1, "y": 2}


def test_a_quoted_merge_key_is_a_key(tmp_path):
    assert tree(tmp_path, "'<<': 1\n").root.plain() == {"<<": 1}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", ["x.yaml:3:1: a: is set twice, in line 1 too; remove one of them"]),
        ("p:\n  - {a: 1, a: 2}\n", ["x.yaml:2:12: p[1].a: is set twice, in line 2 too; remove one of them"]),
        ("a: &a {b: 1}\nc:\n  <<: *a\n  <<: *a\n", ["x.yaml:4:3: c.<<: is set twice, in line 3 too; remove one"]),
        ("a:\nb: 1\n", ["x.yaml:1:1: a: has no value; write one or remove the line"]),
        ("p: [1, , 2]\n", ["x.yaml:1:8: is not valid YAML"]),
        ("p:\n  - 1\n  -\n", ["x.yaml:3:4: p[2]: has no value; write one or remove its '-'"]),
        ("a: !!python/object:os.system x\n", ["x.yaml:1:4: must be plain data; got the tag"]),
        ("a: !own {b: 1}\n", ["x.yaml:1:4: must be plain data; got the tag '!own'"]),
        ("a: *b\n", ["x.yaml:1:4: the alias *b repeats nothing"]),
        ("a: &a [*a]\n", ["x.yaml:1:8: the alias *a stands inside what it repeats"]),
        ("<<: 5\n", ["x.yaml:1:5: '<<' must name mappings; got 5"]),
        ('"a\\nb\\e": 1\n"a\\nb\\e": 2\n', ["x.yaml:2:1: a\\nb\\x1b: is set twice"]),
        ("? [a]\n: 1\n", ["x.yaml:1:3: a key must be a word; got a list"]),
        ("a: 1\n---\nb: 2\n", ["x.yaml:2:1: a second document begins"]),
        ("%YAML 1.1\n---\na: no\n", ["x.yaml:2:1: must be YAML 1.2; remove the line '%YAML'"]),
        ("a:\n\tb: 1\n", ["x.yaml:2:1: is not valid YAML: found character '\\t' that cannot start any token (a tab: "]),
        ("a: [1, 2\nb: 3\n", ["x.yaml:2:2: is not valid YAML"]),
        ("a: 'x\n", ["x.yaml:2:1: is not valid YAML: found unexpected end of stream"]),
        ("a: b: c\n", ["x.yaml:1:5: is not valid YAML"]),
        ("a: 1\nb: \x07\n", ["x.yaml:2:4: must hold printable characters; found #0007"]),
        ("- 1\n- 2\n", ["x.yaml:1:1: must hold lines like 'blur: 1%'; got a list"]),
        ("just words\n", ["x.yaml:1:1: must hold lines like 'blur: 1%'; got 'just words'"]),
        ("<!DOCTYPE html>\n<html>\n", ["x.yaml:1:1: must hold lines like 'blur: 1%'; got '<!DOCTYPE html> <html>'"]),
        ("a: " + "[" * 30, ["x.yaml:1:23: must be nested at most 20 deep"]),
        ("a: 1\na: 2\nb:\n", ["x.yaml:2:1: a: is set twice", "x.yaml:3:1: b: has no value"]),
    ],
)
def test_what_is_not_plain_data_is_one_line_with_its_place(tmp_path, text, lines):
    found = problems(tmp_path, text)
    assert len(found) == len(lines), found
    for line, start in zip(found, lines, strict=True):
        assert line.startswith(start), line
        assert "\n" not in line


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, levels)]
    return "\n".join(lines) + "\n"


def test_a_billion_laughs_are_refused_where_they_grow_too_many(tmp_path):
    started = time.perf_counter()
    (line,) = problems(tmp_path, laughs(9))
    assert f"holds more than {MOST_VALUES} values, aliases followed" in line
    assert time.perf_counter() - started < 2
    assert problems(tmp_path, laughs(4)) == []


def test_laughs_by_merge_keys_are_refused_as_well(tmp_path):
    lines = ["a0: &a0 {" + ", ".join(f"k{k}: v" for k in range(1000)) + "}"]
    lines += [f"a{k}: &a{k} {{x: *a{k - 1}, <<: *a{k - 1}, y: *a{k - 1}}}" for k in range(1, 15)]
    (line,) = problems(tmp_path, "\n".join(lines) + "\n")
    assert f"holds more than {MOST_VALUES} values, aliases followed" in line


def test_twenty_thousand_levels_end_neither_the_stack_nor_the_patience(tmp_path):
    started = time.perf_counter()
    for text in ("[" * 20_000, "{a: " * 20_000, "\n".join(" " * k + "a:" for k in range(2_000))):
        (line,) = problems(tmp_path, text)
        assert f"nested at most {DEEPEST} deep" in line or "must hold lines" in line or "is not valid YAML" in line
    assert time.perf_counter() - started < 5


def test_long_lists_end_with_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    assert MOST_VALUES >= 10_000 * 5, "a batch of 10,000 pairs must fit"
    monkeypatch.setattr("otreg.config.yaml_tree.MOST_VALUES", 100)
    (line,) = problems(tmp_path, "a: [" + "1, " * 200 + "1]\n")
    assert line.endswith("holds more than 100 values, aliases followed; put long lists of pairs into a table")


def test_what_is_no_text_file_is_refused_before_it_is_parsed(tmp_path):
    with pytest.raises(InputFileError, match="no such file"):
        read_tree(tmp_path / "missing.yaml")
    with pytest.raises(InputFileError, match="is a folder"):
        read_tree(tmp_path)
    with pytest.raises(InputFileError, match="pipe or a device"):
        read_tree(Path("/dev/null"))
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(InputFileError, match=f"at most {LARGEST_FILE} bytes"):
        read_tree(large)
    with pytest.raises(SettingsError, match=r"x.yaml:2: must be UTF-8 text; byte 9 of the file is not"):
        tree(tmp_path, b"a: 1\nb: \xe4\n")
    with pytest.raises(SettingsError, match="must be UTF-8 text"):
        tree(tmp_path, "a: 1\n".encode("utf-16"))


@given(st.text(st.characters(codec="utf-8"), max_size=80) | st.text("ab:-[]{},&*#!|>'\"%@` \n\t?<1.", max_size=60))
def test_any_text_is_read_or_refused_and_never_breaks(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    found = tree(folder, text)
    assert isinstance(found.root.plain(), dict)
    for _, line in found.lines():
        assert line.startswith(f"{folder}/x.yaml:")
        assert "\n" not in line
