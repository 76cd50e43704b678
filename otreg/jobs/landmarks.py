"""Landmarks of two files, brought together: by their names where both files have some, else by their order.

A pair that is joined wrongly ruins a registration without a trace, so nothing is guessed: a name that one file lacks,
or lists of different lengths, are errors.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from otreg.errors import InputError
from otreg.jobs.plain import plain
from otreg.jobs.provenance import input_record
from otreg.jobs.reading import Reading, warnings_of
from otreg.jobs.spaces import common_space
from otreg.measures import Frame
from otreg.registration import LandmarkReport
from otreg.shapes import Shape, Space

Floats = npt.NDArray[np.float64]

# Attributes that hold names, in the order in which they are looked for; else the first one that is text.
NAME_COLUMNS = ("label", "name", "landmark")
# Farther outside of the box around its shape than this share of its diagonal, a landmark is hardly one of it.
_OUTSIDE = 0.25
# Names that an error lists.
_SHOWN = 3


@final
@dataclass(frozen=True)
class LandmarkPairs:
    """Landmarks that belong together.

    names: of the pairs, or "#1", "#2", ... where files have none; source, target: (k, d) in the units and axes of the
    shapes; record: of both files, by role; warnings: sentences about them.
    """

    names: tuple[str, ...]
    source: Floats
    target: Floats
    record: dict[str, Any]
    warnings: tuple[str, ...]


@final
@dataclass(frozen=True)
class LandmarkDistances:
    """How far landmarks are from their partners, in file units, before and after a registration.

    names: in the order of the source's file; outliers: of those that end much farther away than the others.
    weight: share of the source's mass that all of them pulled with.
    """

    names: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    outliers: tuple[str, ...]
    weight: float

    @staticmethod
    def of(report: LandmarkReport, pairs: LandmarkPairs, frame: Frame) -> LandmarkDistances:
        """What a registration in ``frame`` reports about the pairs."""
        return LandmarkDistances(
            names=pairs.names,
            before=tuple(distance * frame.scale for distance in report.before),
            after=tuple(distance * frame.scale for distance in report.after),
            outliers=tuple(pairs.names[k] for k in report.outliers),
            weight=report.weight,
        )

    @property
    def rms_before(self) -> float:
        """Root mean square distance before."""
        return float(np.sqrt(np.mean(np.square(self.before))))

    @property
    def rms_after(self) -> float:
        """Root mean square distance after."""
        return float(np.sqrt(np.mean(np.square(self.after))))

    @property
    def farthest(self) -> str:
        """Name of the landmark that ends farthest from its partner."""
        return self.names[int(np.argmax(self.after))]

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each landmark that contradicts the others."""
        after = dict(zip(self.names, self.after, strict=True))
        median = float(np.median(self.after))
        return tuple(
            f"landmark '{name}' ends {after[name]:.4g} file units from its partner, the median one {median:.4g}; see "
            "whether it marks the same place in both files, or leave it out"
            for name in self.outliers
        )

    def to_dict(self) -> dict[str, Any]:
        """In pure JSON types: names and distances in one order."""
        return {
            "weight": self.weight,
            "unit": "file units",
            "rms_before": plain(self.rms_before),
            "rms_after": plain(self.rms_after),
            "names": list(self.names),
            "before": list(self.before),
            "after": list(self.after),
            "outliers": list(self.outliers),
        }


def read_landmarks(
    paths: tuple[Path, Path], shapes: tuple[Shape, Shape], *, space: Space, reading: Reading
) -> LandmarkPairs:
    """The landmarks of two files, which belong to two shapes, source first.

    space: where the axes of the shapes point; landmarks in the other frame are turned round. Their format is found in
    the files, whatever ``reading`` says about that of the shapes.
    Raises InputFileError, FormatError or InputError: about the files; when they are of another dimension than the
    shapes; when a name is there twice or in one file only; when there are no names and the numbers differ.
    """
    found = [replace(reading, format=None).shape(path) for path in paths]
    d = shapes[0].dimension
    for path, marks in zip(paths, found, strict=True):
        if marks.dimension != d:
            raise InputError(
                f"{path}: landmarks must have as many coordinates as the shapes, {d}; found {marks.dimension}"
            )
        if not len(marks.points):
            raise InputError(f"{path}: holds no landmarks; at least 1 is needed")
    # Where the shapes do not say where their axes point, the landmarks must at least agree with each other.
    space = space or common_space(*found)
    points = [_in_space(marks, space) for marks in found]
    own_names = [_names(marks, path) for marks, path in zip(found, paths, strict=True)]
    names, order = _matched(own_names, [len(place) for place in points], paths)
    warnings = warnings_of(*found)
    for path, shape, place, own in zip(paths, shapes, points, own_names, strict=True):
        warnings += _far_away(place, own, path, shape)
    return LandmarkPairs(
        names=names,
        source=points[0],
        target=points[1][order],
        record={
            f"{side}_landmarks": input_record(path, marks)
            for side, path, marks in zip(("source", "target"), paths, found, strict=True)
        },
        warnings=tuple(warnings),
    )


