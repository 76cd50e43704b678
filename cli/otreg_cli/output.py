"""Words for a terminal: results go to stdout, or to stderr where stdout holds a shape; warnings go to stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # imports torch, which commands about files do not need
    from otreg.jobs.divergence import Divergence
    from otreg.jobs.landmarks import LandmarkDistances


def print_json(record: Any) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(record, indent=2, allow_nan=False))


def print_rows(rows: Iterable[tuple[str, str]], *, err: bool = False) -> None:
    """Name and value, one pair a line, on stdout or stderr."""
    for name, value in rows:
        click.echo(f"{name:<12} {value}", err=err)


def print_warnings(sentences: Iterable[str]) -> None:
    """One line each on stderr."""
    for sentence in sentences:
        click.echo(f"otreg: warning: {sentence}", err=True)


def file_rows(outputs: Mapping[str, str]) -> list[tuple[str, str]]:
    """The files that were written, by role."""
    return [(role.replace("_", " "), path) for role, path in outputs.items()]


def divergence_rows(divergence: Divergence) -> list[tuple[str, str]]:
    """The divergence with its interval, and the length that it means."""
    interval = f"between {divergence.lower:.6g} and {divergence.upper:.6g}"
    meaning = "sqrt(2 divergence)" if divergence.p == 2 else "the divergence itself"
    return [
        ("divergence", f"{divergence.value:.6g} ({interval}), in {divergence.unit}"),
        ("distance", f"{divergence.distance:.6g} in file units, {meaning}"),
    ]


def landmark_row(distances: LandmarkDistances) -> tuple[str, str]:
    """How far landmarks are from their partners."""
    after = f"{distances.rms_after:.4g} rms, at most {max(distances.after):.4g} ('{distances.farthest}')"
    return "landmarks", f"{after}; {distances.rms_before:.4g} rms before, in file units"
