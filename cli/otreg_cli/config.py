"""otreg config: where settings come from, and templates for files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg.config import COMMAND_SCHEMAS
from otreg_cli.files import write_text
from otreg_cli.options import PATH, config_option, debug_option, json_option, overwrite_option, settings_options
from otreg_cli.pipes import DASH


@click.group("config", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show where settings come from, or write a file of them."""


@command.command("show", context_settings={"ignore_unknown_options": True})
@click.option(
    "--command",
    "of",
    type=click.Choice(list(COMMAND_SCHEMAS)),
    default="register",
    show_default=True,
    help="The command whose settings to show.",
)
@config_option
@json_option
@debug_option
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def show(ctx: click.Context, *, of: str, config_file: Path | None, as_json: bool, flags: tuple[str, ...]) -> None:
    """Show each setting with its value and where that came from: a default, the environment, a file or a flag.

    FLAGS are those of the command, as 'otreg register --help' lists them: otreg config show --blur 2% -m affine.
    """
    from otreg.config.yaml_text import setting_texts
    from otreg_cli.output import print_json, print_warnings
    from otreg_cli.settings import resolved_settings

    parser = settings_options(COMMAND_SCHEMAS[of])(click.Command(ctx.info_name, params=[]))
    given = parser.make_context(ctx.info_name, list(flags), parent=ctx.parent).params
    resolved = resolved_settings(COMMAND_SCHEMAS[of], given, config_file)
    print_warnings(resolved.warnings)
    if as_json:
        values: dict[str, Any] = resolved.config.model_dump(mode="json")
        settings = {
            name: {"value": value, "origin": resolved.origins[name].kind, "place": resolved.origins[name].place}
            for name, value in values.items()
        }
        print_json({"schema": "otreg.config/1", "command": of, "settings": settings})
        return
    texts = setting_texts(resolved.config)
    width, depth = max(map(len, texts)), max(map(len, texts.values()))
    for name, text in texts.items():
        click.echo(f"{name:<{width}}  {text:<{depth}}  {resolved.origins[name]}")


@command.command("init")
@click.argument("file", type=PATH, required=False)
@click.option(
    "--for",
    "kind",
    type=click.Choice([*COMMAND_SCHEMAS, "batch"]),
    default="register",
    show_default=True,
    help="What the file is for.",
)
@overwrite_option
@debug_option
def init(*, file: Path | None, kind: str, overwrite: bool) -> None:
    """Write a template with every setting explained to FILE, or to standard output.

    As it stands it means the defaults; what you uncomment and change is all that it says.
    """
    from otreg.config.yaml_text import template_yaml

    text = template_yaml(kind)
    if file is None or file == DASH:
        click.echo(text, nl=False)
    else:
        write_text(file, text, overwrite=overwrite)
        click.echo(f"{kind} file   {file}", err=True)
