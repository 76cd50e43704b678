"""``-`` for a file means standard input or output: spooled through a file, because formats are read out of order."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from otreg.errors import InputFileError, OtregError

DASH = Path("-")
CHUNK = 1 << 20
LARGEST = 1 << 34  # bytes that are taken from a pipe before it is held to be endless


@contextmanager
def input_file(path: Path) -> Iterator[Path]:
    """The path itself, or that of a file with everything that standard input holds; errors call that file ``-``."""
    if path != DASH:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="otreg-") as folder:
        spooled = Path(folder) / "stdin"
        with spooled.open("wb") as file:
            while chunk := sys.stdin.buffer.read(CHUNK):
                file.write(chunk)
                if file.tell() > LARGEST:
                    raise InputFileError(f"-: standard input does not end within {LARGEST} bytes; save it to a file")
        try:
            yield spooled
        except OtregError as error:
            raise type(error)(str(error).replace(str(spooled), "-")) from error


@contextmanager
def output_file(path: Path, to: str | None) -> Iterator[Path]:
    """The path itself, or one whose content goes to standard output when the block ends without an error."""
    if path != DASH:
        yield path
        return
    if to is None:
        raise click.UsageError("standard output has no extension that names a format; give --to NAME.")
    with tempfile.TemporaryDirectory(prefix="otreg-") as folder:
        spooled = Path(folder) / "stdout"
        try:
            yield spooled
        except OtregError as error:
            raise type(error)(str(error).replace(str(spooled), "-")) from error
        with spooled.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer, CHUNK)
        sys.stdout.buffer.flush()
