"""What can be set for a registration, a distance and a map: names, units, bounds, defaults and descriptions.

The command line builds its flags from these fields and configuration files are checked against them, so a setting
exists in one place. ``title`` says what kind of value to write, ``description`` is the flag's help.
"""

from __future__ import annotations

import itertools
from abc import ABC
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator

from otreg.config.kinds import (
    FEATURES_OR_AUTO_SCHEMA,
    FEATURES_SCHEMA,
    LENGTH_OR_AUTO_SCHEMA,
    LENGTH_SCHEMA,
    OPTIONAL_TEXT_SCHEMA,
    SHARE_SCHEMA,
    TEXT_SCHEMA,
    PathOrWord,
    counts_schema,
    names_schema,
    reach_schema,
)
from otreg.config.length import Length
from otreg.errors import ArgumentError

ModelName = Literal["rigid", "similarity", "affine", "spline", "tps"]
# From few to many degrees of freedom: a chain of models must follow this order, and the last two exclude each other.
MODEL_NAMES: Final[tuple[ModelName, ...]] = ("rigid", "similarity", "affine", "spline", "tps")
SPLINES: Final[tuple[ModelName, ...]] = ("spline", "tps")

# What ``init`` may be, besides the path of a transform.
INIT_WORDS: Final = ("auto", "search", "centroid", "none")

# What ``sampling`` may be, besides a number.
SAMPLING_WORDS: Final = ("auto", "vertices", "faces")

# What ``reach: auto`` means, in blurs. Real pairs never have the same area everywhere, so conserving mass is wrong for
# them; between 1 and 5 blurs the errors on whole shapes hardly differ, and parts that overlap want the smaller ones.
AUTO_REACH_BLURS: Final = 2.0
# What ``features`` may be, before a colon; a registration also knows "auto".
FEATURE_KINDS: Final = ("none", "normals", "labels")
# What ``feature_length: auto`` means, in blurs.
AUTO_FEATURE_BLURS: Final = 5.0
_REACH_HELP: Final = (
    "Farthest distance at which mass is still matched, written like blur; 'none' matches all of it, 'auto' is twice "
    "the blur."
)
_FEATURES_HELP: Final = (
    "What points must share besides their place: 'normals' keeps the sides of thin parts apart (of faces, or "
    "attributes of the points), 'labels' parts with different values of a point attribute."
)

ReachPair = tuple[Length | None, Length | None]


def _reach(value: object) -> object:
    """ "auto", None for "none", a Length, or a pair of the latter two for source and target."""
    sides = value.split(",") if isinstance(value, str) else value
    if not isinstance(sides, (list, tuple)) or len(sides) == 1:
        return "auto" if _word(value) == "auto" else _length_or_none(value)
    if len(sides) != 2:
        raise ArgumentError(f"must be one length, or two as SOURCE,TARGET; got {value!r}")
    if isinstance(value, str) and all(side.strip().isdigit() for side in sides):
        meant = value.replace(",", ".")
        raise ArgumentError(
            f"must not look like a decimal comma; got {value!r}. Write {meant} for one length, or two with a point or %"
        )
    return tuple(_length_or_none(side) for side in sides)


def _length_or_none(value: object) -> Length | None:
    return None if _word(value) in (None, "none") else Length.parse(value)


