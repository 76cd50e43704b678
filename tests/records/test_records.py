"""The schemas of what otreg prints: valid, complete in themselves, every field described, and the page of them."""

import re
import runpy
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from otreg.errors import ArgumentError
from otreg.records import record_kinds, record_schema

ROOT = Path(__file__).parents[2]


def parts(schema):
    """All schemas inside a schema, but for the names of fields."""
    if isinstance(schema, list):
        for item in schema:
            yield from parts(item)
    elif isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            yield from (
                (inner for part in value.values() for inner in parts(part))
                if key
                in (
                    "properties",
                    "$defs",
                )
                else parts(value)
            )


@pytest.mark.parametrize("kind", record_kinds())
def test_a_schema_is_valid_names_its_kind_and_describes_every_field(kind):
    schema = record_schema(kind)
    Draft202012Validator.check_schema(schema)
    assert schema["title"] == schema["properties"]["schema"]["const"] == kind
    assert next(iter(schema["properties"])) == "schema" and "schema" in schema["required"]
    for part in parts(schema):
        reference = part.get("$ref")
        if reference is not None:
            assert reference.removeprefix("#/$defs/") in schema["$defs"]
        for name, field in part.get("properties", {}).items():
            assert field.get("description") or schema["$defs"][field["$ref"].rpartition("/")[2]]["description"], name


def test_the_kinds_are_the_commands_with_json_and_the_lines_of_progress():
    kinds = {"apply", "compose", "convert", "distance", "doctor", "info", "invert", "map", "register", "step"}
    assert {f"otreg.{name}/1" for name in kinds} <= set(record_kinds())
    assert list(record_kinds()) == sorted(record_kinds())
    assert "otreg.common" not in "".join(record_kinds())


def test_every_kind_that_the_code_names_has_a_schema():
    code = [path.read_text(encoding="utf-8") for top in ("otreg", "cli") for path in (ROOT / top).rglob("*.py")]
    named = {kind for text in code for kind in re.findall(r'"(otreg\.[a-z-]+/\d+)"', text)}
    assert "otreg.register/1" in named
    assert named <= set(record_kinds())


def test_an_unknown_kind_is_refused_with_those_that_are_known():
    with pytest.raises(ArgumentError, match=r"must be one of otreg\.apply/1, .*; got 'otreg\.map/2'"):
        record_schema("otreg.map/2")


def test_the_page_of_fields_is_what_the_schemas_say():
    page = runpy.run_path(str(ROOT / "docs" / "make_json.py"))["page"]()
    assert (ROOT / "docs" / "json.md").read_text(encoding="utf-8") == page, "run python docs/make_json.py"
    assert "| `divergence.distance` | number or null | In file units: sqrt(2 value)" in page
    assert "| `stages[].steps[].move` |" in page
