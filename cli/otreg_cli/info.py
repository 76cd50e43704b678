"""otreg info: say what is in a shape file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from otreg_cli.options import PATH, debug_option, json_option, reading_options


@click.command("info")
@click.argument("shape", type=PATH)
@json_option
@reading_options
@debug_option
def command(*, shape: Path, as_json: bool, reading: dict[str, Any]) -> None:
    """Say what is in the file SHAPE: counts, bounds, areas, defects and attributes."""
    from otreg.jobs import Reading, describe_file
    from otreg_cli.output import print_json, print_rows, print_warnings

    record = describe_file(shape, reading=Reading(**reading))
    print_warnings(record["warnings"])
    if as_json:
        print_json(record)
    else:
        print_rows((name.replace("_", " "), _text(value)) for name, value in record.items() if name != "warnings")


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return " ".join(_text(item) for item in value) or "none"
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
