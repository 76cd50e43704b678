"""otreg apply: move any shape or points with a transform found before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg_cli.frame_option import frame_option
from otreg_cli.options import PATH, debug_option, json_option, overwrite_option, reading_options, to_option
from otreg_cli.pipes import DASH, as_asked, input_files, output_file, refuse_mixed_output, written_format


@click.command("apply")
@click.argument("transform", type=PATH)
@click.argument("shape", type=PATH)
@click.option("-o", "--output", type=PATH, metavar="FILE", required=True, help="Write the moved shape to FILE.")
@click.option("--inverse", is_flag=True, help="Move back, with the inverse of the transform.")
@frame_option
@to_option
@overwrite_option
@json_option
@reading_options
@debug_option
def command(
    *,
    transform: Path,
    shape: Path,
    output: Path,
    inverse: bool,
    frame: Any,
    to: str | None,
    overwrite: bool,
    as_json: bool,
    reading: dict[str, Any],
) -> None:
    """Move the file SHAPE with TRANSFORM, the transform.json of a registration.

    SHAPE is any shape or table of points in the units of the registration's files: the full-resolution source,
    landmarks, a curve drawn on it. TRANSFORM may also be a 4x4 matrix as text, or a linear .tfm file of ITK. The
    inverse of a spline is found point by point; the residual says how far a point would miss its origin. A "-" stands
    for standard input or output, which gets the format --to or --format.
    """
    refuse_mixed_output(output, as_json=as_json)

    from otreg.jobs import Reading
    from otreg.jobs.outputs import check_outputs, check_writable_format
    from otreg_cli.output import print_json, print_rows, print_warnings

    to = written_format(output, to, reading["format"])
    with input_files(shape) as ((source,), piped), output_file(output, to) as target:
        read = Reading(**reading, piped=piped)
        check_outputs([target], inputs=[transform, source], overwrite=overwrite)
        check_writable_format(target, to)
        read.check(source)
        from otreg.jobs import apply_transform  # PyTorch comes with it, so errors that need none are said before

        applied = apply_transform(
            transform,
            source,
            target,
            overwrite=overwrite,
            reading=read,
            inverse=inverse,
            frame=frame,
            to=to,
        )
    warnings = as_asked(applied.warnings, used=target, asked=output)
    print_warnings(warnings)
    if as_json:
        print_json(
            {
                "schema": "otreg.apply/1",
                "output": str(output),
                "points": applied.points,
                "residual": applied.residual,
                "warnings": warnings,
            }
        )
        return
    # A filter has nothing to say about points that the next program sees for itself.
    rows = [] if output == DASH else [("moved", f"{applied.points} points"), ("shape", str(output))]
    if applied.residual is not None:
        rows.append(("residual", f"{applied.residual:.3g} in file units"))
    print_rows(rows, err=output == DASH)
