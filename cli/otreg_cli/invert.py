"""otreg invert: write the transform that undoes another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg_cli.frame_option import frame_option
from otreg_cli.options import PATH, debug_option, json_option, overwrite_option


@click.command("invert")
@click.argument("transform", type=PATH)
@click.option("-o", "--output", type=PATH, metavar="FILE", required=True, help="Write the inverse to FILE.")
@frame_option
@overwrite_option
@json_option
@debug_option
def command(*, transform: Path, output: Path, frame: Any, overwrite: bool, as_json: bool) -> None:
    """Write the inverse of TRANSFORM: a transform.json, a 4x4 matrix as text, or a linear .tfm file of ITK.

    FILE ends in .json, .txt or .mat (matrix) or .tfm (ITK, in LPS; needs a transform that says where axes point, or
    --frame). A spline is inverted point by point where its inverse is applied; the residual says how far that misses
    at its control points.
    """
    from otreg.jobs import invert_transform
    from otreg_cli.transform_report import report_transform

    written = invert_transform(transform, output, overwrite=overwrite, frame=frame)
    report_transform(written, command="invert", as_json=as_json)
