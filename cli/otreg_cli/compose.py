"""otreg compose: write several transforms as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg_cli.frame_option import frame_option
from otreg_cli.options import PATH, debug_option, json_option, overwrite_option


@click.command("compose")
@click.argument("transforms", metavar="TRANSFORM...", type=PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=PATH, metavar="FILE", required=True, help="Write the composition to FILE.")
@frame_option
@overwrite_option
@json_option
@debug_option
def command(*, transforms: tuple[Path, ...], output: Path, frame: Any, overwrite: bool, as_json: bool) -> None:
    """Write the map that moves by the first TRANSFORM, then by the second, and so on, as one transform.

    Each is a transform.json, a 4x4 matrix as text, or a linear .tfm file of ITK; so is FILE, which ends in .json, .txt
    or .mat (matrix) or .tfm. With one TRANSFORM alone this writes it as another kind of file.
    """
    from otreg.jobs import compose_transforms
    from otreg_cli.transform_report import report_transform

    written = compose_transforms(transforms, output, overwrite=overwrite, frame=frame)
    report_transform(written, command="compose", as_json=as_json)
