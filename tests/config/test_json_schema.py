"""The JSON Schemas accept every right file and refuse every wrong one that a schema can tell."""

import jsonschema
import pytest

from otreg.config.json_schema import FILE_SCHEMAS, json_schema
from otreg.config.yaml_text import template_yaml
from otreg.config.yaml_tree import read_tree

from .examples import RIGHT, WRONG, WRONG_BEYOND_SCHEMA


@pytest.fixture
def accepts(tmp_path):
    def answer(kind: str, text: str) -> bool:
        file = tmp_path / "x.yaml"
        file.write_text(text)
        validator = jsonschema.Draft202012Validator(json_schema(kind))
        return validator.is_valid(read_tree(file).root.plain())

    return answer


@pytest.mark.parametrize("kind", FILE_SCHEMAS)
def test_a_schema_is_one_and_describes_every_setting_by_its_default(kind):
    schema = json_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["properties"].keys() == FILE_SCHEMAS[kind].model_fields.keys()
    for name, field in schema["properties"].items():
        assert field["description"], name
    settings = schema["$defs"]["RegisterConfig"]["properties"] if kind == "batch" else schema["properties"]
    assert settings["blur"]["default"] == "1%"
    assert "Length" not in schema.get("$defs", {}), "a length is written as a text or a number"


@pytest.mark.parametrize("kind", FILE_SCHEMAS)
def test_defaults_and_examples_of_a_schema_fulfil_it(kind):
    schema = json_schema(kind)
    for part in [schema, *schema.get("$defs", {}).values()]:
        for name, field in part["properties"].items():
            values = [*field.get("examples", []), *([field["default"]] if "default" in field else [])]
            for value in values:
                jsonschema.validate(value, {**field, "$defs": schema.get("$defs", {})}, jsonschema.Draft202012Validator)
            assert "examples" not in field or field["examples"], name


@pytest.mark.parametrize(("kind", "text"), RIGHT)
def test_right_files_are_accepted(accepts, kind, text):
    assert accepts(kind, text)


@pytest.mark.parametrize("kind", FILE_SCHEMAS)
def test_templates_are_accepted(accepts, kind):
    assert accepts(kind, template_yaml(kind))


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, text, _ in WRONG])
def test_wrong_files_are_refused(accepts, kind, text):
    assert not accepts(kind, text)


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, text, _ in WRONG_BEYOND_SCHEMA])
def test_what_a_schema_cannot_tell_is_said_to_be_so(accepts, kind, text):
    assert accepts(kind, text), "move this example to WRONG"
