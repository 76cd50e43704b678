"""What splines share: an affine map plus a smooth bend, a sum of kernels at control points on the source.

phi(x) = A(x) + sum_k w_k K(x, c_k), with penalty stiffness^2 / 2 * norm^2, where norm^2 = trace(w^T K_cc w); the affine
part is free. The norm is a length: a single bump of height h has norm h. Beside the mean squared residual / 2 of a fit
this makes stiffness a ratio of two lengths, the same for every shape in every unit: bending by h is worth it where it
takes more than stiffness * h off the rms residual (in quadrature). Regularised least squares has a closed form (Wahba
1990, ch. 1), solved here in whitened coordinates z (see basis), in which the norm is |z|.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from otreg.errors import ArgumentError, FormatError
from otreg.models.affine import Affine
from otreg.models.base import Model, as_points
from otreg.models.basis import KernelBasis
from otreg.models.farthest import farthest_points
from otreg.models.fields import read_positive, read_rows, require
from otreg.models.kernel import BLOCK_ENTRIES, Kernel
from otreg.models.linear import Moments

DEFAULT_STIFFNESS = 0.0075
# The normal equations carry 16 digits; the square of a smaller stiffness would be lost in their round-off.
MIN_STIFFNESS = 1e-6
# Feature values held at once in a fit: 8 M entries are 64 MB. The cells of a level should be one block, whose values
# are then there for the next fit: surfaces have some 10,000, and splines 300 features.
FIT_ENTRIES = 2**23
# Strips of columns in which the lower triangle of a normal matrix is computed: five eighths of the whole product.
_STRIPS = 4


@dataclass(frozen=True, eq=False)
class BendingModel(Model, ABC):
    """phi(x) = affine(x) + sum_k w_k K(x, c_k).

    affine: the linear part, unpenalised; basis: controls c_k and kernel K; coefficients: w, (k, d), frame units;
    stiffness: rms residual that a bend is worth, over its height. Parameters: those of the affine part, then the change
    of z by rows (r * d).
    """

    affine: Affine
    basis: KernelBasis
    coefficients: Tensor
    stiffness: float = DEFAULT_STIFFNESS

    generality: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if not MIN_STIFFNESS <= self.stiffness < float("inf"):
            raise ArgumentError(f"stiffness must be finite and at least {MIN_STIFFNESS:g}; got {self.stiffness}")

    @property
    def pivot(self) -> Tensor:  # type: ignore[override]
        """(d,), the pivot of the affine part."""
        return self.affine.pivot

    @classmethod
    def _start_affine(cls, points: Tensor, weights: Tensor, previous: Model | None) -> tuple[Affine, float]:
        """The affine part to start from, and its scale: a source length h appears as scale * h in the frame."""
        if isinstance(previous, BendingModel):
            raise ArgumentError(
                f"a {cls.name} model cannot start from a {previous.name} one; order them rigid, similarity, affine, "
                f"{cls.name}, or use with_stiffness on the previous one"
            )
        affine = Affine.start(points, weights, previous=previous)
        return affine, float(affine.matrix.norm()) / affine.dimension**0.5 or 1.0

    @staticmethod
    def _controls(points: Tensor, weights: Tensor, *, count: int, seed: int) -> Tensor:
        """(k, d) control points spread evenly over the points of positive weight. Raises ArgumentError."""
        if count < 1:
            raise ArgumentError(f"control_points must be at least 1; got {count}")
        points = points.detach().to(torch.float64)
        return farthest_points(points[weights > 0] if (weights > 0).any() else points, count=count, seed=seed)

    def with_stiffness(self, stiffness: float) -> Self:
        """The same map with another weight of the penalty, for the fits to come."""
        return replace(self, stiffness=float(stiffness))

    def __call__(self, points: Tensor) -> Tensor:
        points = as_points(points, self.dimension)
        return self.affine(points) + self.basis(points, self.coefficients)

    @property
    def parameter_count(self) -> int:
        return self.affine.parameter_count + self.basis.rank * self.dimension

    def with_parameters(self, theta: Tensor) -> Self:
        k = self.affine.parameter_count
        change = self.basis.whitening @ theta[k:].reshape(-1, self.dimension)
        return replace(self, affine=self.affine.with_parameters(theta[:k]), coefficients=self.coefficients + change)

    @property
    def coordinates(self) -> Tensor:
        return torch.cat([self.affine.coordinates, self.coefficients.flatten()])

    def with_coordinates(self, values: Tensor) -> Self:
        k = self.affine.parameter_count
        return replace(
            self,
            affine=self.affine.with_coordinates(values[:k]),
            coefficients=values[k:].view_as(self.coefficients),
        )

    def penalty(self) -> Tensor:
        return self.stiffness**2 / 2 * self.basis.norm_squared(self.coefficients)

    def fit(self, points: Tensor, targets: Tensor, weights: Tensor, *, mass: float | None = None) -> Self:
        """The exact minimiser of the penalised least squares over bend and affine part together.

        Takes (n, r) features in blocks of 64 MB; those of the last points are kept, so that a next fit at the same
        points is cheaper. See ``Model.fit`` for the rest.
        """
        with torch.no_grad():
            x, y = as_points(points, self.dimension), as_points(targets, self.dimension)
            moments = Moments.of(x, y, weights.to(torch.float64))
            if moments is None:
                return self
            ridge = self.stiffness**2 * (1.0 if mass is None else mass / float(weights.sum()))
            z, change = self._solve(x, y - self.affine(x), moments, ridge)
            shift = change[0] + (self.pivot - moments.mean_x) @ change[1:]
            affine = replace(
                self.affine, matrix=self.affine.matrix + change[1:].T, translation=self.affine.translation + shift
            )
            return replace(self, affine=affine, coefficients=self.basis.whitening @ z)

    def _solve(self, points: Tensor, residual: Tensor, moments: Moments, ridge: float) -> tuple[Tensor, Tensor]:
        """z (r, d) and the affine change (1 + d, d), in powers 1, x - mean, that best explain the residual (n, d)."""
        # Affine functions orthonormal under the weights, over the directions in which the source has extent:
        # together with whitened kernels the normal matrix is as well conditioned as the ridge allows.
        whitener, r = moments.whitener(), self.basis.rank
        size = r + 1 + whitener.shape[1]
        width = -(-size // _STRIPS)
        normal, right = points.new_zeros(size, size), points.new_zeros(size, self.dimension)
        for rows in self._fit_blocks(len(points)):
            linear = (points[rows] - moments.mean_x) @ whitener
            columns = self.basis.features(points[rows]), linear, residual[rows], moments.weights[rows]
            # Weighted in pieces that stay in the cache until their products are done.
            piece = max(1, BLOCK_ENTRIES[points.device.type] // size)
            for values, linear, wanted, weights in zip(*(c.split(piece) for c in columns), strict=True):
                root = weights[:, None].sqrt()
                block = torch.cat([values, torch.ones_like(root), linear], 1).mul_(root)
                for first in range(0, size, width):
                    strip = slice(first, first + width)
                    normal[first:, strip].addmm_(block[:, first:].T, block[:, strip])
                right.addmm_(block.T, wanted * root)
        normal.diagonal()[:r] += ridge  # its lower triangle is all that Cholesky reads
        solution = torch.cholesky_solve(right, torch.linalg.cholesky(normal))
        return solution[:r], torch.cat([solution[r : r + 1], whitener @ solution[r + 1 :]])

    def _fit_blocks(self, n: int) -> Iterator[slice]:
        rows = max(1, FIT_ENTRIES // max(1, self.basis.rank))
        return (slice(start, start + rows) for start in range(0, n, rows))

    def linear(self) -> None:
        return None

    def jacobian(self, points: Tensor) -> Tensor:
        points = as_points(points, self.dimension)
        return self.affine.matrix + self.basis.jacobian(points, self.coefficients)

    def inverse_points(self, points: Tensor, tolerance: float = 1e-9) -> tuple[Tensor, Tensor]:
        """Newton's method with halved steps, from the inverse of the affine part. See ``Model.inverse_points``.

        Where the spline folds or is not onto there may be no inverse: the second answer is then above ``tolerance``.
        """
        with torch.no_grad():
            targets = as_points(points, self.dimension)
            sources = (targets - self.affine.linear()[1]) @ torch.linalg.pinv(self.affine.matrix).T
            distance = (self(sources) - targets).norm(dim=1)
            active = (distance > tolerance).nonzero()[:, 0]
            for _ in range(50):
                if not len(active):
                    break
                before = distance[active]
                self._newton_step(sources, distance, targets, active)
                # A point that no longer gets closer, by a tenth of a percent, is left where it is.
                going_on = (distance[active] > tolerance) & (distance[active] < 0.999 * before)
                active = active[going_on]
            return sources, distance

    def _newton_step(self, sources: Tensor, distance: Tensor, targets: Tensor, active: Tensor) -> None:
        """Move the ``active`` sources, in place, by the longest of ten halved Newton steps that brings them closer."""
        x, miss = sources[active], self(sources[active]) - targets[active]
        step = torch.linalg.solve_ex(self.jacobian(x), miss[:, :, None])[0][:, :, 0]  # not finite where singular
        for _ in range(10):
            trial = sources[active] - step
            reached = (self(trial) - targets[active]).norm(dim=1)
            closer = reached < distance[active]
            sources[active[closer]], distance[active[closer]] = trial[closer], reached[closer]
            active, step = active[~closer], step[~closer] / 2
            if not len(active):
                break

    def _fields(self) -> dict[str, Any]:
        """What ``to_dict`` writes of every spline."""
        return {
            "name": self.name,
            "affine": self.affine.to_dict(),
            "stiffness": self.stiffness,
            "controls": self.basis.controls.tolist(),
            "coefficients": self.coefficients.tolist(),
        }

    @classmethod
    def _of_fields(cls, data: Any, kernel: Kernel) -> Self:
        """What ``_fields`` wrote. Raises FormatError."""
        affine = Affine.from_dict(require(data, "affine"))
        d = affine.dimension
        controls = read_rows(data, "controls", columns=d)
        coefficients = read_rows(data, "coefficients", rows=len(controls), columns=d)
        stiffness = read_positive(data, "stiffness")
        if stiffness < MIN_STIFFNESS:
            raise FormatError(f"'stiffness' must be at least {MIN_STIFFNESS:g}; got {stiffness}")
        return cls(affine, KernelBasis(controls, kernel), coefficients, stiffness)
