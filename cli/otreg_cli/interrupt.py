"""Ctrl-C and SIGTERM, from the first instant to the last: one line and exit code 130 or 143, never a traceback.

Before a command begins, and after it has ended, there is nothing to tidy up, so the process ends at once. In between
both signals raise KeyboardInterrupt, so that half written files are removed; whatever libraries make of that exception,
the signal is remembered. SIGTERM is what kill, systemd, and schedulers of clusters send first.
"""

from __future__ import annotations

import os
import signal
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# What each signal is called, and what it does in Python where nobody has changed that.
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
UNTOUCHED = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


def word(number: signal.Signals) -> str:
    """What a signal did to the command."""
    return WORDS[number]


def exit_code(number: signal.Signals) -> int:
    """What shells expect of a command that a signal ended."""
    return 128 + number


def end_at_once(number: int, *_: object) -> None:
    """A handler: says the one line and ends the process."""
    came = signal.Signals(number)
    os.write(2, f"otreg: error: {word(came)}\n".encode())
    os._exit(exit_code(came))


def end_at_once_from_now_on() -> None:
    """Until a command begins, both signals end the process at once; what the caller ignores stays ignored."""
    for number, untouched in UNTOUCHED.items():
        if signal.getsignal(number) is untouched:
            signal.signal(number, end_at_once)


class Interruptible:
    """A context in which Ctrl-C and SIGTERM raise KeyboardInterrupt; ``caught`` is the one that came, if any."""

    caught: signal.Signals | None = None

    def __enter__(self) -> Interruptible:
        self.before: dict[signal.Signals, Any] = {}
        self.hook = sys.unraisablehook
        for number, untouched in UNTOUCHED.items():
            before = signal.getsignal(number)
            if before in (end_at_once, untouched):
                try:
                    signal.signal(number, self._interrupt)
                except ValueError:  # not in the main thread, where no signals arrive
                    break
                self.before[number] = before
        if self.before:
            sys.unraisablehook = self._swallowed
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, before in self.before.items():
            signal.signal(number, before)
        if self.before:
            sys.unraisablehook = self.hook

    def _interrupt(self, number: int, *_: object) -> None:
        self.caught = signal.Signals(number)
        raise KeyboardInterrupt

    def _swallowed(self, unraisable: UnraisableHookArgs) -> None:
        """An exception that Python cannot raise, because it came while an object was removed."""
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            end_at_once(self.caught or signal.SIGINT)
        self.hook(unraisable)
