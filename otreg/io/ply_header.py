"""The header of a PLY file: encoding, elements, properties, comments, and where the body starts.

Every line is kept as it was, so that a file can be written back with its own header. Source: G. Turk, "The PLY Polygon
File Format", 1994, and the names (``uint8``, ``float32``, ...) that later programs added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from otreg.errors import FormatError

Encoding = Literal["ascii", "binary_little_endian", "binary_big_endian"]
ENCODINGS: dict[str, str] = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
MAX_LINE = 1 << 20  # bytes; no honest header line comes near

TYPES: dict[str, str] = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2"},
    **{"int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"},
}
NAMES: dict[str, str] = {code: name for name, code in reversed(TYPES.items()) if not name[-1].isdigit()}


@dataclass(frozen=True)
class Property:
    """One column of an element: a number of dtype code ``type``, or a list of them when ``count_type`` is given."""

    name: str
    type: str
    count_type: str | None = None
    line: int = -1  # index into Header.lines

    @property
    def is_list(self) -> bool:
        return self.count_type is not None

    @property
    def smallest_size(self) -> int:
        """Bytes that one record spends on this property at least."""
        return np.dtype(self.count_type or self.type).itemsize


@dataclass(frozen=True)
class Element:
    """``count`` records of the same properties."""

    name: str
    count: int
    properties: tuple[Property, ...] = ()

    @property
    def scalars(self) -> tuple[Property, ...]:
        return tuple(p for p in self.properties if not p.is_list)

    @property
    def lists(self) -> tuple[Property, ...]:
        return tuple(p for p in self.properties if p.is_list)

    def find(self, *names: str) -> Property | None:
        """The property called by one of the names, in any case."""
        return next((p for p in self.properties if p.name.lower() in names), None)


@dataclass(frozen=True)
class Header:
    """A parsed header with its original lines, and the line end that separates them."""

    encoding: Encoding
    elements: tuple[Element, ...]
    comments: tuple[str, ...]
    lines: tuple[bytes, ...]
    newline: bytes
    size: int  # bytes, up to and with the line end of end_header
    lines_end_the_file: bool = False  # not even a line end follows end_header

    @property
    def byte_order(self) -> str:
        return ENCODINGS[self.encoding]

    def to_bytes(self) -> bytes:
        end = b"" if self.lines_end_the_file else self.newline
        return self.newline.join(self.lines) + end


def parse_header(data: bytes) -> Header:
    """The header at the start of ``data``. Raises FormatError that names the line which breaks a rule."""
    lines, newline, size = _split(data)
    bare = size == len(data) and not data.endswith(newline)
    encoding: Encoding | None = None
    elements: list[Element] = []
    comments: list[str] = []
    for number, line in enumerate(lines[1:], start=2):
        words = line.decode("latin-1").split()
        match words:
            case [] | ["end_header", *_]:
                pass
            case ["format", name, *_]:
                if name not in ENCODINGS:
                    raise FormatError(f"line {number}: format must be one of {', '.join(ENCODINGS)}; found '{name}'")
                encoding = name  # type: ignore[assignment]
            case ["comment" | "obj_info", *_]:
                comments.append(_text(line.strip().split(None, 1)[1:]))
            case ["element", name, count]:
                if any(element.name == name for element in elements):
                    raise FormatError(f"line {number}: element '{name}' appears twice")
                elements.append(Element(name, _count(count, number)))
            case ["property", *rest]:
                if not elements:
                    raise FormatError(f"line {number}: a property must follow an element")
                owner, column = elements[-1], _property(rest, number)
                if any(p.name == column.name for p in owner.properties):
                    raise FormatError(f"line {number}: property '{column.name}' of '{owner.name}' appears twice")
                elements[-1] = replace(owner, properties=(*owner.properties, column))
            case _:
                raise FormatError(f"line {number}: not a PLY header line: '{_short(line)}'")
    if encoding is None:
        raise FormatError("the header has no 'format' line")
    return Header(encoding, tuple(elements), tuple(comments), tuple(lines), newline, size, bare)


def _split(data: bytes) -> tuple[list[bytes], bytes, int]:
    """The header's lines, their line end, and the header's size in bytes."""
    if data.startswith(b"\xef\xbb\xbf"):
        raise FormatError("a PLY file must start with 'ply'; found a UTF-8 byte order mark. Save it without one")
    first, _, rest = data[:16].partition(b"\r")
    # Old Macintosh programs ended lines with \r alone. A \r in front of \n stays at the end of its line, as it was.
    newline = b"\r" if first.strip() == b"ply" and not rest.startswith(b"\n") else b"\n"
    lines: list[bytes] = []
    position = 0
    while True:
        stop = data.find(newline, position, position + MAX_LINE)
        if stop < 0:
            if data[position : position + 16].strip() == b"end_header":  # nothing follows, not even a line end
                return [*lines, data[position:]], newline, len(data)
            if position + MAX_LINE < len(data):
                raise FormatError(f"line {len(lines) + 1}: a header line must be shorter than {MAX_LINE} bytes")
            raise FormatError("the header has no 'end_header' line; the file is cut off or is not PLY")
        lines.append(data[position:stop])
        position = stop + len(newline)
        if len(lines) == 1 and lines[0].strip() != b"ply":
            raise FormatError("a PLY file must start with a line 'ply'")
        if lines[-1].strip() == b"end_header":
            return lines, newline, position


def _property(words: list[str], number: int) -> Property:
    match words:
        case ["list", count_type, item_type, name]:
            for kind in (count_type, item_type):
                _known_type(kind, number)
            if TYPES[count_type][0] == "f":
                raise FormatError(f"line {number}: the count of a list must be an integer type; found '{count_type}'")
            return Property(name, TYPES[item_type], TYPES[count_type], number - 1)
        case [kind, name]:
            _known_type(kind, number)
            return Property(name, TYPES[kind], None, number - 1)
        case _:
            raise FormatError(f"line {number}: a property is 'property TYPE NAME' or 'property list TYPE TYPE NAME'")


def _known_type(name: str, number: int) -> None:
    if name not in TYPES:
        raise FormatError(f"line {number}: property type '{name}' is unknown; PLY has {', '.join(TYPES)}")


def _count(text: str, number: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise FormatError(f"line {number}: an element's count must be a number >= 0; found '{text[:40]}'")
    return int(text)


def _text(parts: list[bytes]) -> str:
    raw = parts[0] if parts else b""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _short(line: bytes) -> str:
    return ascii(line[:40].decode("latin-1"))[1:-1]
