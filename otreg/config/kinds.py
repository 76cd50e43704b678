"""How settings that are more than a word or a number look in a JSON Schema, and which of them are paths.

A schema cannot run our validators; these patterns say as much of them as it can, so that editors underline mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import WithJsonSchema

# A positive number, with % if it is a share: some digit other than 0 stands before the exponent.
_NUMBER = r"\+?(?=[0-9.]*[1-9])([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"
_LENGTH_TEXT = {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*%?\s*$"}
_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_NONE = r"[nN][oO][nN][eE]"
_SIDE = rf"\s*({_NUMBER}\s*%?|{_NONE})\s*"

_AUTO = {"type": "string", "pattern": r"^\s*[aA][uU][tT][oO]\s*$"}

LENGTH_SCHEMA: Final = WithJsonSchema({"anyOf": [_POSITIVE, _LENGTH_TEXT]})
LENGTH_OR_AUTO_SCHEMA: Final = WithJsonSchema({"anyOf": [_POSITIVE, _LENGTH_TEXT, _AUTO]})
SHARE_SCHEMA: Final = WithJsonSchema({"anyOf": [_POSITIVE, {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*%?\s*$"}]})
_FEATURES_TEXT = {"type": "string", "pattern": r"^\s*(none|normals|labels(:.*\S.*)?)\s*$"}
FEATURES_SCHEMA: Final = WithJsonSchema(_FEATURES_TEXT)
FEATURES_OR_AUTO_SCHEMA: Final = WithJsonSchema({"anyOf": [_FEATURES_TEXT, _AUTO]})


def reach_schema(*, pairs: bool) -> WithJsonSchema:
    """A length, none, auto and, with ``pairs``, one of the former two for each side."""
    word = {"type": "string", "pattern": rf"^\s*({_NONE}|[aA][uU][tT][oO])\s*$"}
    forms: list[dict[str, Any]] = [_POSITIVE, _LENGTH_TEXT, word, {"type": "null"}]
    if pairs:
        side = {"anyOf": [_POSITIVE, {"type": "string", "pattern": f"^{_SIDE}$"}, {"type": "null"}]}
        forms += [
            {"type": "string", "pattern": f"^{_SIDE},{_SIDE}$"},
            {"type": "array", "items": side, "minItems": 2, "maxItems": 2},
        ]
    return WithJsonSchema({"anyOf": forms})


def names_schema(names: tuple[str, ...]) -> WithJsonSchema:
    """A comma list of names, or a list of them."""
    one = "|".join(names)
    text = {"type": "string", "pattern": rf"^\s*({one})\s*(,\s*({one})\s*)*$"}
    items = {"type": "array", "items": {"enum": list(names)}, "minItems": 1, "uniqueItems": True}
    return WithJsonSchema({"anyOf": [text, items]})


def counts_schema(words: tuple[str | None, ...], *, least: int) -> WithJsonSchema:
    """One of the words, or a whole number."""
    digits = {"type": "string", "pattern": r"^\s*[0-9]+\s*$"}
    return WithJsonSchema({"anyOf": [{"enum": list(words)}, {"type": "integer", "minimum": least}, digits]})


TEXT_SCHEMA: Final = WithJsonSchema({"type": "string", "pattern": r"\S"})
OPTIONAL_TEXT_SCHEMA: Final = WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"\S"}, {"type": "null"}]})


@dataclass(frozen=True)
class PathOrWord:
    """Marks a setting that is a path unless it is one of the words: relative to the file that it stands in."""

    words: tuple[str, ...]
