"""How many points a file holds, from its first bytes: what a plan can know of 10,000 files without reading them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from otreg.errors import FormatError
from otreg.io.formats import codec_named
from otreg.io.ply_header import parse_header
from otreg.io.sniff import format_of, head_of
from otreg.io.source import read_bytes, regular_file
from otreg.jobs import Reading

HEADER = 1 << 16  # bytes; headers with long comments that do not fit are not looked at
# A binary mesh has about 36 bytes for a point and its two triangles, a text one 60.
BYTES_PER_POINT = 40


@dataclass(frozen=True)
class Size:
    """bytes: of the file; points: that its header claims, None when the header does not say."""

    bytes: int
    points: int | None

    @property
    def about(self) -> int:
        """The points that it may have."""
        return self.bytes // BYTES_PER_POINT if self.points is None else self.points


def size_of(path: Path, reading: Reading) -> Size:
    """The size of a shape file. Raises InputFileError or FormatError when it cannot be one, as its first bytes show."""
    size = regular_file(path)
    if reading.format is None:
        codec, _ = format_of(path)
    else:
        codec = codec_named(reading.format)
        head_of(path, codec)
    try:
        return Size(size, _points(codec.name, read_bytes(path, HEADER)))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None


def _points(name: str, head: bytes) -> int | None:
    if name == "ply" and b"end_header" in head:
        vertices = (e.count for e in parse_header(head).elements if e.name.lower() in ("vertex", "vertices"))
        return next(vertices, None)
    if name == "pcd":
        found = re.search(rb"^POINTS[ \t]+(\d{1,18})\s*$", head, re.MULTILINE)
        return int(found[1]) if found else None
    if name == "npy":
        found = re.search(rb"'shape':\s*\((\d{1,18}),", head)
        return int(found[1]) if found else None
    if name == "stl" and not head.startswith(b"solid"):
        return 3 * int(np.frombuffer(head, "<u4", 1, offset=80)[0])  # every triangle has corners of its own
    return None
