"""How a job reads its shapes: the same few choices for every file of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from otreg.io import read_shape
from otreg.shapes import Shape


@dataclass(frozen=True)
class Reading:
    """What to assume of the files. format: name of their format, None to look; drop_invalid: leave points that are not
    finite out instead of refusing the file; max_points: files that claim more are refused."""

    format: str | None = None
    drop_invalid: bool = False
    max_points: int = 200_000_000

    def shape(self, path: Path) -> Shape:
        """The shape of a file. Raises InputFileError, FormatError, InputError or ResourceError."""
        return read_shape(path, format=self.format, drop_invalid=self.drop_invalid, max_points=self.max_points)


def warnings_of(*shapes: Shape) -> list[str]:
    """What was odd about the shapes that were read, each sentence with the name of its file."""
    return [f"{shape.path}: {sentence}" for shape in shapes for sentence in shape.warnings]
