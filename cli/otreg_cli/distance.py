"""otreg distance: say how far apart two shapes are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg.config import DistanceConfig, load_settings
from otreg_cli.options import (
    PATH,
    debug_option,
    flag,
    given,
    json_option,
    reading_options,
    settings_options,
    strict_option,
)


@click.command("distance")
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
@settings_options(DistanceConfig)
@json_option
@strict_option
@reading_options
@debug_option
def command(
    *, source: Path, target: Path, as_json: bool, strict: bool, reading: dict[str, Any], **settings: Any
) -> None:
    """Say how far apart the shapes of the files SOURCE and TARGET are, as they lie.

    Prints the debiased Sinkhorn divergence for the cost |x - y|^p / p, with the interval that holds it.
    """
    config = load_settings(DistanceConfig, given(settings), name=flag)

    from otreg.errors import NotConvergedError
    from otreg.jobs import Reading, distance_files
    from otreg_cli.output import divergence_rows, print_json, print_rows, print_warnings

    report = distance_files(source, target, config, reading=Reading(**reading))
    print_warnings(report.warnings)
    if as_json:
        print_json(report.record)
    else:
        print_rows([*divergence_rows(report.divergence), ("status", report.divergence.status)])
    if strict and not report.divergence.converged:
        raise NotConvergedError(f"did not converge: {report.divergence.status}")
