"""The text of a file that users write by hand: regular, of a sane size, UTF-8."""

from __future__ import annotations

import stat
from pathlib import Path

from otreg.errors import InputFileError, SettingsError


def printable(name: str) -> str:
    """A name out of a file, on one line, and without what would move the cursor of a terminal."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()


def read_text(path: Path, *, largest: int) -> str:
    """The text of a file, without a byte order mark.

    Raises InputFileError when it is missing, no regular file or larger than ``largest`` bytes, SettingsError with the
    line when it is not UTF-8.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputFileError(f"{path}: is a folder; give a file")
        if not stat.S_ISREG(status.st_mode):
            raise InputFileError(f"{path}: is a pipe or a device, not a regular file; save it to a file first")
        if status.st_size > largest:
            raise InputFileError(
                f"{path}: must be at most {largest} bytes; got {status.st_size}. Is it the right file?"
            )
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputFileError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        if isinstance(error, InputFileError):
            raise
        raise InputFileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}:{line}: must be UTF-8 text; byte {error.start + 1} of the file is not") from error
