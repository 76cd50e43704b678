"""otreg convert: write a shape in another file format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg_cli.frame_option import frame_option
from otreg_cli.options import PATH, debug_option, json_option, overwrite_option, reading_options, to_option
from otreg_cli.pipes import DASH, as_asked, input_files, output_file, refuse_mixed_output, written_format


@click.command("convert")
@click.argument("source", type=PATH)
@click.argument("output", type=PATH)
@to_option
@frame_option
@overwrite_option
@json_option
@reading_options
@debug_option
def command(
    *,
    source: Path,
    output: Path,
    to: str | None,
    frame: Any,
    overwrite: bool,
    as_json: bool,
    reading: dict[str, Any],
) -> None:
    """Write the shape of the file SOURCE as the file OUTPUT, in the format of its extension.

    Where the new format cannot hold all points, cells and attributes, nothing is written, and the formats that can are
    named; comments are lost where it has none. A "-" stands for standard input or output,
    which gets the format --to or --format.
    """
    refuse_mixed_output(output, as_json=as_json)

    from otreg.jobs import Reading, convert_file
    from otreg_cli.output import print_json, print_rows, print_warnings

    to = written_format(output, to, reading["format"])
    with input_files(source) as ((file,), piped), output_file(output, to) as target:
        converted = convert_file(
            file, target, overwrite=overwrite, reading=Reading(**reading, piped=piped), to=to, frame=frame
        )
    warnings = as_asked(converted.warnings, used=target, asked=output)
    print_warnings(warnings)
    if output == DASH:
        return
    if as_json:
        print_json(
            {"schema": "otreg.convert/1", "output": str(output), "points": converted.points, "warnings": warnings}
        )
    else:
        print_rows([("converted", f"{converted.points} points"), ("shape", str(output))])
