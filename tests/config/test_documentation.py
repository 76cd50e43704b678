"""docs/configuration.md says what the code does: limits, meanings of values, examples."""

import re
from pathlib import Path

import pytest

from otreg.config import COMMAND_SCHEMAS, BatchConfig
from otreg.config.yaml_text import setting_texts
from otreg.config.yaml_tree import DEEPEST, LARGEST_FILE, MOST_VALUES, read_tree

TEXT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_the_limits_are_those_of_the_reader():
    words = " ".join(TEXT.split())
    assert f"{MOST_VALUES:,} values" in words
    assert f"{DEEPEST} levels" in words
    assert f"{LARGEST_FILE // 10**6} MB" in words


def test_every_key_of_a_batch_file_is_in_its_table_with_its_default():
    table = TEXT.partition("## Batch files")[2].partition("## Tables")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    keys = [key for row in rows for key in re.findall(r"`(\w+)`", row[0])]
    assert sorted(keys) == sorted(BatchConfig.model_fields)
    defaults = {row[0].strip("|` "): row[2].strip("|` ") for row in rows if row[2].strip("| ")}
    written = setting_texts(BatchConfig(every="x"))
    assert defaults == {key: written[key].replace("'", '"') for key in defaults}
    assert len(defaults) == 6


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_yaml_in_the_documentation_is_right(tmp_path, block):
    (tmp_path / "x.yaml").write_text(block)
    assert read_tree(tmp_path / "x.yaml").problems == ()


def test_settings_that_the_documentation_names_exist():
    known = {name for schema in COMMAND_SCHEMAS.values() for name in schema.model_fields}
    named = {name.lower() for name in re.findall(r"OTREG_([A-Z_]+)", TEXT)}
    assert named and named <= known


def test_python_in_the_documentation_runs(tmp_path, monkeypatch, capsys):
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "skulls.yaml").write_text("models: rigid,spline\n")
    (tmp_path / "batch.yaml").write_text("all: x/*.ply\nto: y.ply\n")
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    assert capsys.readouterr().out == "1% file skulls.yaml:1:9\n"