def _word(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _reach_text(reach: Length | str | ReachPair | None) -> str | None:
    """What ``_reach`` reads as this reach."""
    if isinstance(reach, tuple):
        return ",".join("none" if side is None else str(side) for side in reach)
    return None if reach is None else str(reach)


def _models(value: object) -> tuple[str, ...]:
    """Names in order, from a comma list or a sequence; each known, more general than the one before."""
    names: tuple[Any, ...]
    if isinstance(value, str):
        names = tuple(name.strip() for name in value.split(","))
    elif isinstance(value, (list, tuple)):
        names = tuple(value)
    else:
        names = (value,)
    known = ", ".join(MODEL_NAMES)
    for name in names:
        if name not in MODEL_NAMES:
            raise ArgumentError(f"must name known models ({known}), separated by commas; got {name!r}")
    ranks = [min(MODEL_NAMES.index(name), MODEL_NAMES.index(SPLINES[0])) for name in names]
    if not names or any(later <= former for former, later in itertools.pairwise(ranks)):
        raise ArgumentError(
            f"must name each model once, from few to many degrees of freedom ({known}; one spline at most); "
            f"got {','.join(names)!r}"
        )
    return names


def _sampling(value: object) -> object:
    """ "auto", "vertices", "faces" or a number of samples, at least 2."""
    try:
        if value in SAMPLING_WORDS:
            return value
        # 1e4 in a file is a float.
        whole = isinstance(value, (str, int)) or (isinstance(value, float) and value.is_integer())
        count = int(value) if whole and not isinstance(value, bool) else 0  # type: ignore[call-overload]
    except ValueError:
        count = 0
    if count < 2:
        raise ArgumentError(f"must be 'auto', 'vertices', 'faces' or a number of samples of at least 2; got {value!r}")
    return count


def _column(value: object) -> object:
    """A name, or None."""
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise ArgumentError(f"must name a point attribute; got {value!r}. 'otreg info' lists the attributes of a shape")


def _init(value: object) -> object:
    """One of the words, or a path."""
    text = str(value).strip() if isinstance(value, str) or hasattr(value, "__fspath__") else ""
    if not text:
        raise ArgumentError(f"must be {', '.join(INIT_WORDS)} or the path of a transform; got {value!r}")
    return text


def _share(value: object) -> object:
    """A fraction, from a number or a text like "10%"."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip().removesuffix("%")) / 100
        except ValueError:
            raise ArgumentError(f"must be a share like 10% or 0.1; got {value!r}") from None
    return value


def _features(value: object) -> object:
    """ "none", "normals", "labels" or "labels:COLUMN"."""
    text = value.strip() if isinstance(value, str) else ""
    kind, colon, column = text.partition(":")
    if kind not in FEATURE_KINDS or (colon and (kind != "labels" or not column)):
        raise ArgumentError(f"must be none, normals, labels or labels:COLUMN (a point attribute); got {value!r}")
    return text


def _features_or_auto(value: object) -> object:
    """ "auto", or one of these."""
    if _word(value) == "auto":
        return "auto"
    try:
        return _features(value)
    except ArgumentError as error:
        raise ArgumentError(str(error).replace("must be none", "must be auto, none")) from None


def _feature_length(value: object) -> object:
    """ "auto" or a Length."""
    return "auto" if _word(value) == "auto" else Length.parse(value)


def _threads(value: object) -> object:
    """None for "auto" (all cores)."""
    return None if value == "auto" else value


LengthField = Annotated[Length, BeforeValidator(Length.parse), PlainSerializer(str, return_type=str), LENGTH_SCHEMA]
ReachField = Annotated[
    Length | Literal["auto"] | ReachPair | None,
    BeforeValidator(_reach),
    PlainSerializer(_reach_text, return_type=str | None),
]


FeatureLengthField = Annotated[
    Length | Literal["auto"],
    BeforeValidator(_feature_length),
    PlainSerializer(str, return_type=str),
    LENGTH_OR_AUTO_SCHEMA,
]


class TransportConfig(BaseModel, ABC):
    """What a distance and a registration share: how shapes become measures, and how these are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    blur: LengthField = Field(
        default=Length(0.01, "diagonal"),
        title="LENGTH",
        description="Finest scale that is compared: a share of the target's diagonal (1%) or a number in file units. "
        "eps = blur^p.",
    )
    reach: Annotated[ReachField, reach_schema(pairs=False)] = Field(
        default="auto",
        title="LENGTH|none|auto",
        description=_REACH_HELP,
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="Where to compute.")
    reduction: Literal["auto", "dense", "cpu", "keops", "triton"] = Field(
        default="auto", description="Kernel that sums over all pairs of points."
    )
    threads: Annotated[int | None, BeforeValidator(_threads), counts_schema(("auto", None), least=1)] = Field(
        default=None, ge=1, title="COUNT", description="CPU threads; all cores when not given."
    )
    seed: int = Field(default=0, ge=0, lt=2**63, title="INTEGER", description="Seed of everything random.")
    sampling: Annotated[
        Literal["auto", "vertices", "faces"] | int,
        BeforeValidator(_sampling),
        counts_schema(SAMPLING_WORDS, least=2),
    ] = Field(
        default="auto",
        title="auto|vertices|faces|COUNT",
        description="Points that stand for a shape: its vertices with the area around them, its faces with their area "
        "(large ones in pieces of twice the blur), or so many random points of its surface; 'auto' takes vertices, but "
        "faces where they are large and the other shape has not the same ones.",
    )
    weights: Annotated[str | None, BeforeValidator(_column), OPTIONAL_TEXT_SCHEMA] = Field(
        default=None,
        title="COLUMN",
        examples=["area"],
        description="Point attribute to weigh the points with, instead of length, area or volume.",
    )
    features: Annotated[str, BeforeValidator(_features), FEATURES_SCHEMA] = Field(
        default="none",
        title="none|normals|labels[:COLUMN]",
        description=_FEATURES_HELP,
    )
    feature_length: FeatureLengthField = Field(
        default="auto",
        title="LENGTH|auto",
        description="The displacement that costs as much as normals at a right angle, or as another label, written "
        "like blur; 'auto' is five times the blur.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_values(cls, value: object) -> object:
        # To Python True is the integer 1, so that "threads: yes" would mean one thread.
        if isinstance(value, bool):
            raise ArgumentError(f"must be a word or a number; got {str(value).lower()}")
        return value

    @property
    def feature_distance(self) -> Length:
        """The feature length, with one for "auto"."""
        if isinstance(self.feature_length, Length):
            return self.feature_length
        return Length(AUTO_FEATURE_BLURS * self.blur.value, self.blur.unit)

    @property
    def reaches(self) -> ReachPair:
        """The reach of the source and that of the target, with a length for "auto"; None conserves mass."""
        if isinstance(self.reach, tuple):
            return self.reach
        if self.reach == "auto":
            both = Length(AUTO_REACH_BLURS * self.blur.value, self.blur.unit)
            return both, both
        return self.reach, self.reach


class RegisterConfig(TransportConfig):
    """Settings of one registration."""

    models: Annotated[tuple[ModelName, ...], BeforeValidator(_models), names_schema(MODEL_NAMES)] = Field(
        default=("rigid",),
        title="NAMES",
        description="Models to fit one after the other, from few to many degrees of freedom: a comma list of "
        "rigid, similarity, affine, and spline or tps (thin-plate spline).",
    )
    features: Annotated[str, BeforeValidator(_features_or_auto), FEATURES_OR_AUTO_SCHEMA] = Field(
        default="auto",
        title="auto|none|normals|labels[:COLUMN]",
        description=f"{_FEATURES_HELP} 'auto' takes normals where a spline bends surfaces whose meshes agree about "
        "their sides, else none.",
    )
    init: Annotated[str, BeforeValidator(_init), TEXT_SCHEMA, PathOrWord(INIT_WORDS)] = Field(
        default="auto",
        title="search|centroid|none|FILE",
        description="Where the first model starts: 'search' tries all poses, 'centroid' lays mean on mean, 'none' "
        "takes the source as it lies, and a transform.json or 4x4 text of a linear map says it; 'auto' searches when "
        "the first model is rigid or similarity, and takes the source as it lies when it is not; but landmarks that "
        "determine a pose are the start instead.",
    )
    optimizer: Literal["gauss-newton", "lbfgs", "adam"] = Field(
        default="gauss-newton", description="How a model follows the transport."
    )
    iterations: int = Field(default=30, ge=1, title="COUNT", description="Most steps per model and blur level.")
    tolerance: float = Field(
        default=1e-4,
        gt=0,
        lt=1,
        title="FRACTION",
        description="Stop when a step moves the shape by less than this fraction of the target's diagonal (rms).",
    )
    stiffness: float = Field(
        default=0.0075,
        gt=0,
        title="NUMBER",
        description="Of a spline, the ratio of two lengths: bending by a bump of some height must lower the rms "
        "distance by more than this share of the height. Larger bends less; near shapes get up to eight times as much.",
    )
    control_points: int = Field(default=500, ge=1, title="COUNT", description="Control points of a spline, at most.")

    landmark_weight: Annotated[float, BeforeValidator(_share), SHARE_SCHEMA] = Field(
        default=0.1,
        gt=0,
        title="SHARE",
        description="How much landmarks pull: all of them together as this share of the source's mass would.",
    )

    @field_validator("reach")
    @classmethod
    def _one_reach(cls, reach: Any) -> Any:
        if isinstance(reach, tuple):
            raise ArgumentError(f"must be one length in a registration; got {_reach_text(reach)!r}")
        return reach

    @property
    def reach_length(self) -> Length | None:
        """The reach that "auto" stands for, or the given one; None conserves mass."""
        return self.reaches[0]


class ComparisonConfig(TransportConfig, ABC):
    """What a distance and a map share: the shapes stay where they are, and all mass moves, however far."""

    reach: Annotated[ReachField, reach_schema(pairs=True)] = Field(
        default=None,
        title="LENGTH|none|auto",
        description=f"{_REACH_HELP} Two as SOURCE,TARGET are for the shapes apart: 'none,5%' moves all of the source.",
    )
    p: int = Field(
        default=2,
        ge=1,
        le=2,
        title="1|2",
        description="Exponent of the cost |x - y|^p / p: 2 for squared lengths, 1 for lengths. eps = blur^p.",
    )
    precision: Literal["float32", "float64"] = Field(
        default="float32", description="Of the sums over pairs of points; all else is float64."
    )
    tolerance: float = Field(
        default=1e-3,
        gt=0,
        lt=1,
        title="FRACTION",
        description="Relative error of the transported mass at which the solver stops.",
    )


class DistanceConfig(ComparisonConfig):
    """Settings of one distance."""


class MapConfig(ComparisonConfig):
    """Settings of one Brenier map."""

    grid: int | None = Field(
        default=None,
        ge=2,
        title="COUNT",
        examples=[64],
        description="Evaluate the map on a regular grid over the source's bounding box, with so many points along its "
        "longest side, instead of at the source's points.",
    )
