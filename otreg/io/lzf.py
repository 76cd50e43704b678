"""LZF decompression, which compressed PCD files need. Source: the format of M. Lehmann's liblzf."""

from __future__ import annotations

from otreg.errors import FormatError


def lzf_decompress(data: bytes, size: int) -> bytes:
    """The ``size`` bytes that ``data`` was compressed from. Raises FormatError if it gives another number."""
    out = bytearray()
    position = 0
    try:
        while position < len(data) and len(out) <= size:
            control = data[position]
            position += 1
            if control < 32:  # a run of control + 1 bytes as they are
                out += data[position : position + control + 1]
                position += control + 1
                continue
            length = control >> 5  # a copy of length + 2 bytes from before
            if length == 7:
                length += data[position]
                position += 1
            start = len(out) - ((control & 31) << 8) - data[position] - 1
            position += 1
            if start < 0:
                raise FormatError("the compressed points refer to bytes before their beginning; the file is damaged")
            length += 2
            piece = bytes(out[start : start + length])
            # The copy may overlap what it writes: then it repeats.
            out += piece if len(piece) == length else (piece * (length // len(piece) + 1))[:length]
    except IndexError as error:
        raise FormatError("the compressed points end too early; the file is cut off") from error
    if len(out) != size:
        raise FormatError(f"the compressed points claim {size} bytes and give {len(out)}; the file is damaged")
    return bytes(out)
