"""What is written reads back the same: saved settings as these settings, a template as the defaults."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otreg.config import (
    COMMAND_SCHEMAS,
    BatchConfig,
    DistanceConfig,
    Length,
    MapConfig,
    RegisterConfig,
    file_layer,
    load_batch,
    resolve,
)
from otreg.config.json_schema import FILE_SCHEMAS
from otreg.config.settings import FEATURE_KINDS, INIT_WORDS, MODEL_NAMES
from otreg.config.yaml_text import settings_yaml, template_yaml

lengths = st.builds(Length, st.floats(1e-300, 1e300), st.sampled_from(["diagonal", "file"]))
sides = st.none() | lengths
reaches = st.sampled_from([None, "auto"]) | lengths
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.strip)
fractions = st.floats(0, 1, exclude_min=True, exclude_max=True)

SHARED = {
    "blur": lengths,
    "device": st.sampled_from(["auto", "cpu", "cuda"]),
    "reduction": st.sampled_from(["auto", "dense", "cpu", "keops", "triton"]),
    "threads": st.none() | st.integers(1, 10**6),
    "seed": st.integers(0, 2**63 - 1),
    "sampling": st.sampled_from(["vertices", "faces"]) | st.integers(2, 10**9),
    "weights": st.none() | words | st.sampled_from(["no", "null", "1e-3", "~", "a: b", "#x", "", "'"]).filter(bool),
    "features": st.sampled_from(FEATURE_KINDS) | st.just("labels:a column"),
    "feature_length": st.just("auto") | lengths,
}
REGISTER = {
    **SHARED,
    "reach": reaches,
    "models": st.sampled_from([("rigid",), ("rigid", "spline"), MODEL_NAMES[:3], ("similarity", "tps")]),
    "init": st.sampled_from(INIT_WORDS) | st.just("/a folder/start: 1.txt"),
    "optimizer": st.sampled_from(["gauss-newton", "lbfgs", "adam"]),
    "iterations": st.integers(1, 10**9),
    "tolerance": fractions,
    "stiffness": st.floats(1e-300, 1e300),
    "control_points": st.integers(1, 10**9),
    "landmark_weight": st.floats(1e-300, 1e300),
}
COMPARISON = {
    **SHARED,
    "reach": reaches | st.tuples(sides, sides),
    "p": st.integers(1, 2),
    "precision": st.sampled_from(["float32", "float64"]),
    "tolerance": fractions,
}
VALUES = {
    RegisterConfig: REGISTER,
    DistanceConfig: COMPARISON,
    MapConfig: {**COMPARISON, "grid": st.none() | st.integers(2, 10**9)},
}


def test_the_strategies_know_every_setting():
    for schema, values in VALUES.items():
        # Settings that are new and not here are still saved, but only with their defaults.
        assert values.keys() <= schema.model_fields.keys()


def loaded(schema, text: str, folder: Path):
    file = folder / "saved.yaml"
    file.write_text(text, encoding="utf-8", errors="backslashreplace")
    return resolve(schema, file_layer(schema, file)).config


@pytest.mark.parametrize("schema", VALUES)
@settings(max_examples=30)
@given(st.data())
def test_saved_settings_load_as_the_same_settings(tmp_path_factory, schema, data):
    values = data.draw(st.fixed_dictionaries({}, optional=VALUES[schema]))
    config = schema(**values)
    assert loaded(schema, settings_yaml(config, title="a: b\n# c"), tmp_path_factory.getbasetemp()) == config


@pytest.mark.parametrize("reach", [(None, None), (None, Length(0.05, "diagonal")), (Length(2.5, "file"), None)])
def test_a_reach_for_each_side_is_saved(tmp_path, reach):
    assert loaded(MapConfig, settings_yaml(MapConfig(reach=reach)), tmp_path).reach == reach


@settings(max_examples=30)
@example("x\ny")
@example(" padded ")
@example("\x85\u2028\ufeff\x7f")
@example("\xa0a")
@example('a\x85b "\\ \N{GREEK SMALL LETTER PI}')
@example("a\u2029b")
@given(words)
def test_any_name_of_a_column_is_saved(tmp_path_factory, name):
    config = RegisterConfig(weights=name)
    assert loaded(RegisterConfig, settings_yaml(config), tmp_path_factory.getbasetemp()).weights == name


def test_a_saved_start_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = settings_yaml(RegisterConfig(init="start.txt"))
    (tmp_path / "elsewhere").mkdir()
    assert loaded(RegisterConfig, text, tmp_path / "elsewhere").init == str(tmp_path / "start.txt")


def test_none_is_saved_by_the_word_of_the_setting():
    lines = settings_yaml(RegisterConfig(reach=None)).splitlines()
    assert {"reach: none", "threads: auto", "weights: null", "blur: 1%", "models: [rigid]"} <= set(lines)


def uncommented(template: str) -> str:
    """The template with all settings in force, but for those that are examples."""
    lines = [line for line in template.splitlines() if "# an example" not in line]
    return "\n".join(re.sub(r"^#((?:  )?[a-z_]+:)", r"\1", line) for line in lines)


@pytest.mark.parametrize("kind", COMMAND_SCHEMAS)
def test_a_template_means_the_defaults_as_it_stands_and_uncommented(tmp_path, kind):
    schema = COMMAND_SCHEMAS[kind]
    text = template_yaml(kind)
    assert loaded(schema, text, tmp_path) == schema()
    file = tmp_path / "active.yaml"
    file.write_text(uncommented(text))
    layer = file_layer(schema, file)
    assert resolve(schema, layer).config == schema()
    examples = {name for name, field in schema.model_fields.items() if field.examples}
    assert layer.values.keys() == schema.model_fields.keys() - examples


def test_a_template_of_a_batch_means_the_defaults_with_the_pairs_that_it_shows(tmp_path):
    text = template_yaml("batch")
    file = tmp_path / "batch.yaml"
    file.write_text(text)
    expected = BatchConfig(all=f"{tmp_path}/scans/*.ply", to=tmp_path / "template.ply", output_dir=tmp_path / "results")
    assert load_batch(file) == expected
    file.write_text(uncommented(text))
    assert load_batch(file) == expected
    assert file_layer(RegisterConfig, file).values.keys() == RegisterConfig.model_fields.keys() - {"weights"}


@pytest.mark.parametrize("kind", FILE_SCHEMAS)
def test_every_example_in_a_template_is_right(tmp_path, kind):
    for line in template_yaml(kind).splitlines():
        if "# an example" not in line or line.startswith("#  "):
            continue
        text = line.removeprefix("#") + "\n"
        file = tmp_path / "one.yaml"
        if kind != "batch":
            file.write_text(text)
            assert file_layer(FILE_SCHEMAS[kind], file).problems == (), line
            continue
        (tmp_path / "pairs.csv").write_text("source,target\na,b\n")
        others = "every: x\n" if not text.startswith("every") else ""
        others += "source_landmarks: a\n" if text.startswith("target_l") else ""
        others += "target_landmarks: a\n" if text.startswith("source_l") else ""
        file.write_text(others + text)
        load_batch(file)


@pytest.mark.parametrize("kind", FILE_SCHEMAS)
def test_a_template_explains_every_setting_with_its_bounds(kind):
    text = " ".join(line.lstrip("# ") for line in template_yaml(kind).splitlines())
    for schema in (FILE_SCHEMAS[kind], RegisterConfig) if kind == "batch" else (FILE_SCHEMAS[kind],):
        for name, field in schema.model_fields.items():
            assert f"{name}:" in text
            assert field.description in text
    if kind == "register":
        assert "[FRACTION, above 0, below 1] tolerance: 0.0001" in text
        assert "[gauss-newton|lbfgs|adam] optimizer: gauss-newton" in text
