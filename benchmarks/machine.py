"""What machine and what versions a benchmark ran on: every result file says so."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version


def describe_machine() -> dict[str, object]:
    """CPU model, usable cores, Python and package versions, commit."""
    model = platform.processor()
    try:
        with open("/proc/cpuinfo") as lines:
            model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    versions = {}
    for name in ("otreg", "torch", "numba", "numpy", "scipy", "geomloss", "pykeops", "triton", "flash-sinkhorn"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    try:
        command = ["git", "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # a copy of the working tree, on a machine without git
        commit = ""
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": "cpu",
        "python": platform.python_version(),
        "versions": versions,
        "commit": commit or "unknown",
    }
