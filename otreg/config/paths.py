"""Relative paths are relative to the file they stand in: a batch or a configuration means the same from any folder."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from otreg.config.kinds import PathOrWord

Settings = TypeVar("Settings", bound=BaseModel)


def beside(schema: type[BaseModel], name: str, value: object, folder: Path) -> object:
    """The value of a setting; if it is a path, taken from the folder."""
    if is_path(schema, name, value):
        return str(folder / str(value).strip())
    return value


def settings_beside(config: Settings, folder: Path) -> Settings:
    """The settings, with what is a path taken from the folder."""
    given = {name: getattr(config, name) for name in config.model_fields_set}
    return config.model_copy(update={name: beside(type(config), name, value, folder) for name, value in given.items()})


def is_path(schema: type[BaseModel], name: str, value: object) -> bool:
    """Whether the value of a setting is a path, and none of its words."""
    marks = [mark for mark in schema.model_fields[name].metadata if isinstance(mark, PathOrWord)]
    return bool(marks) and isinstance(value, str) and bool(value.strip()) and value.strip() not in marks[0].words
