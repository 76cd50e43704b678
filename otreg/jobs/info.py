"""What is in a shape file, in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otreg.jobs.reading import Reading
from otreg.measures.from_shape import describe


def describe_file(path: Path, *, reading: Reading = Reading()) -> dict[str, Any]:
    """Counts, bounds, areas, defects and attributes of a shape file, and what was odd about it, in pure JSON types.

    Raises InputFileError, FormatError or InputError when it cannot be read.
    """
    shape = reading.shape(path)
    return {"path": str(path), "format": shape.format, **describe(shape), "warnings": list(shape.warnings)}
