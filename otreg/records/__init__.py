"""The JSON that otreg prints: every object says its kind and version under "schema", and each kind has a JSON Schema.

A kind called "otreg.map/1" is the file ``map.1.json`` of this folder, in the dialect of 2020-12, with a description
and the unit of every field. A new file is a new kind. Fields may be added within a version; one that goes, or means
something else, makes a new version.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from otreg.errors import ArgumentError

__all__ = ["record_kinds", "record_schema"]

_SUFFIX, _COMMON, _LOCAL = ".json", "common.json", "#/$defs/"


@cache
def record_kinds() -> tuple[str, ...]:
    """The names of all kinds, as they stand under "schema", in alphabetical order."""
    names = (file.name for file in files(__name__).iterdir())
    stems = (name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX) and name != _COMMON)
    return tuple(sorted(f"otreg.{stem.replace('.', '/')}" for stem in stems))


def record_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of the objects of a kind, complete in itself. Raises ArgumentError for an unknown kind."""
    if kind not in record_kinds():
        raise ArgumentError(f"a kind of JSON object must be one of {', '.join(record_kinds())}; got '{kind}'")
    schema = _load(kind.removeprefix("otreg.").replace("/", ".") + _SUFFIX)
    common = _load(_COMMON)["$defs"]
    shared: dict[str, Any] = {}
    missing = _references(schema)
    while missing:
        shared |= {name: common[name] for name in missing}
        missing = _references(shared) - shared.keys()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "$defs": {name: shared[name] for name in sorted(shared)},
    }


def _load(name: str) -> Any:
    return json.loads(files(__name__).joinpath(name).read_text(encoding="utf-8"))


def _references(schema: Any) -> set[str]:
    """The names of the shared definitions that a schema refers to."""
    if isinstance(schema, list):
        return {name for item in schema for name in _references(item)}
    if not isinstance(schema, dict):
        return set()
    found = _references(list(schema.values()))
    reference = schema.get("$ref")
    return found | {reference.removeprefix(_LOCAL)} if isinstance(reference, str) else found
