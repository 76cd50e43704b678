"""otreg register: move a shape onto another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg.config import RegisterConfig, load_settings
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


@click.command("register")
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Write the moved shape to FILE.")
@click.option(
    "-d",
    "--output-dir",
    type=PATH,
    metavar="DIR",
    help="Write all results to DIR.  [default: SOURCE_to_TARGET/ here; nothing but FILE with -o alone]",
)
@settings_options(RegisterConfig)
@overwrite_option
@json_option
@strict_option
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Print one line per step on stderr.")
@reading_options
@debug_option
def command(
    *,
    source: Path,
    target: Path,
    output: Path | None,
    output_dir: Path | None,
    overwrite: bool,
    as_json: bool,
    strict: bool,
    quiet: bool,
    verbose: bool,
    reading: dict[str, Any],
    **settings: Any,
) -> None:
    """Move the shape of the file SOURCE onto that of TARGET.

    Writes the moved shape, the transform, the fields of the last transport and a report. The transform goes from source
    to target; shares like 1% are of the target's diagonal, other lengths are in the unit of the files.
    """
    config = load_settings(RegisterConfig, given(settings), name=flag)

    from otreg.errors import NotConvergedError
    from otreg.jobs import Outputs, Reading, register_files
    from otreg_cli.output import divergence_rows, print_json, print_rows, print_warnings
    from otreg_cli.progress import progress

    if output is None and output_dir is None:
        output_dir = Path(f"{source.stem}_to_{target.stem}")
    outputs = Outputs(directory=output_dir, shape=output, overwrite=overwrite)
    with progress(live=not quiet, lines=verbose and not quiet) as on_step:
        report = register_files(source, target, config, outputs, on_step=on_step, reading=Reading(**reading))

    if not quiet:
        print_warnings(report.warnings)
    if as_json:
        print_json(report.record)
    elif not quiet:
        files = [(role, str(path)) for role, path in report.files.items()]
        print_rows([*files, *divergence_rows(report.divergence), ("status", report.status)])
    if strict and not report.converged:
        raise NotConvergedError(f"did not converge: {report.status}")
