"""Settings as YAML that reads back as the same settings, and templates with every setting explained."""

from __future__ import annotations

import io
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import annotated_types
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from otreg.config.batch import BatchConfig
from otreg.config.json_schema import FILE_SCHEMAS, adapter
from otreg.config.paths import is_path
from otreg.config.settings import RegisterConfig

# How None is written where a setting has a word for it.
_WORDS: Final = ("none", "auto")
_WIDTH: Final = 100
# Line ends of YAML 1.1, which the writer leaves as they are and the reader takes for blanks.
_LINE_ENDS: Final = frozenset("\x85\u2028\u2029")
_HEADERS: Final = {
    "batch": "A batch of registrations:  otreg batch FILE",
    "register": "Settings of a registration:  otreg register SOURCE TARGET --config FILE",
    "distance": "Settings of a distance:  otreg distance SOURCE TARGET --config FILE",
    "map": "Settings of a map:  otreg map SOURCE TARGET -o MAP --config FILE",
}
# What is in a template without a "#": a batch without pairs is none.
_NEEDED: Final = ("all", "to")


def settings_yaml(config: BaseModel, *, title: str = "") -> str:
    """Every setting of ``config``, one a line, as YAML that loads as an equal one; paths are made absolute.

    title: what a comment above them says.
    """
    paths = {
        name: str(Path(value).absolute())
        for name in type(config).model_fields
        if is_path(type(config), name, value := getattr(config, name))
    }
    lines = [f"# {line}" for line in textwrap.wrap(title, _WIDTH)]
    lines += [f"{name}: {text}" for name, text in setting_texts(config.model_copy(update=paths)).items()]
    return "\n".join(lines) + "\n"


def setting_texts(config: BaseModel) -> dict[str, str]:
    """Each setting as it is written in a YAML file, by its name."""
    fields = type(config).model_fields
    return {name: _written(value, fields[name]) for name, value in config.model_dump(mode="json").items()}


def template_yaml(kind: str) -> str:
    """A template of a settings file of "register", "distance" or "map", or of a "batch" file.

    Each setting stands there with its meaning, its bounds and its default, behind a "#" that makes it a comment: as
    long as nothing is changed the file means the defaults, and afterwards it says only what was chosen. What has no
    default shows an example.
    """
    schema = FILE_SCHEMAS[kind]
    lines = [f"# {_HEADERS[kind]}", "# Lines that begin with '#name:' show defaults; remove the '#' to change one."]
    if not issubclass(schema, BatchConfig):
        return "\n".join([*lines, *_explained(schema(), "")]) + "\n"
    batch = BatchConfig(all=("*",), to=Path("to"))
    lines += [*_explained(batch, ""), "", *_comment(BatchConfig.model_fields["settings"], ""), "#settings:"]
    return "\n".join([*lines, *_explained(RegisterConfig(), "  ")]) + "\n"


def _explained(defaults: BaseModel, indent: str) -> Iterator[str]:
    """The lines about each setting but those that hold settings."""
    values = defaults.model_dump(mode="json")
    for name, field in type(defaults).model_fields.items():
        if name == "settings":
            continue
        yield ""
        yield from _comment(field, indent)
        value, example = values[name], (field.examples or [None])[0]
        if name in _NEEDED and isinstance(defaults, BatchConfig):
            yield f"{name}: {_written(example, field)}"
        elif example is not None:
            yield f"#{indent}{name}: {_written(example, field)}  # an example; not given by default"
        else:
            yield f"#{indent}{name}: {_written(value, field)}"


def _comment(field: FieldInfo, indent: str) -> list[str]:
    facts = ", ".join(filter(None, [_kind(field), *_bounds(field)]))
    sentences = f"{field.description} [{facts}]" if facts else str(field.description)
    return [f"# {indent}{line}" for line in textwrap.wrap(sentences, _WIDTH - len(indent))]


def _kind(field: FieldInfo) -> str:
    if typing.get_origin(field.annotation) is Literal:
        return "|".join(map(str, typing.get_args(field.annotation)))
    return field.title or ""


def _bounds(field: FieldInfo) -> Iterator[str]:
    for rule in field.metadata:
        if isinstance(rule, annotated_types.Ge):
            yield f"at least {rule.ge}"
        elif isinstance(rule, annotated_types.Gt):
            yield f"above {rule.gt}"
        elif isinstance(rule, annotated_types.Le):
            yield f"at most {rule.le}"
        elif isinstance(rule, annotated_types.Lt):
            yield f"below {'2^63' if rule.lt == 2**63 else rule.lt}"


def _written(value: Any, field: FieldInfo) -> str:
    """A value of a setting in YAML, on one line."""
    # Here, because commands that write no YAML need not wait for this import.
    from ruamel.yaml import YAML

    if value is None:
        value = next((word for word in _WORDS if _means_none(field, word)), None)
    if isinstance(value, str) and _LINE_ENDS.intersection(value):
        return _quoted(value)
    nested = isinstance(value, (list, dict))
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.width = 1 << 30
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False
    yaml.default_flow_style = nested
    text = io.StringIO()
    if nested:
        yaml.dump(value, text)
        return text.getvalue().strip(" \n")
    yaml.dump({"k": value}, text)
    return text.getvalue().removeprefix("k:").strip(" \n")  # other blanks belong to the text


def _quoted(text: str) -> str:
    plain = (character.isascii() and character.isprintable() and character not in '"\\' for character in text)
    return '"' + "".join(c if keep else f"\\U{ord(c):08x}" for c, keep in zip(text, plain, strict=True)) + '"'


def _means_none(field: FieldInfo, word: str) -> bool:
    try:
        return adapter(field).validate_python(word) is None
    except ValidationError:
        return False
