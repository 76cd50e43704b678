"""What a batch is: which pairs, with which settings, into which folders, by how many workers.

The keys of a batch file are the fields of :class:`BatchConfig`. Settings are those of a registration, once for all
pairs and, where a pair has its own, on top of them; whoever runs the batch gets every written pair complete, as a
:class:`BatchPair`, and expands the globs.
"""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StrictBool,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from otreg.config.pair import BOTH_LANDMARKS, BatchPair, FilePath, PairConfig, check_both, completed
from otreg.config.parse import nearest
from otreg.config.settings import RegisterConfig
from otreg.config.table import read_table
from otreg.errors import ArgumentError

# What the name of an output folder may be made of.
OUTPUT_FIELDS: Final = ("source", "target", "name", "index")
LANDMARK_FIELDS: Final = ("source", "target")
# A worker that has loaded its libraries takes half of this; less is a unit that was forgotten.
LEAST_MEMORY: Final = 500_000_000

_SIZE = re.compile(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*([kKMGT]?)(i?)B\s*")
_SIZE_PATTERN = r"^\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*[kKMGT]?i?B\s*$"
_NONE_PATTERN = r"^\s*none\s*$"


def _memory(value: object) -> object:
    """Bytes from "4 GB" or "512 MiB", None from "none"."""
    if not isinstance(value, str):
        return value
    if value.strip() == "none":
        return None
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ArgumentError(f"must be a size with its unit, like 4 GB or 512 MiB, or none; got {value!r}")
    number, prefix, binary = match.groups()
    power = " kMGT".index(prefix.replace("K", "k")) if prefix else 0
    return int(float(number) * (1024 if binary else 1000) ** power)


def _auto(value: object) -> object:
    """None from "auto"."""
    return None if isinstance(value, str) and value.strip() == "auto" else value


def _none(value: object) -> object:
    """None from "none"."""
    return None if isinstance(value, str) and value.strip() == "none" else value


def _patterns(value: object) -> object:
    """Patterns from one text or a list of them."""
    patterns = (value,) if isinstance(value, str) else value
    if not isinstance(patterns, (list, tuple)) or not all(isinstance(one, str) and one.strip() for one in patterns):
        raise ArgumentError(f"must be a file pattern like scans/*.ply, or a list of them; got {value!r}")
    return tuple(patterns)


def _template(fields: tuple[str, ...], text: str) -> str:
    """The text, which names no other fields than these."""
    try:
        for _, name, _, _ in string.Formatter().parse(text):
            if name is not None and name not in fields:
                known = nearest(name, fields).replace("known settings", "known fields")
                raise ArgumentError(f"must use the fields {_braced(fields)}; got {{{name}}}; {known}")
        text.format(**{name: 1 if name == "index" else "x" for name in fields})
    except ArgumentError:
        raise
    except (ValueError, IndexError) as error:
        raise ArgumentError(f"must be a text with the fields {_braced(fields)}; got {text!r}: {error}") from error
    return text


def _braced(fields: tuple[str, ...]) -> str:
    return ", ".join(f"{{{name}}}" for name in fields)


def _output(text: str) -> str:
    parts = Path(text).parts
    if not text.strip() or Path(text).is_absolute() or ".." in parts:
        raise ArgumentError(f"must be a folder below output_dir, like {{source}}_to_{{target}}; got {text!r}")
    return _template(OUTPUT_FIELDS, text)


def _landmarks(text: str) -> str:
    return _template(LANDMARK_FIELDS, text)


Patterns = Annotated[
    tuple[str, ...],
    BeforeValidator(_patterns),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"\S"},
                {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"\S"}},
            ]
        }
    ),
]
Landmarks = Annotated[str, AfterValidator(_landmarks)]
Auto = Annotated[
    int | None,
    BeforeValidator(_auto),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["auto", None]}]}),
]
Seconds = Annotated[
    float | None,
    BeforeValidator(_none),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"enum": ["none", None]}]}),
]
Memory = Annotated[
    int | None,
    BeforeValidator(_memory),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": LEAST_MEMORY},
                {"type": "string", "pattern": f"{_SIZE_PATTERN}|{_NONE_PATTERN}"},
                {"type": "null"},
            ]
        }
    ),
]


