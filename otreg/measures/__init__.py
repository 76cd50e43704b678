"""Weighted Dirac measures and how shapes become measures."""

from otreg.measures.frame import Frame
from otreg.measures.measure import Measure

__all__ = ["Frame", "Measure"]
