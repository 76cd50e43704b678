"""Where settings come from: the layers default < environment < file < flag, and which of them each value came from.

Each layer is checked by itself, so that a wrong value is an error wherever it stands, also where another one wins; all
errors of all layers are said at once. Rules between settings are checked on the outcome alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel

from otreg.config.parse import checked, nearest, said
from otreg.config.settings import DistanceConfig, MapConfig, RegisterConfig
from otreg.errors import SettingsError

Config = TypeVar("Config", bound=BaseModel)

PREFIX: Final = "OTREG_"

# The commands that have settings.
COMMAND_SCHEMAS: Final[Mapping[str, type[BaseModel]]] = {
    "register": RegisterConfig,
    "distance": DistanceConfig,
    "map": MapConfig,
}


@dataclass(frozen=True)
class Origin:
    """Where a value came from. place: the variable, ``file:line:column`` or the flag; "" for a default."""

    kind: Literal["default", "environment", "file", "flag"]
    place: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.place}".rstrip()


@dataclass(frozen=True)
class Layer:
    """The settings of one source, as they were written there, with their origins; what is wrong or odd, a line each."""

    values: Mapping[str, Any]
    origins: Mapping[str, Origin]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resolved(Generic[Config]):
    """Checked settings. origins: of every one of them by its name; warnings: sentences."""

    config: Config
    origins: Mapping[str, Origin] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def resolve(schema: type[Config], *layers: Layer) -> Resolved[Config]:
    """The settings of ``schema`` with those of the layers, the later ones on top.

    Raises SettingsError with a line for each thing that is wrong.
    """
    values: dict[str, Any] = {}
    origins = {name: Origin("default") for name in schema.model_fields}
    for layer in layers:
        values.update(layer.values)
        origins.update(layer.origins)
    wrong = [line for layer in layers for line in layer.problems]
    config, problems = checked(schema, values)
    if wrong or config is None:
        # A rule between settings has no place of its own.
        raise SettingsError(*(wrong or [said(problem, str) for problem in problems]))
    return Resolved(config, origins, tuple(line for layer in layers for line in layer.warnings))


def flag_layer(schema: type[BaseModel], values: Mapping[str, Any], *, flag: Callable[[str], str]) -> Layer:
    """The settings of the command line; ``flag`` says how one is written."""
    _, problems = checked(schema, values)
    return Layer(
        values=values,
        origins={name: Origin("flag", flag(name)) for name in values},
        problems=tuple(said(problem, flag) for problem in problems if problem.keys),
    )


def variable(setting: str) -> str:
    """The name of a setting's variable: ``OTREG_BLUR`` stands for ``--blur``."""
    return PREFIX + setting.upper()


def environment_layer(schema: type[BaseModel], environment: Mapping[str, str]) -> Layer:
    """What the variables say about the settings of ``schema``.

    Empty ones are not given, those of other commands are ignored. One that names no setting of any command is only a
    warning: what some profile exports should not stop a cluster.
    """
    given = {name: text for name, text in environment.items() if name.startswith(PREFIX) and text.strip()}
    values = {name: given[variable(name)] for name in schema.model_fields if variable(name) in given}
    _, problems = checked(schema, values)
    known = {name for one in COMMAND_SCHEMAS.values() for name in one.model_fields}
    unknown = sorted(given.keys() - {variable(name) for name in known})
    return Layer(
        values=values,
        origins={name: Origin("environment", variable(name)) for name in values},
        problems=tuple(said(problem, variable) for problem in problems if problem.keys),
        warnings=tuple(f"the variable {name} is no setting; {_nearest_variable(name, known)}" for name in unknown),
    )


def _nearest_variable(name: str, known: set[str]) -> str:
    hint = nearest(name.removeprefix(PREFIX), known)
    if "'" not in hint:
        return "'otreg config show' lists the settings of a command"
    return f"did you mean {variable(hint.split(chr(39))[1])}?"
