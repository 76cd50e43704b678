"""From the words of a user to checked settings, or to one line for each value that breaks a rule."""

from __future__ import annotations

import difflib
import reprlib
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from otreg.errors import ArgumentError, SettingsError

Config = TypeVar("Config", bound=BaseModel)

# How pydantic's sentences about Python types are said to people who write YAML.
_KINDS = {
    "bool_type": "true or false",
    "dict_type": "a mapping, lines like 'name: value'",
    "model_type": "a mapping, lines like 'name: value'",
    "path_type": "a path",
    "string_type": "a text (numbers that are names go into quotes)",
    "tuple_type": "a list",
}


@dataclass(frozen=True)
class Problem:
    """A value that breaks a rule of a schema.

    keys: the way to it, () for the settings as a whole; rule: a sentence without subject, "must be ..."; kind:
    "unknown" when the last key is no setting, "missing" when it is one that must be given, else "value".
    """

    keys: tuple[str | int, ...]
    rule: str
    kind: typing.Literal["unknown", "missing", "value"]


def load_settings(
    schema: type[Config], values: Mapping[str, Any], *, name: Callable[[str], str] = lambda field: field
) -> Config:
    """The settings of ``schema`` with ``values`` (by field name; texts are parsed), defaults elsewhere.

    ``name`` turns a field's name into what the user wrote (a flag, a variable), for the messages.
    Raises SettingsError: a line with the rule, the value and what to do for each value that breaks a rule.
    """
    config, problems = checked(schema, values)
    if config is None:
        raise SettingsError(*(said(problem, name) for problem in problems))
    return config


def checked(schema: type[Config], values: Mapping[str, Any]) -> tuple[Config | None, list[Problem]]:
    """The settings, or None and what is wrong with the values, in their order."""
    try:
        return schema.model_validate(dict(values)), []
    except ValidationError as failure:
        problems: dict[tuple[str | int, ...], Problem] = {}
        for error in failure.errors(include_url=False):
            problem = _problem(schema, error)
            problems.setdefault(problem.keys, problem)  # each member of a union says its own sentence
        return None, list(problems.values())


def said(problem: Problem, name: Callable[[str], str]) -> str:
    """The line about a problem of a value that is not in a file."""
    if not problem.keys:
        return problem.rule
    field, *rest = map(str, problem.keys)
    if problem.kind == "unknown":
        return problem.rule.replace("unknown setting", f"unknown setting {problem.keys[-1]!r}", 1)
    return f"{'.'.join([name(field), *rest])} {problem.rule}"


def nearest(word: str, known: Iterable[str]) -> str:
    """What to write instead of an unknown word: the one that is most like it, or all there are."""
    words = sorted(known)
    close = difflib.get_close_matches(word.lower().replace("-", "_"), words, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known settings: {', '.join(words)}"


def _problem(schema: type[BaseModel], error: ErrorDetails) -> Problem:
    keys, holder = _way(schema, error["loc"])
    if error["type"] == "extra_forbidden":
        return Problem(keys, f"unknown setting; {nearest(str(keys[-1]), holder.model_fields)}", "unknown")
    if error["type"] == "missing":
        return Problem(keys, "must be given", "missing")
    own = error.get("ctx", {}).get("error")
    if isinstance(own, ArgumentError):  # our validators already say rule, value and remedy
        return Problem(keys, str(own), "value")
    # pydantic's sentences read "Input should be greater than or equal to 1".
    rule = _KINDS.get(error["type"]) or error["msg"].removeprefix("Input should be ")
    field = holder.model_fields.get(str(keys[-1])) if keys else None
    default = None if field is None or field.is_required() else field.default
    remedy = "Choose another" + ("" if field is not None and field.is_required() else " or omit it")
    remedy += "" if default in (None, ()) else f" for {default}"
    return Problem(keys, f"must be {rule}; got {reprlib.repr(error['input'])}. {remedy}", "value")


def _way(schema: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], type[BaseModel]]:
    """The keys of a file that lead to a place of pydantic's, which also names members of unions; who holds the last."""
    keys: list[str | int] = []
    holder = schema
    inner: type[BaseModel] | None = schema
    for step in loc:
        if isinstance(step, str):
            if inner is None:
                break
            holder = inner
            field = holder.model_fields.get(step)
            inner = None if field is None else _model_in(field.annotation)
        keys.append(step)
    return tuple(keys), holder


def _model_in(annotation: Any) -> Any:
    """The model that a field holds, alone or in a list; None for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
