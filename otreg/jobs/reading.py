"""How a job reads its shapes: the same few choices for every file of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from otreg.io import check_readable, read_shape
from otreg.shapes import Shape

# What standard input and output are called, as in other tools.
DASH = Path("-")


@dataclass(frozen=True)
class Reading:
    """What to assume of the files. format: name of their format, None to look; drop_invalid: leave points that are not
    finite out instead of refusing the file; max_points: files that claim more are refused; piped: a file that stands
    for standard input, which results call "-"."""

    format: str | None = None
    drop_invalid: bool = False
    max_points: int = 200_000_000
    piped: Path | None = None

    def shape(self, path: Path) -> Shape:
        """The shape of a file. Raises InputFileError, FormatError, InputError or ResourceError."""
        shape = read_shape(path, format=self.format, drop_invalid=self.drop_invalid, max_points=self.max_points)
        return replace(shape, path=DASH) if path == self.piped else shape

    def check(self, *paths: Path) -> None:
        """Raises as ``shape`` does where the first bytes of a file show it; whoever imports much can ask before."""
        for path in paths:
            check_readable(path, format=self.format)


def warnings_of(*shapes: Shape) -> list[str]:
    """What was odd about the shapes that were read, each sentence with the name of its file."""
    return [f"{shape.path}: {sentence}" for shape in shapes for sentence in shape.warnings]
