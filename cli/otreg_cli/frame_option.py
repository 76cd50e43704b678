"""--frame, the user's word on where axes point in files that do not say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def frame_option(command: Command) -> Command:
    """Adds --frame, passed as ``frame``."""
    return click.option(
        "--frame",
        type=click.Choice(["none", "RAS", "LPS"]),
        help="Where axes point in files that do not say: RAS, LPS, or none to take all coordinates as they are.",
    )(command)
