"""The one door for shapes going out: into the layout that they came in, or into a format that can hold all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from otreg.errors import FormatError, OutputFileError
from otreg.io.atomic import atomic_write, refuse_existing
from otreg.io.formats import BY_EXTENSION, CODECS, Codec, codec_named, extension_of
from otreg.shapes import Shape


def write_shape(shape: Shape, path: Path | str, *, format: str | None = None, overwrite: bool = False) -> None:
    """Writes a shape to a file, whole or not at all.

    In the format that the shape was read from, only positions (and attributes given anew) differ from the source file.
    Raises OutputFileError when the file exists, cannot be written, or when the format cannot hold all of the shape:
    the message names the formats that can. Raises FormatError for an unknown format.
    """
    path = Path(path)
    codec = codec_named(format) if format is not None else BY_EXTENSION.get(extension_of(path))
    if codec is None:
        raise FormatError(f"{path}: extension '{path.suffix}' is unknown; use one of {' '.join(_writable())}")
    refuse_existing(path, overwrite=overwrite)
    native = shape.native is not None and shape.format == codec.name
    if not native:
        _refuse_loss(shape, codec, path)
    if codec.write is None:
        raise OutputFileError(f"{path}: format {codec.name} can only be read; use one of {', '.join(_able(shape))}")
    if not native:
        shape = replace(shape, native=None)
    with atomic_write(path, overwrite=overwrite) as temporary, np.errstate(all="ignore"):
        try:
            codec.write(shape, temporary)
        except OutputFileError as error:  # writers know what is wrong, but only the name of the temporary file
            raise OutputFileError(f"{path}: {error}") from error


def _refuse_loss(shape: Shape, codec: Codec, path: Path) -> None:
    if codec.write is None:
        return
    lost = codec.cannot_hold(shape)
    if lost is not None:
        raise OutputFileError(
            f"{path}: format {codec.name} cannot hold {lost}; formats that can: {', '.join(_able(shape))}"
        )


def _able(shape: Shape) -> list[str]:
    return [codec.name for codec in CODECS if codec.write is not None and codec.cannot_hold(shape) is None]


def _writable() -> list[str]:
    return [extension for codec in CODECS if codec.write is not None for extension in codec.extensions]
