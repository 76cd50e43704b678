"""The files that are read: regular, local, there, and readable; everything else gets one clear line."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from otreg.errors import InputFileError

URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:/")  # Path turns "//" into "/"; two letters at least, so not "C:/"


def regular_file(path: Path) -> int:
    """The size in bytes of a regular file. Raises InputFileError for everything that is not one, without opening it."""
    if URL.match(str(path)):
        url = re.sub(r":/+", "://", str(path), count=1)
        raise InputFileError(f"{url}: is a URL; download the file first, then give its path")
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise InputFileError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise InputFileError(f"{path}: cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputFileError(f"{path}: is a folder; give a file")
    if not stat.S_ISREG(status.st_mode):
        raise InputFileError(f"{path}: is a pipe or a device, not a regular file; save it to a file first")
    return status.st_size


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """The bytes of a regular file, the first ``limit`` of them if given. Raises InputFileError."""
    regular_file(path)
    try:
        with path.open("rb") as file:
            return file.read() if limit is None else file.read(limit)
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
