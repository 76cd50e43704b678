"""What a registration is doing, on stderr: one live line on a terminal, plain lines where somebody asks for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from otreg.registration import Step


@contextmanager
def progress(*, live: bool, lines: bool) -> Iterator[Callable[[Step], None] | None]:
    """A callback for every step; None when there is nothing to show.

    live: one line that changes, if stderr is a terminal that can do so (rich honours NO_COLOR and TERM=dumb).
    lines: one plain line per step, terminal or not.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    live = live and console.is_interactive
    if not (live or lines):
        yield None
        return
    started = time.monotonic()
    with Live(Text("reading"), console=console, transient=True, auto_refresh=False) if live else _nothing() as line:

        def show(step: Step) -> None:
            text = describe(step, elapsed=time.monotonic() - started)
            if lines:
                console.print(Text(text))
            if line is not None:
                line.update(Text(text, style="cyan", no_wrap=True, overflow="ellipsis"), refresh=True)

        yield show


def describe(step: Step, *, elapsed: float) -> str:
    """One line about a step; lengths are shares of the target's diagonal, ``elapsed`` is in seconds."""
    parts = [
        f"{step.stage} step {step.index}",
        f"blur {step.blur:.2%}",
        f"divergence {step.divergence:.3e}",
        f"marginal error {step.marginal_error:.1e}",
        f"moved {step.move:.3%}",
    ]
    if 0 < step.fraction <= 1:
        parts.append(f"{_duration(elapsed * (1 - step.fraction) / step.fraction)} left")
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


@contextmanager
def _nothing() -> Iterator[None]:
    yield None
