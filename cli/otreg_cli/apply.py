"""otreg apply: move any shape or points with a transform found before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg_cli.options import PATH, debug_option, json_option, overwrite_option, reading_options


@click.command("apply")
@click.argument("transform", type=PATH)
@click.argument("shape", type=PATH)
@click.option("-o", "--output", type=PATH, metavar="FILE", required=True, help="Write the moved shape to FILE.")
@overwrite_option
@json_option
@reading_options
@debug_option
def command(
    *, transform: Path, shape: Path, output: Path, overwrite: bool, as_json: bool, reading: dict[str, Any]
) -> None:
    """Move the file SHAPE with TRANSFORM, the transform.json of a registration.

    SHAPE is any shape or table of points in the units of the registration's files: the full-resolution source,
    landmarks, a curve drawn on it.
    """
    from otreg.jobs import Reading, apply_transform
    from otreg_cli.output import print_json, print_rows, print_warnings

    applied = apply_transform(transform, shape, output, overwrite=overwrite, reading=Reading(**reading))
    print_warnings(applied.warnings)
    if as_json:
        print_json({"output": str(applied.path), "points": applied.points, "warnings": list(applied.warnings)})
    else:
        print_rows([("moved", f"{applied.points} points"), ("shape", str(applied.path))])
