"""--progress, -v and -q: how much a command says while it works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
ProgressMode = Literal["auto", "plain", "json", "none"]


def progress_option(command: Command) -> Command:
    """Adds --progress, -v and -q, passed as ``progress``, ``verbose`` and ``quiet``."""
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="The same as --progress plain."),
        click.option(
            "-q", "--quiet", is_flag=True, help="Print errors only; no progress unless --progress asks for it."
        ),
        click.option(
            "--progress",
            type=click.Choice(["auto", "plain", "json", "none"]),
            help="What stderr says meanwhile: a live line on a terminal, a line per step, a JSON object per step, or "
            "nothing.  [default: auto]",
        ),
    ):
        command = option(command)
    return command


def chosen_progress(progress: ProgressMode | None, *, verbose: bool, quiet: bool) -> ProgressMode:
    """What --progress says, or else what -q and -v stand for."""
    if progress is not None:
        return progress
    return "none" if quiet else "plain" if verbose else "auto"
