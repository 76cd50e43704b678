"""The one door for shapes coming in: find the format, read, check, and say in one line what is wrong with a file."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from otreg.errors import FormatError, InputError, InputFileError, OtregError, ResourceError
from otreg.io.checks import checked
from otreg.io.formats import Codec, codec_named
from otreg.io.sniff import format_of, head_of
from otreg.shapes import Shape

# What a parser stumbles over when a file's bytes are not what its format promises.
BROKEN = (ValueError, IndexError, KeyError, OverflowError, TypeError, EOFError, struct.error, RecursionError)


def read_shape(
    path: Path | str, *, format: str | None = None, drop_invalid: bool = False, max_points: int = 200_000_000
) -> Shape:
    """The shape that a file holds: float64 points in file units and file order, cells, attributes.

    format: name or extension to read it as; by default its content decides, then its extension.
    drop_invalid: leave points that are not finite out, with the cells that use them, instead of refusing the file.
    Raises InputFileError (missing, folder, pipe, URL), FormatError (not valid in its format), InputError (no points,
    points that are not finite, indices out of range), ResourceError, MissingDependencyError.
    """
    path = Path(path)
    codec, warnings = _codec_for(path, format)
    assert codec.read is not None
    try:
        with np.errstate(all="ignore"):  # numbers that overflow are found by the checks
            shape = checked(codec.read(path), drop_invalid=drop_invalid, max_points=max_points)
    except InputError as error:
        raise type(error)(_in_file(path, error)) from error
    except OtregError:
        raise
    except MemoryError as error:
        raise ResourceError(f"{path}: does not fit into memory") from error
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except BROKEN as error:
        raise FormatError(f"{path}: is not a valid {codec.name} file: {one_line(error)}") from error
    return replace(shape, format=codec.name, path=path, warnings=(*warnings, *shape.warnings))


def check_readable(path: Path | str, *, format: str | None = None) -> None:
    """Raises as ``read_shape`` does where a file is missing, or its first bytes show that it cannot be read."""
    _codec_for(Path(path), format)


def one_line(error: BaseException | str) -> str:
    """An error's message as one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def _codec_for(path: Path, format: str | None) -> tuple[Codec, tuple[str, ...]]:
    """What reads a file, and what is odd about its name."""
    warnings: tuple[str, ...] = ()
    if format is None:
        codec, warnings = format_of(path)
    else:
        codec = codec_named(format)
        head_of(path, codec)
    if codec.read is None:
        raise FormatError(f"{path}: format {codec.name} can be written, but not read")
    return codec, warnings


def _in_file(path: Path, error: InputError) -> str:
    message = one_line(error)
    return message if message.startswith(str(path)) else f"{path}: {message}"