def _in_space(marks: Shape, space: Space) -> Floats:
    """The landmarks' points with axes that point as ``space`` says: RAS and LPS differ in the signs of x and y."""
    if not marks.space or marks.space == space:
        return marks.points
    return marks.points * np.array([-1.0, -1.0, 1.0])[: marks.dimension]


def _names(marks: Shape, path: Path) -> list[str] | None:
    """The names of the landmarks, None where there are none. Raises InputError when one is empty, or there twice."""
    texts = [name for name, values in marks.point_data.items() if values.dtype.kind in "US"]
    known = [name for name in marks.point_data if name.lower() in NAME_COLUMNS]
    column = next(iter([*sorted(known, key=lambda name: NAME_COLUMNS.index(name.lower())), *texts]), None)
    if column is None:
        return None
    values = marks.point_data[column]
    names = [f"{value:g}" if values.dtype.kind == "f" else str(value).strip() for value in values.tolist()]
    if not any(names):
        return None
    for k, name in enumerate(names):
        if not name:
            raise InputError(f"{path}: landmark {k + 1} has no name, others have one; name all of them or none")
        if name in names[:k]:
            raise InputError(f"{path}: names must differ; '{name}' is there twice")
    return names


def _matched(
    names: list[list[str] | None], counts: list[int], paths: tuple[Path, Path]
) -> tuple[tuple[str, ...], list[int]]:
    """Names of the pairs in the order of the source, and for each of them its place among the target's landmarks."""
    here, there = names
    if here is None or there is None:
        if counts[0] != counts[1]:
            unnamed = " and ".join(str(path) for path, own in zip(paths, names, strict=True) if own is None)
            raise InputError(
                f"{paths[1]}: landmarks without names are joined by their order, so both files must have as many; "
                f"found {counts[0]} and {counts[1]}. Name those of {unnamed}"
            )
        return tuple(here or there or [f"#{k + 1}" for k in range(counts[0])]), list(range(counts[0]))
    for own, other, path, partner in ((here, there, *paths), (there, here, *paths[::-1])):
        lacking = [name for name in other if name not in own]
        if lacking:
            shown = ", ".join(f"'{name}'{_hint(name, own, other)}" for name in lacking[:_SHOWN])
            more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
            raise InputError(
                f"{path}: lacks landmarks that {partner} has: {shown}{more}. Name each place alike in both files, or "
                "leave it out of both"
            )
    return tuple(here), [there.index(name) for name in here]


def _hint(name: str, candidates: list[str], partner: list[str]) -> str:
    """The nearest name that has no partner either, as a question."""
    free = [candidate for candidate in candidates if candidate not in partner]
    close = difflib.get_close_matches(name, free, n=1)
    return f" (is it '{close[0]}'?)" if close else ""


def _far_away(points: Floats, names: list[str] | None, path: Path, shape: Shape) -> list[str]:
    """A sentence when landmarks lie well outside of their shape, as those in another unit or frame do."""
    low, high = shape.points.min(0), shape.points.max(0)
    outside = np.linalg.norm(np.maximum(low - points, 0) + np.maximum(points - high, 0), axis=1)
    k = int(np.argmax(outside))
    if outside[k] <= _OUTSIDE * np.linalg.norm(high - low):
        return []
    name = f"'{names[k]}'" if names else f"{k + 1}"
    return [
        f"{path}: landmark {name} lies {outside[k]:.4g} file units outside of the box around {shape.path}; see whether "
        "both use one unit and the same axes (RAS or LPS)"
    ]
