"""PLY files of every kind, written by hand: an independent encoder for the codec under test."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

CODES = {"char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d"}
ALIASES = {"char": "int8", "uchar": "uint8", "short": "int16", "ushort": "uint16", "int": "int32", "uint": "uint32"}
ALIASES.update({"float": "float32", "double": "float64"})
ENCODINGS = ("ascii", "binary_little_endian", "binary_big_endian")


@dataclass(frozen=True)
class PlyFile:
    """A PLY file with the values that it was made from, by element and property."""

    data: bytes
    encoding: str
    values: dict[str, dict[str, list[Any]]]


def _numbers(kind: str) -> st.SearchStrategy[Any]:
    code = CODES[kind]
    if code in "fd":
        return st.floats(-(2.0**99), 2.0**99, width=32 if code == "f" else 64)
    bits = 8 * struct.calcsize(code)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if code.islower() else (0, 2**bits - 1)
    return st.integers(low, high)


NAMES = st.text("abcdefghijklmnopqrstuvw_", min_size=1, max_size=6)


@st.composite
def ply_files(draw: st.DrawFn, encoding: str) -> PlyFile:
    """Vertices with odd types and extra columns, faces, and unknown elements with lists, in any order."""
    n = draw(st.integers(2, 5))
    axis_type = draw(st.sampled_from(["float", "double"]))
    extra = draw(st.lists(st.tuples(NAMES, st.sampled_from(list(CODES))), max_size=3, unique_by=lambda p: p[0]))
    vertex = [(axis, axis_type, None) for axis in draw(st.permutations("xyz"))]
    vertex += [("q_" + name, kind, None) for name, kind in extra]
    columns: dict[str, dict[str, list[Any]]] = {}
    elements: list[tuple[str, int, list[tuple[str, str, str | None]]]] = [("vertex", n, vertex)]
    columns["vertex"] = {name: draw(st.lists(_numbers(kind), min_size=n, max_size=n)) for name, kind, _ in vertex}
    m = draw(st.integers(0, 4))
    count_type, index_type = draw(st.sampled_from(["uchar", "int", "ushort"])), draw(st.sampled_from(["int", "uint"]))
    sizes = draw(st.lists(st.integers(0, 5), min_size=m, max_size=m))
    columns["face"] = {
        "flag": draw(st.lists(_numbers("uchar"), min_size=m, max_size=m)),
        "vertex_indices": [draw(st.lists(st.integers(0, n - 1), min_size=k, max_size=k)) for k in sizes],
        "quality": draw(st.lists(_numbers("float"), min_size=m, max_size=m)),
    }
    elements.append(
        ("face", m, [("flag", "uchar", None), ("vertex_indices", index_type, count_type), ("quality", "float", None)])
    )
    k = draw(st.integers(0, 3))
    columns["odd"] = {
        "a": [draw(st.lists(_numbers("short"), max_size=3)) for _ in range(k)],
        "b": draw(st.lists(_numbers("double"), min_size=k, max_size=k)),
        "c": [draw(st.lists(_numbers("double"), max_size=3)) for _ in range(k)],
    }
    elements.append(("odd", k, [("a", "short", "uchar"), ("b", "double", None), ("c", "double", "uint")]))
    elements = draw(st.permutations(elements))
    alias = draw(st.booleans())
    comments = draw(
        st.lists(st.sampled_from(["comment made by hand", "obj_info scan 7", "comment caf\xe9  two  blanks "]))
    )
    header = ["ply", f"format {encoding} 1.0", *comments]
    for name, count, properties in elements:
        header.append(f"element {name} {count}")
        for prop, kind, size in properties:
            words = ([f"list {ALIASES[size] if alias else size}"] if size else []) + [ALIASES[kind] if alias else kind]
            header.append(f"property {' '.join(words)} {prop}")
    head = ("\n".join([*header, "end_header"]) + "\n").encode("latin-1")
    body = b"".join(
        _record(encoding, properties, {p: columns[name][p][i] for p, _, _ in properties})
        for name, count, properties in elements
        for i in range(count)
    )
    return PlyFile(head + body, encoding, columns)


def _record(encoding: str, properties: list[tuple[str, str, str | None]], row: dict[str, Any]) -> bytes:
    words: list[str] = []
    raw = b""
    order = ">" if "big" in encoding else "<"
    for name, kind, size in properties:
        value = row[name]
        items = value if size else [value]
        if size:
            words.append(str(len(value)))
            raw += struct.pack(order + CODES[size], len(value))
        words += [repr(item) for item in items]
        raw += struct.pack(f"{order}{len(items)}{CODES[kind]}", *items)
    return (" ".join(words) + "\n").encode() if encoding == "ascii" else raw
