"""What this process may use: processor cores and memory, inside the limits of its affinity and its control groups.

A container or a cluster's job often gets a share of a machine, while the operating system still names all of it; who
believes that starts too many threads, or is killed for its memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# Version 1 of control groups writes "no limit" as a number of about this size.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True)
class Cores:
    """Processor cores. present: of the machine; pinned: that this process may run on; quota: how many of them it may
    keep busy, as a control group says, or None without such a limit."""

    present: int
    pinned: int
    quota: float | None

    @property
    def allowed(self) -> int:
        """How many threads can work at once, at least 1."""
        return self.pinned if self.quota is None else max(1, min(self.pinned, math.ceil(self.quota)))


@dataclass(frozen=True)
class Memory:
    """Main memory in bytes; None where the system does not say. total: of the machine; limit: of the control group;
    available: that could be had now without swapping, within the limit."""

    total: int | None
    limit: int | None
    available: int | None


def cores(*, proc: Path = PROC, cgroups: Path = CGROUPS) -> Cores:
    """The cores of the machine and what this process may have of them; proc, cgroups: where the kernel tells it."""
    present = os.cpu_count() or 1
    pinned = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else present
    quotas = [quota for folder in _groups("cpu", proc, cgroups) if (quota := _quota(folder)) is not None]
    return Cores(present, pinned, min(quotas, default=None))


def memory(*, proc: Path = PROC, cgroups: Path = CGROUPS) -> Memory:
    """The memory of the machine and what this process may have of it; proc, cgroups: where the kernel tells it."""
    system = _meminfo(proc / "meminfo")
    total, free = system.get("MemTotal"), system.get("MemAvailable")
    if total is None and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits, left = [], [] if free is None else [free]
    for folder in _groups("memory", proc, cgroups):
        limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
        if limit is None or limit >= _NO_LIMIT:
            continue
        limits.append(limit)
        used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
        if used is not None:
            left.append(max(0, limit - max(0, used - _reclaimable(folder))))
    return Memory(total, min(limits, default=None), min(left, default=None))


def _groups(controller: str, proc: Path, cgroups: Path) -> Iterator[Path]:
    """The folders of this process' control groups, from its own up to the root: each may set a limit."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root = cgroups  # version 2
        elif controller in controllers.split(","):
            root = cgroups / controller
        else:
            continue
        folder = root / path.lstrip("/")
        yield folder
        while folder != root:
            folder = folder.parent
            yield folder


def _quota(folder: Path) -> float | None:
    """Cores that a control group may keep busy."""
    try:
        allowed, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        allowed, period = (str(_number(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    if not allowed.isdigit() or not period.isdigit():  # "max", -1 or nothing
        return None
    return int(allowed) / int(period)


def _number(*files: Path) -> int | None:
    """What the first of the files that exists says, if that is a number."""
    for file in files:
        try:
            return int(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return None


def _reclaimable(folder: Path) -> int:
    """Bytes of cached files, which the kernel counts as used and gives back when asked."""
    try:
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    found = dict(line.split()[:2] for line in lines if line.count(" ") == 1)
    return int(found.get("total_inactive_file", found.get("inactive_file", 0)))


def _meminfo(file: Path) -> dict[str, int]:
    """Bytes by name."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if line.endswith("kB"))
    return {name: int(amount.split()[0]) * 1024 for name, amount in pairs}
