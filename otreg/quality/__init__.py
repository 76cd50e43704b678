"""How well a registration fits: distances between surfaces, overlap, and whether the map folds. One module for all."""

from otreg.quality.distances import Distances, SurfaceDistances, sampled_distances, surface_distances
from otreg.quality.folding import Folding, determinants, folding_of
from otreg.quality.nearest import NearestPoint
from otreg.quality.pieces import Pieces, pieces_of, samples_of
from otreg.quality.quality import SAMPLES, Quality, quality_of

__all__ = [
    "SAMPLES",
    "Distances",
    "Folding",
    "NearestPoint",
    "Pieces",
    "Quality",
    "SurfaceDistances",
    "determinants",
    "folding_of",
    "pieces_of",
    "quality_of",
    "sampled_distances",
    "samples_of",
    "surface_distances",
]
