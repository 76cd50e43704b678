"""What a registration leaves behind: a model with the frame it was found in, so that it moves files.

A transform acts on float64 coordinates in file units. It subtracts the frame's origin first, so coordinates of millions
(maps, UTM) keep their micrometres. Its dictionary is the content of ``transform.json`` and needs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import torch

from otreg.errors import ArgumentError, FormatError, InputError
from otreg.measures import Frame
from otreg.models.base import Model
from otreg.models.fields import describe, read_positive, read_rows, read_vector, require
from otreg.models.linear import LinearModel
from otreg.models.point_map import Direction, PointMap, opposite, read_direction, read_space
from otreg.models.registry import model_from_dict
from otreg.shapes import Space

Array = npt.NDArray[np.float64]
FORMAT = "otreg-transform"
VERSION = 1


@final
@dataclass(frozen=True, eq=False)
class Transform(PointMap):
    """A map of space in file units: x_file -> frame -> model -> file.

    model, frame: the map in frame units, and these units; provenance: where it came from, in JSON types;
    direction: "source_to_target" as found, "target_to_source" for its inverse;
    space: where the axes of the files point, "RAS" or "LPS", "" if they did not say.
    """

    model: Model
    frame: Frame
    provenance: Mapping[str, Any] = field(default_factory=dict)
    direction: Direction = "source_to_target"
    space: Space = ""

    def __post_init__(self) -> None:
        if len(self.frame.origin) != self.dimension:
            raise ArgumentError(
                f"model and frame must have one dimension; got {self.dimension} and {len(self.frame.origin)}"
            )

    @property
    def dimension(self) -> int:
        """d, 2 or 3."""
        return self.model.dimension

    def moved(self, points: Array) -> tuple[Array, float]:
        with torch.no_grad():
            moved: Array = self.model(self._to_frame(points)).cpu().numpy()
        return self.frame.to_file(moved), 0.0

    def preimages(self, points: Array, *, tolerance: float = 1e-9) -> tuple[Array, Array]:
        """Points that this map sends to ``points``, (n, d), and how far from them it does send them, (n,), file units.

        tolerance: of the second, in diagonals of the frame, beyond which no preimage was found.
        Raises InputError for another number of coordinates, ArgumentError for a linear map without inverse.
        """
        with torch.no_grad():
            sources, miss = self.model.inverse_points(self._to_frame(points), tolerance)
        return self.frame.to_file(sources.cpu().numpy()), miss.cpu().numpy() * self.frame.scale

    def jacobian(self, points: Array) -> Array:
        with torch.no_grad():
            result: Array = self.model.jacobian(self._to_frame(points)).cpu().numpy()
        return result

    def matrix(self) -> Array | None:
        linear = self.model.linear()
        if linear is None:
            return None
        matrix, offset = (part.detach().cpu() for part in linear)
        origin = torch.tensor(self.frame.origin, dtype=torch.float64)
        result = torch.eye(self.dimension + 1, dtype=torch.float64)
        result[:-1, :-1] = matrix
        result[:-1, -1] = self.frame.scale * offset + (origin - matrix @ origin)
        homogeneous: Array = result.numpy()
        return homogeneous

    def inverse(self) -> Transform:
        """The transform that undoes this one, with the other direction.

        Raises ArgumentError for a spline (see ``Model.inverse_points``) and for a singular matrix.
        """
        if not isinstance(self.model, LinearModel):
            raise ArgumentError(
                f"only rigid, similarity and affine transforms have an inverse; got a {self.model.name}. "
                "otreg.models.chain.inverse_of inverts that point by point"
            )
        return replace(self, model=self.model.inverse(), direction=opposite(self.direction))

    def to_dict(self) -> dict[str, Any]:
        """The content of transform.json, in pure JSON types; ``from_dict`` gives the transform back to the last bit."""
        matrix = self.matrix()
        return {
            "format": FORMAT,
            "version": VERSION,
            "direction": self.direction,
            "dimension": self.dimension,
            **({"space": self.space} if self.space else {}),
            "frame": {"origin": list(self.frame.origin), "scale": self.frame.scale},
            "model": self.model.to_dict(),
            **({} if matrix is None else {"matrix": matrix.tolist()}),
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """The transform that ``to_dict`` wrote. Raises FormatError: which key, what it must be, what was found."""
        if require(data, "format") != FORMAT:
            raise FormatError(f"'format' of a transform must be '{FORMAT}'; got {describe(data['format'])}")
        version = require(data, "version")
        if isinstance(version, bool) or version != VERSION:
            raise FormatError(f"'version' must be {VERSION}, which this otreg reads; got {describe(version)}")
        direction = read_direction(data)
        model = model_from_dict(require(data, "model"))
        dimension = require(data, "dimension")
        if dimension != model.dimension:
            raise FormatError(f"'dimension' must be the model's, {model.dimension}; got {describe(dimension)}")
        frame = require(data, "frame")
        origin = tuple(read_vector(frame, "origin", length=model.dimension))
        provenance = data.get("provenance", {})
        if not isinstance(provenance, Mapping):
            raise FormatError(f"'provenance' must be an object; got {describe(provenance)}")
        space = read_space(data)
        transform = cls(model, Frame(origin, read_positive(frame, "scale")), dict(provenance), direction, space)
        transform._check_matrix(data)
        return transform

    def _check_matrix(self, data: Mapping[str, Any]) -> None:
        """FormatError when a stored matrix says something else than the model: one of them was edited."""
        own = self.matrix()
        if own is None:
            if "matrix" in data:
                raise FormatError(f"'matrix' belongs to linear models only; this one is a {self.model.name}")
            return
        size = self.dimension + 1
        stored = read_rows(data, "matrix", rows=size, columns=size)
        corner = torch.tensor([*self.frame.origin, 1.0], dtype=torch.float64)
        # One part in a million of the frame: what text with seven digits would keep, less than any edit.
        mine = torch.from_numpy(own)
        linear_part = (stored - mine)[:, :-1].abs().max() <= 1e-6 * max(1.0, float(mine[:-1, :-1].abs().max()))
        at_origin = ((stored - mine) @ corner).abs().max() <= 1e-6 * self.frame.scale
        if not (linear_part and at_origin):
            raise FormatError(
                "'matrix' and 'model' must be the same map; they differ, so the file was edited. Write it again"
            )

    def _to_frame(self, points: Array) -> torch.Tensor:
        if points.ndim != 2 or points.shape[1] != self.dimension:
            found = points.shape[1] if points.ndim == 2 else f"shape {points.shape}"
            raise InputError(
                f"a {self.dimension}-D transform moves points of {self.dimension} coordinates; got {found}"
            )
        in_frame = self.frame.to_frame(np.asarray(points, dtype=np.float64))
        return torch.from_numpy(in_frame).to(self.model.device)
