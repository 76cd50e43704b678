"""Ctrl-C, from the first instant to the last: one line and exit code 130, never a traceback.

Before a command begins, and after it has ended, there is nothing to tidy up, so the process ends at once. In between
the signal raises KeyboardInterrupt, so that half written files are removed; whatever libraries make of that exception,
the signal is remembered.
"""

from __future__ import annotations

import os
import signal
import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED = 130
LINE = b"otreg: error: interrupted\n"


def end_at_once(*_: object) -> None:
    """A handler: says the one line and ends the process."""
    os.write(2, LINE)
    os._exit(INTERRUPTED)


def end_at_once_from_now_on() -> None:
    """Until a command begins, Ctrl-C ends the process at once; where the caller ignores it, it stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)


class Interruptible:
    """A context in which Ctrl-C raises KeyboardInterrupt; ``happened`` tells whether it did."""

    happened = False

    def __enter__(self) -> Interruptible:
        self.before = signal.getsignal(signal.SIGINT)
        self.hook = sys.unraisablehook
        self.listens = self.before in (end_at_once, signal.default_int_handler)
        if self.listens:
            try:
                signal.signal(signal.SIGINT, self._interrupt)
            except ValueError:  # not in the main thread, where no signals arrive
                self.listens = False
            else:
                sys.unraisablehook = self._swallowed
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.listens:
            signal.signal(signal.SIGINT, self.before)
            sys.unraisablehook = self.hook

    def _interrupt(self, *_: object) -> None:
        self.happened = True
        raise KeyboardInterrupt

    def _swallowed(self, unraisable: UnraisableHookArgs) -> None:
        """An exception that Python cannot raise, because it came while an object was removed."""
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            end_at_once()
        self.hook(unraisable)
