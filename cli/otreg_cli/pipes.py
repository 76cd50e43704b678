"""``-`` for a file means standard input or output: spooled through a file, because formats are read out of order."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from otreg.errors import InputFileError, OtregError, OutputFileError

DASH = Path("-")
CHUNK = 1 << 20
LARGEST = 1 << 34  # bytes that are taken from a pipe before it is held to be endless


@contextmanager
def input_files(*paths: Path) -> Iterator[tuple[tuple[Path, ...], Path | None]]:
    """The paths, one of which may be ``-`` and becomes a file with what standard input holds; and that file, if any."""
    if paths.count(DASH) > 1:
        raise click.UsageError("standard input (-) can be one of the inputs only; save the others to files.")
    with ExitStack() as stack:
        found = tuple(stack.enter_context(_input_file(path)) for path in paths)
        yield found, next((file for file, path in zip(found, paths, strict=True) if path == DASH), None)


def stem(path: Path) -> str:
    """The name of a file without its extension, for names of results."""
    return "stdin" if path == DASH else path.stem


def as_asked(sentences: Iterable[str], *, used: Path, asked: Path) -> list[str]:
    """The sentences with the name of an output that the user gave, instead of that of the file that was used."""
    return [sentence.replace(str(used), str(asked)) if asked == DASH else sentence for sentence in sentences]


def written_format(path: Path | None, to: str | None, read_format: str | None) -> str | None:
    """The format to write that was asked for, None for that of the extension; a pipe gets out what it put in."""
    return read_format if to is None and path == DASH else to


def refuse_mixed_output(path: Path | None, *, as_json: bool) -> None:
    """Raises a usage error where a shape and a JSON object would both go to standard output."""
    if path == DASH and as_json:
        raise click.UsageError("--json and a shape cannot both go to standard output; give one of them a file.")


@contextmanager
def output_file(path: Path, to: str | None) -> Iterator[Path]:
    """The path itself, or one whose content goes to standard output when the block ends without an error."""
    if path != DASH:
        yield path
        return
    if to is None:
        raise click.UsageError("standard output has no extension that names a format; give --to or --format NAME.")
    if sys.stdout is None:
        raise OutputFileError("-: standard output is closed; give a file, or a pipe that somebody reads")
    with tempfile.TemporaryDirectory(prefix="otreg-") as folder:
        spooled = Path(folder) / "stdout"
        try:
            yield spooled
        except OtregError as error:
            raise type(error)(str(error).replace(str(spooled), "-")) from error
        try:
            with spooled.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer, CHUNK)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # the reader has seen enough
            raise
        except OSError as error:
            raise OutputFileError(f"-: standard output could not be written: {error.strerror}") from error


@contextmanager
def maybe_output_file(path: Path | None, to: str | None) -> Iterator[Path | None]:
    """As ``output_file``, or None where there is no path."""
    if path is None:
        yield None
        return
    with output_file(path, to) as file:
        yield file


@contextmanager
def _input_file(path: Path) -> Iterator[Path]:
    """The path itself, or that of a file with everything that standard input holds; errors call that file ``-``."""
    if path != DASH:
        yield path
        return
    if sys.stdin is None:
        raise InputFileError("-: standard input is closed; give a file, or a pipe that holds one")
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
