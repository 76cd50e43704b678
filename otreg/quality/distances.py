"""Distances from one shape to another, summarised: the mean over the surface, its spread, and the worst."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otreg.quality.nearest import NearestPoint
from otreg.quality.pieces import Kind, Pieces, samples_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Distances:
    """Distances of points of one shape to the nearest point of another one, in file units.

    mean, rms, percentile95, maximum: over the area (the length of curves, the number of points in clouds);
    mean_error: standard error of the mean, 0 where every point was measured;
    samples: how many points were measured; the maximum is the largest of these;
    measured_to: what the nearest point was looked for on: the other's "surface", "curve" or "points".
    """

    mean: float
    mean_error: float
    rms: float
    percentile95: float
    maximum: float
    samples: int
    measured_to: Kind

    @staticmethod
    def of(distances: Floats, *, sampled: bool, measured_to: Kind) -> Distances:
        """The summary of (k,) distances of points that stand for equal shares of the shape."""
        error = float(distances.std() / np.sqrt(len(distances))) if sampled else 0.0
        return Distances(
            mean=float(distances.mean()),
            mean_error=error,
            rms=float(np.sqrt(np.square(distances).mean())),
            percentile95=float(np.percentile(distances, 95)),
            maximum=float(distances.max()),
            samples=len(distances),
            measured_to=measured_to,
        )


@dataclass(frozen=True)
class SurfaceDistances:
    """Both ways between a moved source and its target, in file units.

    symmetric_mean, symmetric_rms: of both ways together, each with half of the weight; symmetric_percentile95,
    symmetric_maximum: the larger of the two ways (the maximum is the Hausdorff distance, as far as the samples see it);
    chamfer: sum of the two mean squared distances, in squared file units.
    """

    source_to_target: Distances
    target_to_source: Distances

    @property
    def symmetric_mean(self) -> float:
        return (self.source_to_target.mean + self.target_to_source.mean) / 2

    @property
    def symmetric_mean_error(self) -> float:
        """Standard error of the symmetric mean; the samples of the two ways are independent."""
        return float(np.hypot(self.source_to_target.mean_error, self.target_to_source.mean_error)) / 2

    @property
    def symmetric_rms(self) -> float:
        return float(np.sqrt(self.chamfer / 2))

    @property
    def symmetric_percentile95(self) -> float:
        return max(self.source_to_target.percentile95, self.target_to_source.percentile95)

    @property
    def symmetric_maximum(self) -> float:
        return max(self.source_to_target.maximum, self.target_to_source.maximum)

    @property
    def chamfer(self) -> float:
        return self.source_to_target.rms**2 + self.target_to_source.rms**2


def sampled_distances(moved: Pieces, target: Pieces, *, samples: int) -> tuple[Floats, Floats]:
    """Distances of points spread evenly over each shape to the other one: (k,) from the moved source, (l,) back.

    samples: how many points on each; clouds of fewer points give all of theirs.
    """
    there = NearestPoint(target)(samples_of(moved, samples, seed=0))
    back = NearestPoint(moved)(samples_of(target, samples, seed=1))
    return there, back


def surface_distances(moved: Pieces, target: Pieces, *, samples: int) -> SurfaceDistances:
    """How far a moved source and its target are from each other; see ``sampled_distances``."""
    there, back = sampled_distances(moved, target, samples=samples)
    return SurfaceDistances(
        source_to_target=Distances.of(there, sampled=_is_sample(moved, samples), measured_to=target.kind),
        target_to_source=Distances.of(back, sampled=_is_sample(target, samples), measured_to=moved.kind),
    )


def _is_sample(pieces: Pieces, samples: int) -> bool:
    return pieces.kind != "points" or len(pieces.points) > samples
