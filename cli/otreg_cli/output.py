"""Words for a terminal: results go to stdout, warnings to stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # imports torch, which commands about files do not need
    from otreg.jobs.divergence import Divergence


def print_json(record: Any) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(record, indent=2, allow_nan=False))


def print_rows(rows: Iterable[tuple[str, str]]) -> None:
    """Name and value, one pair a line, on stdout."""
    for name, value in rows:
        click.echo(f"{name:<12} {value}")


def print_warnings(sentences: Iterable[str]) -> None:
    """One line each on stderr."""
    for sentence in sentences:
        click.echo(f"otreg: warning: {sentence}", err=True)


def divergence_rows(divergence: Divergence) -> list[tuple[str, str]]:
    """The divergence with its interval, and the length that it means."""
    interval = f"between {divergence.lower:.6g} and {divergence.upper:.6g}"
    meaning = "sqrt(2 divergence)" if divergence.p == 2 else "the divergence itself"
    return [
        ("divergence", f"{divergence.value:.6g} ({interval}), in {divergence.unit}"),
        ("distance", f"{divergence.distance:.6g} in file units, {meaning}"),
    ]
