"""Options that commands share; those of the settings are built from the schema, which alone describes them."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from otreg_cli.completion import complete_format, complete_output_format, completer

if TYPE_CHECKING:
    from pydantic import BaseModel

Command = TypeVar("Command", bound=Callable[..., Any])


class FilePath(click.Path):
    """A path that is not empty: an empty one, from a variable that was not set, would mean the current folder.

    Existence is checked by the reader, which says more than click can and exits with the code for input.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("a path must not be empty; give a name", param, ctx)
        return super().convert(value, param, ctx)


PATH = FilePath(path_type=Path)

# Settings whose flag is not simply their name.
FLAGS: Mapping[str, tuple[str, ...]] = {"models": ("-m", "--model")}


def flag(field: str) -> str:
    """The long flag of a setting, as users write it."""
    return FLAGS[field][-1] if field in FLAGS else "--" + field.replace("_", "-")


def settings_options(schema: type[BaseModel]) -> Callable[[Command], Command]:
    """A decorator that gives a command one option per setting of ``schema``; what is not given arrives as None.

    Values are passed on as texts: the schema parses and checks them.
    """

    def decorate(command: Command) -> Command:
        # The command's own settings come first in its help, then those that it shares.
        own = [name for name in schema.model_fields if name in schema.__annotations__]
        shared = [name for name in schema.model_fields if name not in own]
        for name in reversed([*own, *shared]):
            field = schema.model_fields[name]
            words = typing.get_args(field.annotation) if typing.get_origin(field.annotation) is Literal else ()
            default = "" if field.default is None else f"  [default: {_shown(field.default)}]"
            command = click.option(
                *FLAGS.get(name, (flag(name),)),
                name,
                type=click.Choice(words) if words else str,
                metavar=None if words else field.title or "TEXT",
                shell_complete=completer(field),
                help=f"{field.description}{default}",
            )(command)
        return command

    return decorate


def config_option(command: Command) -> Command:
    """Adds --config, passed as ``config_file``."""
    return click.option(
        "--config",
        "config_file",
        type=PATH,
        metavar="FILE",
        help="Take settings from this YAML file, by their names; flags win over it, it wins over OTREG_* variables.",
    )(command)


def given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given on the command line."""
    return {name: value for name, value in settings.items() if value is not None}


def reading_options(command: Command) -> Command:
    """Adds --format, --drop-invalid and --max-points, passed together as ``reading``, the arguments of jobs.Reading."""

    @click.option(
        "--format",
        metavar="NAME",
        shell_complete=complete_format,
        help="Format of the input files, where their names do not tell.",
    )
    @click.option("--drop-invalid", is_flag=True, help="Leave out points that are not finite, with their cells.")
    @click.option(
        "--max-points",
        type=click.IntRange(min=2),
        default=200_000_000,
        show_default=True,
        metavar="COUNT",
        help="Refuse files that claim more points.",
    )
    @functools.wraps(command)
    def with_reading(*, format: str | None, drop_invalid: bool, max_points: int, **others: Any) -> Any:
        return command(reading={"format": format, "drop_invalid": drop_invalid, "max_points": max_points}, **others)

    return cast("Command", with_reading)


def to_option(command: Command) -> Command:
    """Adds --to."""
    return click.option(
        "--to",
        metavar="NAME",
        shell_complete=complete_output_format,
        help="Format of the output, where its name does not tell.",
    )(command)


def debug_option(command: Command) -> Command:
    """Adds --debug, which :func:`otreg_cli.main.run` reads."""

    def remember(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        ctx.ensure_object(dict)["debug"] = value

    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=remember,
        help="Show a traceback on errors.",
    )(command)


def json_option(command: Command) -> Command:
    """Adds --json, passed as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")(command)


def overwrite_option(command: Command) -> Command:
    """Adds --overwrite."""
    return click.option("--overwrite", is_flag=True, help="Replace existing output files.")(command)


def strict_option(command: Command) -> Command:
    """Adds --strict."""
    return click.option("--strict", is_flag=True, help="Exit with code 4 when the answer did not converge.")(command)


def _shown(default: Any) -> str:
    return ",".join(default) if isinstance(default, tuple) else str(default)
