"""What the Sinkhorn loop is asked to do, and on which levels of the pyramids it works."""

from __future__ import annotations

from dataclasses import dataclass, replace

from otreg.transport.pyramid import Pyramid
from otreg.transport.reductions.base import Temperature
from otreg.transport.relaxation import Relaxation

# Measures of at most so many points are not merged into cells at the last blur, or at all.
_SMALL, _TINY = 4096, 1024


@dataclass(frozen=True)
class Rules:
    """What the loop is asked to do; lengths in frame units.

    blur, p, source, target: the problem, with the relaxations of its two sides. least_reach: the smaller of both, inf
    if there is none; all problems of one divergence are quantised alike. tolerance: marginal error at which to stop.
    value_tolerance: error of the divergence that is asked for, over its value, or None. max_iterations: sweeps at the
    last blur. ratio: of consecutive blurs. path_sweeps, over_relaxation: of the updates along the path. cut: what holds
    less than exp(-cut) of a row's mass is left out. cell: largest edge of a cell over the blur; path_cell: the same on
    the path.
    """

    blur: float
    p: int
    source: Relaxation
    target: Relaxation
    least_reach: float
    tolerance: float
    value_tolerance: float | None
    max_iterations: int
    ratio: float
    path_sweeps: int
    over_relaxation: float
    cut: float
    cell: float
    path_cell: float

    @property
    def eps(self) -> float:
        return self.temperature(self.blur).eps

    @property
    def sides(self) -> tuple[Relaxation, Relaxation]:
        return self.source, self.target

    @property
    def balanced(self) -> bool:
        """True when both sides keep their mass exactly."""
        return self.source.rho is None and self.target.rho is None

    def of_source(self) -> Rules:
        """The rules of the source's problem with itself."""
        return replace(self, target=self.source)

    def of_target(self) -> Rules:
        """The rules of the target's problem with itself."""
        return replace(self, source=self.target)

    def reversed(self) -> Rules:
        """The rules of the problem with source and target swapped."""
        return replace(self, source=self.target, target=self.source)

    def temperature(self, blur: float) -> Temperature:
        """The coupling's view of the problem at a blur."""
        eps = blur**self.p
        return Temperature(self.p, eps, self.source.damping(eps), self.target.damping(eps), self.cut)

    def path_level(self, pyramid: Pyramid, blur: float) -> int:
        """The level for the sweeps at a blur along the path. Cells must be small against the reach, too.

        Tiny measures stay as they are: where the map jumps, cells are a bad start for points.
        """
        if len(pyramid[0]) <= _TINY:
            return 0
        return pyramid.level(self.path_cell * min(blur, self.least_reach))

    def final_level(self, pyramid: Pyramid) -> int:
        """The level of the answer: finer than that of the path, unless the path ran on the points themselves.

        Small measures are not worth merging.
        """
        if len(pyramid[0]) <= _SMALL:
            return 0
        final = pyramid.level(self.cell * min(self.blur, self.least_reach))
        if final == 0:  # whatever the path's level, which need not be built for that
            return 0
        return min(final, max(self.path_level(pyramid, self.blur) - 1, 0))
