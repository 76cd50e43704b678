"""otreg info: say what is in a shape file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from otreg_cli.options import PATH, debug_option, json_option, reading_options
from otreg_cli.pipes import input_files

LONGEST = 300  # letters of a value in a terminal; --json has all of them


@click.command("info")
@click.argument("shape", type=PATH)
@json_option
@reading_options
@debug_option
def command(*, shape: Path, as_json: bool, reading: dict[str, Any]) -> None:
    """Say what is in the file SHAPE: counts, bounds, frame, weights, areas, defects and attributes.

    A "-" stands for standard input.
    """
    from otreg.jobs import Reading, describe_file
    from otreg_cli.output import print_json, print_warnings

    with input_files(shape) as ((file,), piped):
        record = describe_file(file, reading=Reading(**reading, piped=piped))
    print_warnings(record["warnings"])
    if as_json:
        print_json(record)
        return
    hidden = ("schema", "warnings")
    rows = {name.replace("_", " "): _text(value) for name, value in record.items() if name not in hidden}
    width = max(map(len, rows))
    for name, text in rows.items():
        click.echo(f"{name:<{width}} {text if len(text) <= LONGEST else text[: LONGEST - 3] + '...'}")


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return (" | " if any(isinstance(v, str) for v in value) else " ").join(map(_text, value)) or "none"
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
