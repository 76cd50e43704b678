"""Settings from a YAML file: every problem at once, each with its line and column, the key, the rule and a remedy."""

from pathlib import Path

import pytest

from otreg.config import COMMAND_SCHEMAS, Length, RegisterConfig, file_layer, load_batch, resolve
from otreg.errors import SettingsError

from .examples import RIGHT, WRONG, WRONG_BEYOND_SCHEMA


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "file.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def problems(kind: str, file: Path) -> tuple[str, ...]:
    if kind != "batch":
        return file_layer(COMMAND_SCHEMAS[kind], file).problems
    try:
        load_batch(file)
    except SettingsError as error:
        return error.problems
    return ()


@pytest.mark.parametrize(("kind", "text"), RIGHT)
def test_what_the_documentation_shows_is_read(tmp_path, kind, text):
    assert problems(kind, written(tmp_path, text)) == ()


@pytest.mark.parametrize(("kind", "text", "line"), [*WRONG, *WRONG_BEYOND_SCHEMA])
def test_a_broken_rule_is_one_line_with_place_key_rule_and_value(tmp_path, kind, text, line):
    file = written(tmp_path, text)
    (found,) = problems(kind, file)
    assert found.startswith(f"{file}:{line}"), found
    assert "\n" not in found


def test_values_become_typed_settings(tmp_path):
    text = "blur: 1e-3\nmodels: [rigid, spline]\nreach: none\nthreads: auto\nweights: no\n"
    config = resolve(RegisterConfig, file_layer(RegisterConfig, written(tmp_path, text))).config
    assert config == RegisterConfig(
        blur=Length(1e-3, "file"), models=("rigid", "spline"), reach=None, threads=None, weights="no"
    )


def test_all_problems_of_a_file_are_said_at_once_in_their_order(tmp_path):
    file = written(
        tmp_path,
        "blurr: 1%\niterations: many\nreach:\nseed: 1\nseed: 2\nweights: !x y\ndevice: tpu\n",
    )
    starts = [
        "1:1: blurr: unknown setting",
        "2:13: iterations: must be a valid integer",
        "3:1: reach: has no value",
        "5:1: seed: is set twice",
        "6:10: must be plain data",
        "7:9: device: must be",
    ]
    found = problems("register", file)
    assert len(found) == len(starts), found
    for line, start in zip(found, starts, strict=True):
        assert line.startswith(f"{file}:{start}")


def test_a_value_left_empty_is_an_error_and_not_none(tmp_path):
    # As none it would conserve mass, where the user has only not decided yet.
    (line,) = problems("register", written(tmp_path, "reach: # later\n"))
    assert "1:1: reach: has no value; write one or remove the line" in line


def test_a_required_key_left_empty_is_one_problem(tmp_path):
    (line,) = problems("batch", written(tmp_path, "pairs:\n- source:\n  target: b\n"))
    assert ":2:3: pairs[1].source: has no value" in line


def test_the_settings_of_a_batch_file_are_those_of_a_command(tmp_path):
    file = written(tmp_path, "all: x/*.ply\nto: t.ply\nworkers: 2\nsettings:\n  blur: 3%\n")
    layer = file_layer(RegisterConfig, file)
    assert (layer.values, layer.problems) == ({"blur": "3%"}, ())
    assert str(layer.origins["blur"]) == f"file {file}:5:9"
    assert file_layer(RegisterConfig, written(tmp_path, "all: x/*.ply\nto: t.ply\n")).values == {}


def test_a_batch_file_for_a_command_is_checked_under_the_same_names(tmp_path):
    file = written(tmp_path, "all: x\nto: y\nblur: 1%\nworker: 2\nsettings:\n  blurr: 1%\n")
    assert [line.removeprefix(f"{file}:") for line in problems("register", file)] == [
        "3:1: blur: unknown setting; write it under 'settings:'",
        "4:1: worker: unknown setting; did you mean 'workers'?",
        "6:3: settings.blurr: unknown setting; did you mean 'blur'?",
    ]
    (line,) = problems("register", written(tmp_path, "all: x\nto: y\nsettings: [1]\n"))
    assert ":3:11: settings: must be a mapping" in line


def test_a_path_is_relative_to_the_file_and_a_word_is_a_word(tmp_path):
    for text, init in [
        ("start.txt", str(tmp_path / "start.txt")),
        ("../a/b.json", str(tmp_path / "../a/b.json")),
        ("/start.txt", "/start.txt"),
        ("none", "none"),
        ("search", "search"),
    ]:
        layer = file_layer(RegisterConfig, written(tmp_path, f"init: {text}\n"))
        assert resolve(RegisterConfig, layer).config.init == init


def test_aliases_point_to_the_place_where_the_value_is_written(tmp_path):
    file = written(
        tmp_path, "pairs:\n- {source: a, target: b, settings: &s {blur: x}}\n- {source: c, target: d, settings: *s}\n"
    )
    assert [line.split(": ")[:2] for line in problems("batch", file)] == [
        [f"{file}:2:46", "pairs[1].settings.blur"],
        [f"{file}:2:46", "pairs[2].settings.blur"],
    ]
