"""Maps one after the other, each forwards or backwards: what composing transforms and inverting splines gives.

Linear maps are multiplied into one. A spline has no closed inverse: it is inverted point by point, by iteration, and
what that leaves is reported as the residual, the distance between where the preimage goes and where it should.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import numpy as np
import torch

from otreg.errors import ArgumentError, FormatError, NotConvergedError
from otreg.measures import Frame
from otreg.models.affine import Affine
from otreg.models.bending import BendingModel
from otreg.models.fields import describe, require
from otreg.models.linear import LinearModel
from otreg.models.point_map import Array, Direction, PointMap, opposite, read_direction, read_space
from otreg.models.transform import FORMAT, VERSION, Transform
from otreg.shapes import Space

CHAIN_FORMAT = "otreg-transform-chain"
# A preimage that misses by more than this share of the frame's diagonal was not found.
TOLERANCE = 1e-9
ROUND_OFF = 1e-14
ASTRAY = 1e-4  # of the diagonal: far beyond what the tolerance leaves, where a map is not nearly singular


@dataclass(frozen=True, eq=False)
class Step:
    """One transform of a chain, or its inverse."""

    transform: Transform
    backwards: bool = False

    def moved(self, points: Array) -> tuple[Array, float]:
        """See ``PointMap.moved``."""
        if not self.backwards:
            return self.transform.moved(points)
        model = self.transform.model
        sources, miss = self.transform.preimages(points, tolerance=TOLERANCE)
        # Beside the tolerance, what the last digits of large coordinates cannot tell apart.
        limit = TOLERANCE * self.transform.frame.scale + ROUND_OFF * float(np.abs(points).max(initial=0.0))
        lost = ~(miss <= limit)
        if lost.any():
            i = int(np.argmax(lost))
            raise NotConvergedError(
                f"the inverse of the {model.name} was not found at {int(lost.sum())} of {len(points)} "
                f"points: point {i} (counted from 0) is missed by {miss[i]:.3g} file units, more than {limit:.3g}; "
                "the map folds there or does not reach it. Register with more stiffness, or the other way round"
            )
        if isinstance(model, BendingModel):
            self._refuse_folds(model, sources)
        return sources, float(miss.max(initial=0.0))

    def _refuse_folds(self, model: BendingModel, sources: Array) -> None:
        """NotConvergedError where the spline turns space inside out, so that other points go to the same place."""
        side = np.sign(np.linalg.det(self.transform.jacobian(sources)))
        folded = side != np.sign(float(torch.linalg.det(model.affine.matrix)))
        if folded.any():
            i = int(np.argmax(folded))
            raise NotConvergedError(
                f"the spline folds at {int(folded.sum())} of {len(sources)} points, the first of them point {i} "
                "(counted from 0), so it has no inverse there. Register with more stiffness, or the other way round"
            )

    def jacobian(self, points: Array, moved: Array) -> Array:
        """(n, d, d) at ``points``, which go to ``moved``."""
        if not self.backwards:
            return self.transform.jacobian(points)
        return np.asarray(np.linalg.inv(self.transform.jacobian(moved)), dtype=np.float64)

    def inverse(self) -> Step:
        """The step back; of a linear map in closed form."""
        if isinstance(self.transform.model, LinearModel):
            return Step(self.transform.inverse(), self.backwards)
        return Step(self.transform, not self.backwards)


@final
@dataclass(frozen=True, eq=False)
class Chain(PointMap):
    """The steps, the first one first. provenance, direction, space: as for a Transform."""

    steps: tuple[Step, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    direction: Direction = "source_to_target"
    space: Space = ""

    def __post_init__(self) -> None:
        sizes = sorted({step.transform.dimension for step in self.steps})
        if len(sizes) != 1:
            raise ArgumentError(f"transforms of a chain must have one dimension; got {' and '.join(map(str, sizes))}")

    @property
    def dimension(self) -> int:
        return self.steps[0].transform.dimension

    @property
    def iterates(self) -> bool:
        return any(step.backwards for step in self.steps)

    def moved(self, points: Array) -> tuple[Array, float]:
        """See ``PointMap.moved``; the residual is the largest of the steps, each in the units in between."""
        residual = 0.0
        for step in self.steps:
            points, miss = step.moved(points)
            residual = max(residual, miss)
        return points, residual

    def jacobian(self, points: Array) -> Array:
        product = np.broadcast_to(np.eye(self.dimension), (len(points), self.dimension, self.dimension))
        for step in self.steps:
            moved, _ = step.moved(points)
            product = step.jacobian(points, moved) @ product
            points = moved
        return product

    def matrix(self) -> Array | None:
        return None  # chains of linear maps become one transform

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": CHAIN_FORMAT,
            "version": VERSION,
            "direction": self.direction,
            "dimension": self.dimension,
            **({"space": self.space} if self.space else {}),
            "steps": [{"backwards": step.backwards, "transform": step.transform.to_dict()} for step in self.steps],
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """The chain that ``to_dict`` wrote. Raises FormatError: which key, what it must be, what was found."""
        version = require(data, "version")
        if isinstance(version, bool) or version != VERSION:
            raise FormatError(f"'version' must be {VERSION}, which this otreg reads; got {describe(version)}")
        listed = require(data, "steps")
        if not isinstance(listed, list) or not listed:
            raise FormatError(f"'steps' must be a list of one or more; got {describe(listed)}")
        steps = []
        for k, item in enumerate(listed):
            backwards = require(item, "backwards")
            if not isinstance(backwards, bool):
                raise FormatError(f"'steps[{k}].backwards' must be true or false; got {describe(backwards)}")
            steps.append(Step(Transform.from_dict(require(item, "transform")), backwards))
        provenance = data.get("provenance", {})
        if not isinstance(provenance, Mapping):
            raise FormatError(f"'provenance' must be an object; got {describe(provenance)}")
        try:
            return cls(tuple(steps), dict(provenance), read_direction(data), read_space(data))
        except ArgumentError as error:
            raise FormatError(str(error)) from error


def map_from_dict(data: Any) -> PointMap:
    """The transform or the chain that ``PointMap.to_dict`` wrote. Raises FormatError."""
    kind = require(data, "format")
    if kind == CHAIN_FORMAT:
        return Chain.from_dict(data)
    if kind != FORMAT:
        raise FormatError(f"'format' of a transform must be '{FORMAT}' or '{CHAIN_FORMAT}'; got {describe(kind)}")
    return Transform.from_dict(data)


def transform_of_matrix(matrix: Array, *, space: Space = "", provenance: Mapping[str, Any] | None = None) -> Transform:
    """The affine transform with [y, 1] = matrix @ [x, 1] in file units. Raises ArgumentError for other matrices.

    matrix: (d + 1, d + 1), d = 2 or 3, its last row 0 ... 0 1.
    """
    d = len(matrix) - 1
    if d not in (2, 3) or matrix.shape != (d + 1, d + 1) or not np.isfinite(matrix).all():
        raise ArgumentError(f"the matrix of a transform must be 4 x 4 (3 x 3 in the plane); got {matrix.shape}")
    if not np.array_equal(matrix[-1], [0.0] * d + [1.0]):
        raise ArgumentError(
            f"the last row of a matrix must be {'0 ' * d}1; got {' '.join(f'{v:g}' for v in matrix[-1])}"
        )
    values = torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float64))
    model = Affine(torch.zeros(d, dtype=torch.float64), values[:d, :d].clone(), values[:d, d].clone())
    return Transform(model, Frame((0.0,) * d, 1.0), provenance or {}, space=space)


def inverse_of(point_map: PointMap) -> PointMap:
    """The map that undoes this one: in closed form if it is linear, by iteration at each point if not.

    Raises ArgumentError for a linear map without inverse.
    """
    if isinstance(point_map, Transform) and isinstance(point_map.model, LinearModel):
        return point_map.inverse()
    chain = _as_chain(point_map)
    steps = tuple(step.inverse() for step in reversed(chain.steps))
    return _simplest(replace(chain, steps=steps, direction=opposite(chain.direction)))


def compose(first: PointMap, second: PointMap) -> PointMap:
    """The map that moves by ``first``, then by ``second``; one matrix if both are linear.

    The space of the result is the first one's; see ``in_space``. Raises ArgumentError when they differ in dimension.
    """
    if first.dimension != second.dimension:
        raise ArgumentError(
            f"transforms to compose must have one dimension; got {first.dimension} and {second.dimension}"
        )
    one, two = first.matrix(), second.matrix()
    if one is not None and two is not None:
        return transform_of_matrix(two @ one, space=first.space)
    steps = (*_as_chain(first).steps, *_as_chain(second).steps)
    return Chain(steps, space=first.space)


def in_space(point_map: PointMap, space: Space) -> PointMap:
    """The same map for coordinates in ``space``, if its own is the other one: x and y turn round before and after."""
    if not space or not point_map.space or space == point_map.space:
        return point_map
    flip = transform_of_matrix(np.diag([-1.0, -1.0, *[1.0] * (point_map.dimension - 1)]))
    turned = compose(compose(flip, point_map), flip)
    assert isinstance(turned, Transform | Chain)
    return replace(turned, space=space, provenance=point_map.provenance, direction=point_map.direction)


def with_space(point_map: PointMap, space: Space) -> PointMap:
    """The map with ``space``, if it does not have one of its own."""
    assert isinstance(point_map, Transform | Chain)
    return replace(point_map, space=space) if space and not point_map.space else point_map


def with_provenance(point_map: PointMap, provenance: Mapping[str, Any]) -> PointMap:
    """The map with another ``provenance``."""
    assert isinstance(point_map, Transform | Chain)
    return replace(point_map, provenance=provenance)


def preimage_residual(point_map: PointMap) -> float | None:
    """How far the iterations of a map end from their goals at the control points of its splines, in file units.

    None if nothing in it is inverted by iteration. Raises NotConvergedError where an inverse is not found, or is not
    the point that it should be, because several go to one place.
    """
    residual: float | None = None
    for step in point_map.steps if isinstance(point_map, Chain) else ():
        model, frame = step.transform.model, step.transform.frame
        if not (step.backwards and isinstance(model, BendingModel)):
            continue
        controls = frame.to_file(model.basis.controls.cpu().numpy())
        back, miss = step.moved(step.transform(controls))
        residual = max(residual or 0.0, miss)
        astray = int((np.linalg.norm(back - controls, axis=1) > ASTRAY * frame.scale).sum())
        if astray:
            raise NotConvergedError(
                f"the spline folds: its inverse puts {astray} of its {len(controls)} control points elsewhere. "
                "Register with more stiffness, or the other way round"
            )
    return residual


def _as_chain(point_map: PointMap) -> Chain:
    if isinstance(point_map, Chain):
        return point_map
    assert isinstance(point_map, Transform)
    return Chain((Step(point_map),), point_map.provenance, point_map.direction, point_map.space)


def _simplest(chain: Chain) -> PointMap:
    """The transform itself if a chain has only that step, forwards."""
    [step, *others] = chain.steps
    return chain if others or step.backwards else replace(step.transform, direction=chain.direction, space=chain.space)
