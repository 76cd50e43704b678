"""otreg schema prints JSON Schemas of the files that users write and of the objects that commands print."""

import json

import jsonschema
import pytest

from otreg.config.json_schema import json_schema
from otreg.records import record_kinds, record_schema


@pytest.mark.parametrize("kind", ["register", "distance", "map", "batch"])
def test_the_schema_of_a_settings_file(otreg_here, kind):
    answer = otreg_here("schema", kind)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert json.loads(answer.stdout) == json_schema(kind)


def test_the_settings_of_a_registration_are_the_default(otreg_here):
    assert otreg_here("schema").stdout == otreg_here("schema", "register").stdout


@pytest.mark.parametrize("kind", record_kinds())
def test_the_schema_of_what_a_command_prints(otreg_here, kind):
    found = json.loads(otreg_here("schema", kind).stdout)
    assert found == record_schema(kind)
    jsonschema.Draft202012Validator.check_schema(found)


def test_an_unknown_kind_is_one_line_with_those_that_there_are(otreg_here):
    answer = otreg_here("schema", "skull")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "KIND must be one of register, distance, map, batch, otreg." in answer.stderr
    assert answer.stderr.count("\n") == 1
