"""otreg distance: say how far apart two shapes are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg.config import DistanceConfig
from otreg_cli.options import (
    PATH,
    config_option,
    debug_option,
    json_option,
    reading_options,
    settings_options,
    strict_option,
)
from otreg_cli.pipes import input_files
from otreg_cli.settings import resolved_settings


@click.command("distance")
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
@config_option
@settings_options(DistanceConfig)
@json_option
@strict_option
@reading_options
@debug_option
def command(
    *,
    source: Path,
    target: Path,
    config_file: Path | None,
    as_json: bool,
    strict: bool,
    reading: dict[str, Any],
    **settings: Any,
) -> None:
    """Say how far apart the shapes of the files SOURCE and TARGET are, as they lie.

    Prints the debiased Sinkhorn divergence for the cost |x - y|^p / p, with the interval that holds it. A "-" stands
    for standard input.
    """
    resolved = resolved_settings(DistanceConfig, settings, config_file)

    from otreg.errors import NotConvergedError
    from otreg.jobs import Reading
    from otreg_cli.output import divergence_rows, print_json, print_rows, print_warnings

    with input_files(source, target) as ((source_file, target_file), piped):
        read = Reading(**reading, piped=piped)
        read.check(source_file, target_file)
        from otreg.jobs import distance_files  # PyTorch comes with it, so errors that need none are said before

        report = distance_files(source_file, target_file, resolved.config, reading=read)
    print_warnings([*resolved.warnings, *report.warnings])
    if as_json:
        print_json(report.record)
    else:
        print_rows([*divergence_rows(report.divergence), ("status", report.divergence.status)])
    if strict and not report.divergence.converged:
        raise NotConvergedError(f"did not converge: {report.divergence.status}")