class BatchConfig(BaseModel):
    """Many registrations: pairs that are listed, in a table, or all that file patterns name.

    Paths are relative to the current folder; ``load_batch`` takes them relative to the file they stand in.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        json_schema_extra={
            "anyOf": [{"required": [key]} for key in ("pairs", "table", "all", "every")],
            "dependentRequired": {"all": ["to"], "to": ["all"], **BOTH_LANDMARKS},
        },
    )

    all: Patterns = Field(
        examples=["scans/*.ply"],
        default=(),
        title="PATTERN",
        description="Register every file of this pattern, or list of patterns, onto the file 'to'. ** is any folder.",
    )
    to: FilePath | None = Field(
        examples=["template.ply"], default=None, title="FILE", description="The target of 'all'."
    )
    every: Patterns = Field(
        examples=["heads/*.ply"],
        default=(),
        title="PATTERN",
        description="Register every file of this pattern onto every other one.",
    )
    pairs: tuple[PairConfig, ...] = Field(
        examples=[[{"source": "a.ply", "target": "b.ply", "settings": {"blur": "2%"}}]],
        default=(),
        title="LIST",
        description="Pairs one by one: source, target and, if wanted, name, settings, source_landmarks and "
        "target_landmarks.",
    )
    table: FilePath | None = Field(
        examples=["pairs.csv"],
        default=None,
        title="FILE",
        description="CSV table of pairs: columns source, target and, if wanted, name, source_landmarks, "
        "target_landmarks and any setting; empty cells are not given.",
    )
    source_landmarks: Landmarks | None = Field(
        examples=["landmarks/{source}.csv"],
        default=None,
        title="PATH",
        description="Where the landmarks of a source are, for 'all' and 'every': a path with {source} and {target}, "
        "the file names without folder and extension.",
    )
    target_landmarks: Landmarks | None = Field(
        examples=["landmarks/{target}.csv"], default=None, title="PATH", description="The same of a target."
    )
    output_dir: FilePath = Field(default=Path("results"), title="DIR", description="Folder that receives all results.")
    output: Annotated[str, AfterValidator(_output)] = Field(
        default="{name}",
        title="TEXT",
        description="Folder of a job in output_dir, with the fields {source}, {target}, {name} and {index}, which "
        "counts from 1.",
    )
    workers: Auto = Field(default=None, ge=1, title="COUNT|auto", description="Jobs that run at the same time.")
    timeout: Seconds = Field(
        default=None, gt=0, title="SECONDS|none", description="Longest time that one attempt of a job may take."
    )
    retries: int = Field(default=0, ge=0, title="COUNT", description="How often a job that failed is tried again.")
    memory: Memory = Field(
        default=None,
        ge=LEAST_MEMORY,
        title="SIZE|none",
        description="Most memory that one worker may take, with its unit: 4 GB.",
    )
    format: str | None = Field(
        examples=["ply"],
        default=None,
        min_length=1,
        title="NAME",
        description="Format of the shapes, where their names do not tell.",
    )
    drop_invalid: StrictBool = Field(
        default=False, title="true|false", description="Leave out points that are not finite, with their cells."
    )
    max_points: int = Field(
        default=200_000_000, ge=2, title="COUNT", description="Refuse files that claim more points."
    )
    slurm: dict[str, str | int | float | bool] = Field(
        examples=[{"partition": "compute", "time": 120}],
        default_factory=dict,
        title="OPTIONS",
        description="Options of the Slurm jobs, as submitit names them: partition, account, time, ...",
    )
    shards: int | None = Field(
        examples=[10], default=None, ge=1, title="COUNT", description="Number of Slurm jobs that share the batch."
    )
    settings: RegisterConfig = Field(
        default_factory=RegisterConfig, title="SETTINGS", description="Settings of all registrations."
    )

    _places: tuple[str, ...] = PrivateAttr(default=())

    @field_validator("workers", "timeout", "retries", "memory", "max_points", "shards", mode="before")
    @classmethod
    def _no_truth_values(cls, value: object) -> object:
        # To Python True is the integer 1, so that "workers: true" would mean one worker.
        if isinstance(value, bool):
            raise ArgumentError(f"must be a word or a number; got {str(value).lower()}")
        return value

    @model_validator(mode="after")
    def _complete(self) -> BatchConfig:
        if not (self.pairs or self.table or self.all or self.every):
            raise ArgumentError("must name pairs: give 'all' with 'to', 'every', 'pairs' or 'table'")
        if bool(self.all) != (self.to is not None):
            given, absent = ("all", "to") if self.all else ("to", "all")
            raise ArgumentError(f"must give 'all' and 'to' together; got '{given}' without '{absent}'")
        check_both(self.source_landmarks, self.target_landmarks)
        return self

    def listed_pairs(self) -> tuple[BatchPair, ...]:
        """Every pair of ``pairs``, then of the rows of ``table``, with all its settings.

        Raises InputFileError when there is no such table, SettingsError with a line for each thing wrong with it.
        """
        places = self._places or ("",) * len(self.pairs)
        pairs = tuple(
            completed(pair, defaults=self.settings, where=where) for pair, where in zip(self.pairs, places, strict=True)
        )
        return pairs if self.table is None else pairs + read_table(self.table, defaults=self.settings)

    def at_places(self, places: tuple[str, ...]) -> BatchConfig:
        """The same batch, whose pairs know where they are written."""
        copy = self.model_copy()
        copy._places = places
        return copy
