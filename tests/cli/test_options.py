"""Flags and schema agree: every setting has exactly one flag, with its choices, default and description."""

import typing

import click
import pytest

from otreg.config import DistanceConfig, MapConfig, RegisterConfig
from otreg_cli.distance import command as distance
from otreg_cli.map import command as map_command
from otreg_cli.options import flag
from otreg_cli.register import command as register

REQUIRED = {map_command: ["-o", "c.ply"]}


@pytest.mark.parametrize(
    ("command", "schema"), [(register, RegisterConfig), (distance, DistanceConfig), (map_command, MapConfig)]
)
def test_every_setting_has_one_flag_that_says_what_the_schema_says(command, schema):
    options = {option.name: option for option in command.params if isinstance(option, click.Option)}
    values = command.make_context(command.name, ["a", "b", *REQUIRED.get(command, [])]).params
    for name, field in schema.model_fields.items():
        option = options[name]
        assert flag(name) in option.opts
        assert values[name] is None, "defaults belong to the schema"
        assert option.help.startswith(field.description)
        if typing.get_origin(field.annotation) is typing.Literal:
            assert tuple(option.type.choices) == typing.get_args(field.annotation)


def test_the_documented_flags_of_register_exist():
    names = {name for parameter in register.params for name in (*parameter.opts, *parameter.secondary_opts)}
    documented = (
        "-m --model -o --output -d --output-dir --blur --reach --optimizer --iterations --tolerance --device "
        "--reduction --threads --seed --sampling --weights --stiffness --control-points --json --overwrite --strict "
        "--debug --progress -q -v --to"
    )
    assert set(documented.split()) <= names
