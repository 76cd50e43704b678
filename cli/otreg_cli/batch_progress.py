"""What a batch is doing, on stderr: a live table on a terminal, else a line for each job that ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from otreg_cli.batch_output import describe
from otreg_cli.progress import duration, json_line, stderr_console

if TYPE_CHECKING:
    from otreg.batch import Event, Plan
    from otreg_cli.progress_option import ProgressMode

    Show = Callable[[Event], None]

BAR = 20  # characters


@contextmanager
def batch_progress(mode: ProgressMode, plan: Plan) -> Iterator[Show | None]:
    """A callback for every event; None when there is nothing to show.

    auto: a table that changes, if stderr is a terminal that can do so, else as plain. plain: one line for each job that
    begins or ends. json: one object of the kind "otreg.batch-event/1" per event. none: nothing.
    """
    console = stderr_console()
    if mode == "json":
        yield lambda event: json_line(_record(event))
    elif mode == "auto" and console.is_interactive:
        board = Board(len(plan.jobs))
        with Live(board.table(), console=console, transient=True, auto_refresh=False) as live:

            def show(event: Event) -> None:
                if sentence := board.hear(event):
                    live.console.print(Text(sentence))
                live.update(board.table(), refresh=True)

            yield show
    elif mode in ("auto", "plain"):
        board = Board(len(plan.jobs))
        yield lambda event: _print(console, board, event, begun=mode == "plain")
    else:
        yield None


class Board:
    """What is known of a running batch: how many jobs have ended how, and where the others are."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.ended = self.failed = self.worked = 0
        self.running: dict[str, Event] = {}
        self.started = time.monotonic()

    def hear(self, event: Event) -> str | None:
        """Takes note of an event; a sentence about it if a person should read one."""
        name = event.job.name
        if event.kind in ("started", "step"):
            self.running[name] = event
            return None
        self.running.pop(name, None)
        assert event.result is not None
        if event.kind == "again":
            return f"{describe(event.result)}; it will be tried again"
        self.ended += 1
        self.failed += event.result.status == "failed"
        self.worked += event.result.status == "done"
        return None if event.result.status == "done" and event.result.converged else describe(event.result)

    def table(self) -> Group:
        """The running jobs with how far they are, and a line about all."""
        table = Table.grid(padding=(0, 2))
        for name, event in self.running.items():
            stage = "reading" if event.stage is None else f"{event.stage}, blur {event.blur:.2%}"
            bar = ProgressBar(total=1.0, completed=min(1.0, event.fraction or 0.0), width=BAR)
            table.add_row(Text(name, style="cyan"), bar, Text(stage))
        return Group(table, Text(self.line(), no_wrap=True, overflow="ellipsis"))

    def line(self) -> str:
        """How far the batch is."""
        parts = [f"{self.ended} of {self.jobs} jobs", f"{self.failed} failed"]
        left = self.jobs - self.ended
        if self.worked and left:
            # Jobs that were done before take no time, so they say nothing about the others.
            rate = (time.monotonic() - self.started) / self.worked
            parts.append(f"about {duration(rate * left)} left")
        return ", ".join(parts)


def _print(console: Console, board: Board, event: Event, *, begun: bool) -> None:
    sentence = board.hear(event)
    if event.kind == "started" and begun:
        console.print(Text(f"{event.job.name}: started in worker {event.worker}"))
    elif event.kind == "again":
        console.print(Text(sentence or ""))
    elif event.kind == "ended" and event.result is not None:
        console.print(Text(f"[{board.ended}/{board.jobs}] {describe(event.result)}"))


def _record(event: Event) -> dict[str, object]:
    return {
        "schema": "otreg.batch-event/1",
        "kind": event.kind,
        "job": event.job.name,
        "worker": event.worker,
        "process": event.process,
        "stage": event.stage,
        "blur": event.blur,
        "fraction": event.fraction,
        "result": None if event.result is None else asdict(event.result),
    }
