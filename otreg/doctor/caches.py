"""The folders where compiled code is kept from one start to the next, and whether they can be written."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cache:
    """A folder of compiled code. owner: the package that fills it; path: None where it finds no folder at all;
    writable: whether it can be filled; variable: of the environment, that names another folder."""

    owner: str
    path: Path | None
    writable: bool
    variable: str


def keops_cache() -> Cache:
    """Where KeOps keeps its kernels."""
    return _cache("keops", "KEOPS_CACHE_FOLDER", Path.home() / ".cache")


def triton_cache() -> Cache:
    """Where Triton keeps its kernels."""
    return _cache("triton", "TRITON_CACHE_DIR", Path.home() / ".triton" / "cache")


def numba_cache(found: str | None) -> Cache:
    """Where numba keeps its kernels; found: the folder that it chose, None if it found none that it can write to."""
    return Cache("numba", None if found is None else Path(found), found is not None, "NUMBA_CACHE_DIR")


def can_be_written(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        # A file says more than the permissions: the file system may be full, or mounted for reading only.
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _cache(owner: str, variable: str, usual: Path) -> Cache:
    folder = Path(os.environ.get(variable) or usual)
    return Cache(owner, folder, can_be_written(folder), variable)
