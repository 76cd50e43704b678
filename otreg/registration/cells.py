"""A measure in cells as large as a blur: what one pyramid gives for all blurs of a registration.

Cells are cubes where the linear part of the model puts the points, and hold the centroids of their points *before* they
move. As long as that part leaves lengths as they are, the cells of all blurs come from the pyramid that the first one
needed; turns and shifts hardly matter to it, and what a spline bends is small against the shape.
"""

from __future__ import annotations

from typing import final

import torch

from otreg.measures import Measure
from otreg.models import BendingModel, Model
from otreg.registration.turning import moved_features
from otreg.transport import devices
from otreg.transport.pyramid import Pyramid, build_pyramid
from otreg.transport.pyramid_torch import build_pyramid_on_device

# Cell over blur. From 0.6 to 1.2 the errors on real pairs differ by 2 %; 1.2 keeps the clouds small.
_CELL = 1.2
# A model with hundreds of parameters must see as many points as that, however large the blur: fewer cells than this are
# refined, up to three times.
_LEAST_CELLS = 1000
_REFINEMENTS = 3
# Cells are so many times larger in the features than in space: they need to tell the sides of a sheet apart, which lie
# seven blurs apart by default, but not every change of a normal.
_FEATURE_CELL = 4.0
# Largest cell over the diagonal of what is quantised.
_LARGEST_SHARE = 0.2
# A model that changes lengths by a larger factor than this, in any direction, needs a new pyramid.
_SAME_LENGTHS = 1.1


@final
class Cells:
    """A measure, to be seen at several blurs."""

    def __init__(self, measure: Measure, *, blur: float) -> None:
        """blur: the smallest at which it will be seen."""
        self.measure, self._blur = measure, blur
        self._built: _Built | None = None

    def at(self, blur: float, model: Model | None = None, *, turning: bool = False) -> Measure:
        """Centroids, masses and features of cells of 1.2 blur, before the model moves them.

        model: the map so far, None for the identity. turning: whether the features are normals. Near points turn nearly
        alike, so it hardly matters for the cells how they do: here they all turn as in the middle of the shape, which
        undoes whatever pose the source is in.
        """
        measure, d = self.measure, self.measure.dimension
        if d > 3:
            return measure
        matrix = (
            torch.eye(d, dtype=torch.float64, device=measure.points.device) if model is None else _linear_part(model)
        )
        if self._built is None or not self._built.fits(matrix):
            self._built = self._build(matrix, model, turning=turning)
        centroids, weights = self._built.cells(_CELL * blur)
        features = None if measure.features is None else centroids[:, d:].contiguous()
        return Measure(centroids[:, :d].contiguous(), weights, features)

    def _build(self, matrix: torch.Tensor, model: Model | None, *, turning: bool) -> _Built:
        measure, features = self.measure, self.measure.features
        moved = measure.points.double() @ matrix.T
        if features is not None:
            if model is not None:
                with torch.no_grad():
                    features = moved_features(features, model, measure.points.mean(0, keepdim=True), turning=turning)
            features = features / _FEATURE_CELL
        # A source much smaller than the target must not end in one cell: its size is what the first level has to find.
        largest = _LARGEST_SHARE * float((moved.max(0).values - moved.min(0).values).norm()) or _CELL * self._blur
        finest = min(_CELL * self._blur, largest) / 2**_REFINEMENTS
        build = build_pyramid if devices.in_main_memory(moved) else build_pyramid_on_device
        pyramid = build(Measure(moved, measure.weights, features), finest)
        return _Built(matrix, pyramid, pyramid.from_measure_order(measure.coordinates.double()), largest)


@final
class _Built:
    """The pyramid of the points where a linear map put them, and the centroids of its cells at rest."""

    def __init__(self, matrix: torch.Tensor, pyramid: Pyramid, at_rest: torch.Tensor, largest: float) -> None:
        """matrix: (d, d); at_rest: (n, D) positions and features of the points, in the order of the pyramid."""
        self._inverse = torch.linalg.pinv(matrix)
        self._pyramid, self._largest = pyramid, largest
        self._at_rest = [at_rest]  # of each level, as far as they were asked for

    def fits(self, matrix: torch.Tensor) -> bool:
        """Whether lengths after that map are about what they are here."""
        changes = torch.linalg.svdvals(matrix @ self._inverse)
        return bool(changes[0] < _SAME_LENGTHS) and bool(changes[-1] > 1 / _SAME_LENGTHS)

    def cells(self, edge: float) -> tuple[torch.Tensor, torch.Tensor]:
        """(k, D) centroids and (k,) masses of cells of at most that edge, but of many cells at least."""
        edge = min(edge, self._largest)
        pyramid = self._pyramid
        level = pyramid.level(1.001 * edge)
        finest = 1.001 * edge / 2**_REFINEMENTS
        while level > 0 and len(pyramid[level]) < _LEAST_CELLS and pyramid[level].cell > finest:
            level -= 1
        for k in range(len(self._at_rest) - 1, level):
            self._at_rest.append(pyramid.coarsen(self._at_rest[k], k + 1, start=k))
        return self._at_rest[level], pyramid[level].weights


def _linear_part(model: Model) -> torch.Tensor:
    """(d, d), of a spline that of its affine part."""
    linear = (model.affine if isinstance(model, BendingModel) else model).linear()
    assert linear is not None
    return linear[0].detach()
