"""What is in a shape file, in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otreg.jobs.reading import Reading
from otreg.shapes import defects, describe


def describe_file(path: Path, *, reading: Reading = Reading()) -> dict[str, Any]:
    """Counts, bounds, frame, weights, sizes and attributes of a shape file, in pure JSON types; see ``describe``.

    warnings: what was odd about the file, and the defects of the shape, one sentence each.
    Raises InputFileError, FormatError or InputError when it cannot be read.
    """
    shape = reading.shape(path)
    description = describe(shape)
    return {
        "schema": "otreg.info/1",
        "path": str(shape.path or path),
        "format": shape.format,
        **description,
        "comments": list(shape.comments),
        "warnings": [*shape.warnings, *defects(description)],
    }
