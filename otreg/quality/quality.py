"""How well a registration fits, in figures that need no knowledge of transport: what report.json and pages show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from otreg.models.point_map import PointMap
from otreg.quality.distances import Distances, SurfaceDistances, surface_distances
from otreg.quality.folding import Folding, folding_of
from otreg.quality.pieces import pieces_of
from otreg.shapes import Shape

# Samples of each surface: the mean is known to a hundredth of the distances' spread.
SAMPLES = 10_000


@dataclass(frozen=True)
class Quality:
    """How well a moved source fits its target; lengths in file units.

    distances: between the two shapes, both ways; overlap_mass: share of the source's mass that finds a partner, None
    where it is not known; folding: of the map; diagonal: of the target's bounding box, which percentages refer to.
    """

    distances: SurfaceDistances
    overlap_mass: float | None
    folding: Folding
    diagonal: float

    def to_dict(self) -> dict[str, Any]:
        """In pure JSON types: every length in file units, and again in percent of the target's diagonal."""
        both = self.distances
        symmetric = {
            "mean": both.symmetric_mean,
            "mean_error": both.symmetric_mean_error,
            "rms": both.symmetric_rms,
            "percentile95": both.symmetric_percentile95,
            "maximum": both.symmetric_maximum,
        }
        return {
            "unit": "file units; percent: of the target's diagonal",
            "diagonal": self.diagonal,
            "distances": {
                "source_to_target": self._both_units(both.source_to_target),
                "target_to_source": self._both_units(both.target_to_source),
                "symmetric": {**symmetric, "percent": self._percent(symmetric)},
            },
            "chamfer": both.chamfer,
            "overlap_mass": self.overlap_mass,
            "jacobian": {
                "smallest": self.folding.smallest,
                "largest": self.folding.largest,
                "points": self.folding.points,
            },
            "flipped_faces": (
                None
                if self.folding.flipped_faces is None
                else {"count": self.folding.flipped_faces, "checked": self.folding.faces}
            ),
        }

    def _both_units(self, distances: Distances) -> dict[str, Any]:
        lengths = {name: getattr(distances, name) for name in ("mean", "mean_error", "rms", "percentile95", "maximum")}
        return {
            **lengths,
            "samples": distances.samples,
            "measured_to": distances.measured_to,
            "percent": self._percent(lengths),
        }

    def _percent(self, lengths: Mapping[str, float]) -> dict[str, float]:
        return {name: 100 * value / self.diagonal for name, value in lengths.items()}


def quality_of(
    *,
    source: Shape,
    moved: Shape,
    target: Shape,
    point_map: PointMap,
    overlap_mass: float | None = None,
    samples: int = SAMPLES,
) -> Quality:
    """How well ``moved``, which is ``source`` moved by ``point_map``, fits ``target``; all in file units.

    overlap_mass: share of the source's mass that finds a partner; samples: how many points of each shape are measured,
    and at how many corners and faces the map's derivative is.
    """
    moved_pieces = pieces_of(moved)
    low, high = target.points.min(axis=0), target.points.max(axis=0)
    return Quality(
        distances=surface_distances(moved_pieces, pieces_of(target), samples=samples),
        overlap_mass=None if overlap_mass is None or not math.isfinite(overlap_mass) else overlap_mass,
        folding=folding_of(point_map, pieces_of(source), moved=moved.points, most=samples),
        diagonal=float(np.linalg.norm(high - low)),
    )
