"""Where an answer comes from: which bytes, which versions, which machine. It makes a report worth keeping."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import otreg
from otreg.io import file_hash
from otreg.shapes import Shape

PACKAGES = ("torch", "numpy", "scipy", "numba")


def input_record(path: Path, shape: Shape) -> dict[str, Any]:
    """Which file was read, in pure JSON types: name, hash of its bytes, format, counts, what was odd about it."""
    return {
        "path": str(shape.path or path),
        "sha256": file_hash(path),
        "format": shape.format,
        "dimension": shape.dimension,
        "points": len(shape.points),
        "cells": sum(len(block) for block in shape.cells),
        "warnings": list(shape.warnings),
    }


def absolute_path(path: Path, shape: Shape) -> str | None:
    """Where the file lies, for those who look for it from another folder; None if it came through a pipe."""
    return None if str(shape.path) == "-" else str(path.absolute())


def versions() -> dict[str, str]:
    """Version by name: otreg, Python and the packages that compute."""
    found = {"otreg": otreg.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # installed without metadata: nothing to say
            continue
    return found


def machine() -> str:
    """Operating system and processor in a few words."""
    return platform.platform()
