"""How much memory this process may take, and took at most since some moment."""

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
