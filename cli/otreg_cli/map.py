"""otreg map: write where each point of a shape goes under optimal transport."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg.config import MapConfig, load_settings
from otreg_cli.options import (
    PATH,
    debug_option,
    flag,
    given,
    json_option,
    overwrite_option,
    reading_options,
    settings_options,
    strict_option,
)


@click.command("map")
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
@click.option("-o", "--output", type=PATH, metavar="FILE", required=True, help="Write the map to FILE.")
@click.option(
    "--output-format",
    type=click.Choice(["vtu", "ply", "npz"]),
    help="Layout of FILE.  [default: what its extension says]",
)
@click.option(
    "--both",
    is_flag=True,
    help="Write the map from the target to the source too: into FILE as target_* if that is .npz, else beside it into "
    "FILE_target.",
)
@click.option("--at", type=PATH, metavar="POINTS", help="Evaluate at the points of this file instead of the source's.")
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
    output_format: str | None,
    both: bool,
    at: Path | None,
    overwrite: bool,
    as_json: bool,
    strict: bool,
    reading: dict[str, Any],
    **settings: Any,
) -> None:
    """Write the Brenier map from the shape of the file SOURCE to that of TARGET, as they lie.

    FILE (.vtu, .ply or .npz) gets the points with their displacement, potential, matched mass and overlap, in the unit
    of the files. Prints the divergence with the interval that holds it.
    """
    config = load_settings(MapConfig, given(settings), name=flag)

    from otreg.errors import NotConvergedError
    from otreg.jobs import MapOutputs, Reading, map_files
    from otreg_cli.output import divergence_rows, print_json, print_rows, print_warnings

    outputs = MapOutputs(output, both=both, format=output_format, overwrite=overwrite)
    report = map_files(source, target, config, outputs, at=at, reading=Reading(**reading))
    print_warnings(report.warnings)
    if as_json:
        print_json(report.record)
    else:
        files = [(role.replace("_", " "), str(path)) for role, path in report.files.items()]
        points = " and ".join(str(count) for count in report.points.values())
        status = report.divergence.status
        print_rows([*files, ("points", points), *divergence_rows(report.divergence), ("status", status)])
    if strict and not report.divergence.converged:
        raise NotConvergedError(f"did not converge: {report.divergence.status}")
