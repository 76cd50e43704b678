"""otreg map: write where each point of a shape goes under optimal transport."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg.config import MapConfig
from otreg_cli.options import (
    PATH,
    config_option,
    debug_option,
    json_option,
    overwrite_option,
    reading_options,
    settings_options,
    strict_option,
)
from otreg_cli.pipes import DASH, input_files, output_file, refuse_mixed_output, written_format
from otreg_cli.settings import resolved_settings


@click.command("map")
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
@click.option("-o", "--output", type=PATH, metavar="FILE", required=True, help="Write the map to FILE.")
@click.option(
    "--to", type=click.Choice(["vtu", "ply", "npz"]), help="Format of FILE.  [default: what its extension says]"
)
@click.option(
    "--both",
    is_flag=True,
    help="Write the map from the target to the source too: into FILE as target_* if that is .npz, else beside it into "
    "FILE_target.",
)
@click.option("--at", type=PATH, metavar="POINTS", help="Evaluate at the points of this file instead of the source's.")
@config_option
@settings_options(MapConfig)
@overwrite_option
@json_option
@strict_option
@reading_options
@debug_option
def command(
    *,
    source: Path,
    target: Path,
    output: Path,
    to: str | None,
    both: bool,
    at: Path | None,
    config_file: Path | None,
    overwrite: bool,
    as_json: bool,
    strict: bool,
    reading: dict[str, Any],
    **settings: Any,
) -> None:
    """Write the Brenier map from the shape of the file SOURCE to that of TARGET, as they lie.

    FILE (.vtu, .ply or .npz) gets the points with their displacement, potential, matched mass and overlap, in the unit
    of the files. Prints the divergence with the interval that holds it. A "-" stands for standard input, or, as FILE,
    for standard output, which gets the format --to or --format; all else is then on stderr.
    """
    refuse_mixed_output(output, as_json=as_json)
    resolved = resolved_settings(MapConfig, settings, config_file)

    from otreg.errors import NotConvergedError
    from otreg.jobs import MapOutputs, Reading
    from otreg.jobs.outputs import check_outputs
    from otreg_cli.output import divergence_rows, file_rows, print_json, print_rows, print_warnings

    to = written_format(output, to, reading["format"])
    given_files = (source, target) if at is None else (source, target, at)
    with output_file(output, to) as file, input_files(*given_files) as (files, piped):
        outputs = MapOutputs(file, both=both, format=to, overwrite=overwrite, piped=output == DASH)
        read = Reading(**reading, piped=piped)
        check_outputs(outputs.files().values(), inputs=files, overwrite=overwrite)
        read.check(*files)
        from otreg.jobs import map_files  # PyTorch comes with it, so errors that need none are said before

        where = files[2] if at is not None else None
        report = map_files(files[0], files[1], resolved.config, outputs, at=where, reading=read)
    print_warnings([*resolved.warnings, *report.warnings])
    if as_json:
        print_json(report.record)
    else:
        points = " and ".join(str(count) for count in report.points.values())
        status = report.divergence.status
        rows = [("points", points), *divergence_rows(report.divergence), ("status", status)]
        print_rows([*file_rows(report.record["outputs"]), *rows], err=output == DASH)
    if strict and not report.divergence.converged:
        raise NotConvergedError(f"did not converge: {report.divergence.status}")
