"""How much memory this process may take, took at most since some moment, and whether an error is for want of it."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

STATUS = Path("/proc/self/status")
FORGET = Path("/proc/self/clear_refs")


def limit_memory(limit: int) -> None:
    """From now on this process gets no more than ``limit`` bytes of memory of its own; what asks for more fails.

    Counted is what is allocated, not the files and libraries that are mapped, nor memory of a GPU. Nothing happens
    on systems without such limits.
    """
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def forget_peak_memory() -> None:
    """Lets :func:`peak_memory` begin anew, where the system can do that (Linux)."""
    with suppress(OSError):
        FORGET.write_text("5")


def peak_memory() -> int | None:
    """Most bytes of memory that this process had since :func:`forget_peak_memory`, or since it began."""
    with suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    with suppress(ImportError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return None


def is_out_of_memory(failure: BaseException) -> bool:
    """Whether an exception says that memory is short, in Python's words or in those of torch."""
    if isinstance(failure, MemoryError):
        return True
    text = str(failure)  # torch raises RuntimeErrors: a subclass of its own on a GPU, this sentence on a CPU
    return isinstance(failure, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
