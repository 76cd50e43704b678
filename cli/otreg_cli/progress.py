"""What a registration is doing, on stderr: one live line on a terminal, or a line per step for those who ask."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from otreg.registration import Step
    from otreg_cli.progress_option import ProgressMode

    Show = Callable[[Step], None]

COMPILING = "compiling loops for this machine; that is done once"


@dataclass(frozen=True)
class Shown:
    """What shows how far a command is. step: called for every step, None when there is nothing to show; compiling:
    called when loops must be compiled, which takes many times longer than a step."""

    step: Show | None = None
    compiling: Callable[[], None] = lambda: None


def stderr_console() -> Console:
    """Where progress is shown; rich honours NO_COLOR and TERM=dumb."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def json_line(record: Mapping[str, Any]) -> None:
    """One JSON object on one line of stderr."""
    click.echo(json.dumps(record, allow_nan=False), err=True)


@contextmanager
def progress(mode: ProgressMode) -> Iterator[Shown]:
    """What to call for every step, and when loops are compiled.

    auto: one line that changes, if stderr is a terminal that can do so. plain: one line per step, terminal or not.
    json: one object of the kind "otreg.step/1" per step. none: nothing.
    """
    started = time.monotonic()
    console = stderr_console()

    def described(step: Step) -> str:
        return describe(step, elapsed=time.monotonic() - started)

    if mode == "plain":
        yield Shown(lambda step: console.print(Text(described(step))), once(lambda: console.print(COMPILING)))
    elif mode == "json":
        from otreg.jobs.plain import plain

        yield Shown(lambda step: json_line({"schema": "otreg.step/1", **plain(step)}))
    elif mode == "auto" and console.is_interactive:
        with Live(Text("reading"), console=console, transient=True, auto_refresh=False) as line:

            def show(text: str) -> None:
                line.update(Text(text, style="cyan", no_wrap=True, overflow="ellipsis"), refresh=True)

            yield Shown(lambda step: show(described(step)), lambda: show(COMPILING))
    else:
        yield Shown()


def once(call: Callable[[], None]) -> Callable[[], None]:
    """A call that does something the first time only."""
    calls = iter([call])
    return lambda: next(calls, lambda: None)()


@contextmanager
def compiling_told(tell: Callable[[], None]) -> Iterator[None]:
    """Calls ``tell`` whenever numba begins to compile a loop because its cache holds none for this machine."""
    from numba.core import event  # it comes with PyTorch, so late

    class Compilation(event.Listener):
        def on_start(self, event: object) -> None:
            tell()

        def on_end(self, event: object) -> None:
            pass

    with event.install_listener("numba:compile", Compilation()):
        yield


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
        parts.append(f"{duration(elapsed * (1 - step.fraction) / step.fraction)} left")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as short as a person would say it."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
