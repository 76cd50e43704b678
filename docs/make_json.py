"""Writes docs/json.md, the fields of all JSON that otreg prints, from the schemas in otreg/records.

python docs/make_json.py
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otreg.records import record_kinds, record_schema

PAGE = Path(__file__).parent / "json.md"

HEAD = """# JSON of otreg

Made from the JSON Schemas in `otreg/records` by `docs/make_json.py`; `otreg schema KIND` prints one of them.

Every object says its kind and version under `schema`. Within a version fields may be added, so read what you know and
leave the rest; a field that goes, or means something else, makes a new version. Numbers that are not finite are null.
"""


def page() -> str:
    """The whole text."""
    return "\n".join([HEAD, *(_section(kind) for kind in record_kinds())])


def _section(kind: str) -> str:
    schema = record_schema(kind)
    lines = [f"## {kind}", "", schema["description"], "", "| field | type | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {kind_of} | {meaning} |" for name, kind_of, meaning in _rows(schema, "", schema["$defs"])]
    return "\n".join([*lines, ""])


def _rows(schema: dict[str, Any], prefix: str, shared: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, type and meaning of each field, those of objects inside as ``outer.inner`` or ``list[].inner``."""
    for name, part in schema.get("properties", {}).items():
        part = _resolved(part, shared)
        optional = "" if name in schema["required"] else " (may be missing)"
        yield prefix + name, _type(part, shared) + optional, part.get("description", "").replace("|", "\\|")
        for inside, mark in _inside(part, shared):
            yield from _rows(inside, f"{prefix}{name}{mark}.", shared)


def _inside(part: dict[str, Any], shared: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects in a field, with what stands behind its name."""
    if "items" in part:
        yield _resolved(part["items"], shared), "[]"
    for choice in part.get("oneOf", [part]):
        if "properties" in choice:
            yield choice, ""


def _resolved(part: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref")
    return part if reference is None else {**shared[reference.removeprefix("#/$defs/")], **part}


def _type(part: dict[str, Any], shared: dict[str, Any]) -> str:
    if "const" in part:
        return f'"{part["const"]}"'
    if "oneOf" in part:
        return " or ".join(_type(choice, shared) for choice in part["oneOf"])
    if "enum" in part:
        return " or ".join(map(str, part["enum"]))
    if "items" in part:
        return f"list of {_type(_resolved(part['items'], shared), shared)}"
    kind = part["type"]
    return kind if isinstance(kind, str) else " or ".join(kind)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
