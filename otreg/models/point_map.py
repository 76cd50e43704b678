"""What every map between files can do, be it one model or several, forwards or backwards: move points in file units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError
from otreg.models.fields import describe, require
from otreg.shapes import Space

Array = npt.NDArray[np.float64]
Direction = Literal["source_to_target", "target_to_source"]


class PointMap(ABC):
    """A map of space, (n, d) -> (n, d), in float64 and in the units and axes of the files that it was found on."""

    provenance: Mapping[str, Any]
    direction: Direction
    space: Space

    @property
    @abstractmethod
    def dimension(self) -> int:
        """d, 2 or 3."""

    def __call__(self, points: Array) -> Array:
        """(n, d) file units -> (n, d) file units. Raises InputError for another number of coordinates."""
        return self.moved(points)[0]

    @abstractmethod
    def moved(self, points: Array) -> tuple[Array, float]:
        """Where the points go, and how far off that may be at most where it was found by iteration, in file units.

        Raises InputError for another number of coordinates, NotConvergedError where a point has no image.
        """

    @property
    def iterates(self) -> bool:
        """Whether points are found by iteration, which leaves a residual."""
        return False

    @abstractmethod
    def jacobian(self, points: Array) -> Array:
        """(n, d, d) derivatives of the map at points in file units; the units cancel. Raises InputError."""

    @abstractmethod
    def matrix(self) -> Array | None:
        """(d + 1, d + 1) with [y, 1] = matrix @ [x, 1] in file units, or None for a map that is not linear."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The content of transform.json, in pure JSON types; ``map_from_dict`` gives the map back to the last bit."""


def opposite(direction: Direction) -> Direction:
    """The direction of the inverse."""
    return "target_to_source" if direction == "source_to_target" else "source_to_target"


def read_direction(data: Any) -> Direction:
    """The direction in the dictionary of a map. Raises FormatError."""
    direction = require(data, "direction")
    if direction not in ("source_to_target", "target_to_source"):
        raise FormatError(f"'direction' must be 'source_to_target' or 'target_to_source'; got {describe(direction)}")
    return direction


def read_space(data: Mapping[str, Any]) -> Space:
    """Where the axes point, in the dictionary of a map; "" if it does not say. Raises FormatError."""
    space = data.get("space", "")
    if space not in ("", "RAS", "LPS"):
        raise FormatError(f"'space' must be 'RAS' or 'LPS', or missing; got {describe(space)}")
    return space
