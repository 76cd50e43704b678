"""One pair of a batch: as it is written, with settings of its own, and complete, with all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, WithJsonSchema, model_validator

from otreg.config.parse import load_settings
from otreg.config.paths import settings_beside
from otreg.config.settings import RegisterConfig
from otreg.errors import ArgumentError, SettingsError


def _path(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise ArgumentError(f"must be a path; got {value!r}")
    return value


FilePath = Annotated[
    Path, BeforeValidator(_path), WithJsonSchema({"type": "string", "format": "path", "pattern": r"\S"})
]


# In terms of JSON Schema: each of the two needs the other.
BOTH_LANDMARKS: Final[dict[str, JsonValue]] = {
    "source_landmarks": ["target_landmarks"],
    "target_landmarks": ["source_landmarks"],
}


class PairConfig(BaseModel):
    """One pair as it is written in a batch file or in a row of a table; settings: only those that it has of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"dependentRequired": BOTH_LANDMARKS})

    source: FilePath = Field(title="FILE", description="The shape that is moved.")
    target: FilePath = Field(title="FILE", description="The shape that it is moved onto.")
    name: str | None = Field(
        default=None,
        min_length=1,
        title="NAME",
        description="Name of the job; SOURCE_to_TARGET when not given, the file names without folder and extension.",
    )
    source_landmarks: FilePath | None = Field(
        default=None, title="FILE", description="Landmarks of the source; needs target_landmarks."
    )
    target_landmarks: FilePath | None = Field(
        default=None, title="FILE", description="Landmarks of the target, by the same names or in the same order."
    )
    settings: RegisterConfig = Field(
        default_factory=RegisterConfig, title="SETTINGS", description="Settings of this pair, on top of those of all."
    )

    @model_validator(mode="after")
    def _both_landmarks(self) -> PairConfig:
        check_both(self.source_landmarks, self.target_landmarks)
        return self


@dataclass(frozen=True)
class BatchPair:
    """One pair, complete: its files, its name, all its settings.

    landmarks: files of the source's and the target's landmarks; where: the place it was written at,
    ``skulls.yaml:12:5`` or ``skulls.csv:3``, "" when it was made in Python.
    """

    source: Path
    target: Path
    name: str
    settings: RegisterConfig
    landmarks: tuple[Path, Path] | None = None
    where: str = ""


def completed(pair: PairConfig, *, defaults: RegisterConfig, where: str = "") -> BatchPair:
    """A written pair, complete. Raises SettingsError when its settings do not go with those of all."""
    landmarks = None
    if pair.source_landmarks is not None and pair.target_landmarks is not None:
        landmarks = (pair.source_landmarks, pair.target_landmarks)
    try:
        settings = overlaid(defaults, pair.settings)
    except SettingsError as error:
        at = f"{where}: " if where else ""
        raise SettingsError(*(f"{at}settings: {line}" for line in error.problems)) from error
    return BatchPair(
        source=pair.source,
        target=pair.target,
        name=pair.name or f"{pair.source.stem}_to_{pair.target.stem}",
        settings=settings,
        landmarks=landmarks,
        where=where,
    )


def pair_beside(pair: PairConfig, folder: Path) -> PairConfig:
    """The pair, with its files and those of its settings taken from the folder."""
    found: dict[str, Any] = {
        name: folder / path
        for name in ("source", "target", "source_landmarks", "target_landmarks")
        if (path := getattr(pair, name)) is not None
    }
    return pair.model_copy(update={**found, "settings": settings_beside(pair.settings, folder)})


def overlaid(below: RegisterConfig, above: RegisterConfig) -> RegisterConfig:
    """The settings that were given ``above``, else those ``below``. Raises SettingsError where they contradict."""
    return load_settings(RegisterConfig, {**explicit(below), **explicit(above)})


def explicit(config: BaseModel) -> Mapping[str, Any]:
    """The settings that were given, and are not defaults."""
    return {name: getattr(config, name) for name in type(config).model_fields if name in config.model_fields_set}


def check_both(source: object, target: object) -> None:
    if (source is None) != (target is None):
        given, absent = ("source", "target") if target is None else ("target", "source")
        raise ArgumentError(f"must give landmarks of both shapes; got {given}_landmarks without {absent}_landmarks")
