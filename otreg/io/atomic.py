"""Files appear whole or not at all: write beside the target, flush to disk, then rename.

Nothing that otreg writes is ever seen half written, and nothing that exists is replaced unless that was asked for.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from otreg.errors import OtregError, OutputFileError


@contextmanager
def atomic_write(path: Path | str, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path in the folder of ``path``, which becomes ``path`` when the block ends without an error.

    Missing parent folders are created. The temporary file has the suffix of ``path`` and is removed on any exception.
    Raises OutputFileError when ``path`` exists and ``overwrite`` is false, or when the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(6)}{path.suffix}")
    try:
        refuse_existing(path, overwrite=overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Created here, and not by tempfile, so that the permissions follow the user's umask.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        _flush(temporary)
        _publish(temporary, path, overwrite=overwrite)
        _flush(path.parent)
    except OtregError:
        raise
    except OSError as error:
        raise OutputFileError(f"{path}: could not be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Nothing, if ``path`` may be written; OutputFileError if it is no file, or exists and may not be replaced."""
    if path.is_dir():
        raise OutputFileError(f"{path}: is a folder; give a file name")
    if path.exists() and not path.is_file():  # renaming would replace /dev/null itself by a file
        raise OutputFileError(f"{path}: is a pipe or a device, not a file; give another name, or - for standard output")
    if not overwrite and os.path.lexists(path):
        raise OutputFileError(f"{path}: exists already; pass --overwrite to replace it")


def _publish(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(temporary, path)  # unlike rename, a link never replaces what another job wrote meanwhile
            return
        except FileExistsError:
            refuse_existing(path, overwrite=False)
        except OSError:  # a file system without hard links
            refuse_existing(path, overwrite=False)
    os.replace(temporary, path)


def _flush(path: Path) -> None:
    """What was written to a file, or to a folder's list of names, is on disk afterwards where the system can do it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
