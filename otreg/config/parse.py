"""From the words of a user to checked settings, or to one line that says what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from otreg.errors import ArgumentError

Config = TypeVar("Config", bound=BaseModel)


def load_settings(
    schema: type[Config], values: Mapping[str, Any], *, name: Callable[[str], str] = lambda field: field
) -> Config:
    """The settings of ``schema`` with ``values`` (by field name; texts are parsed), defaults elsewhere.

    ``name`` turns a field's name into what the user wrote (a flag, a key of a file), for the messages.
    Raises ArgumentError: one line with the rule, the value and what to do, about the first value that breaks a rule.
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as failure:
        error = failure.errors(include_url=False)[0]
    raise ArgumentError(_sentence(schema, error, name))


def _sentence(schema: type[BaseModel], error: ErrorDetails, name: Callable[[str], str]) -> str:
    field = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(field, schema.model_fields, n=1)
        known = ", ".join(sorted(schema.model_fields))
        hint = f"did you mean {close[0]!r}?" if close else f"known settings: {known}"
        return f"unknown setting {field!r}; {hint}"
    own = error.get("ctx", {}).get("error")
    if isinstance(own, ArgumentError):  # our validators already say rule, value and remedy
        return f"{name(field)} {own}"
    # pydantic's sentences read "Input should be greater than or equal to 1".
    rule = error["msg"].removeprefix("Input should be ")
    default = schema.model_fields[field].default
    remedy = "omit it" if default is None else f"omit it for {default}"
    return f"{name(field)} must be {rule}; got {error['input']!r}. Choose another or {remedy}"
