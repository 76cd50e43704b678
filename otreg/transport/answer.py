"""What every transport can be asked, however it was found: by Sinkhorn iterations, or on a line by sorting."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from otreg.measures import Measure
from otreg.transport.brenier import BrenierMap
from otreg.transport.warm_start import WarmStart


class Transport(ABC):
    """Transport between a source and a target measure: its value with an interval, potentials, map and gradients.

    All lengths are in the units of the measures' points; C = |x - y|^p / p. What ``value`` is the cost of, and how far
    it can be trusted, is said by the class that found it.
    """

    # --- value and certificate ---

    @property
    @abstractmethod
    def p(self) -> int:
        """Exponent of the cost, 1 or 2: values and potentials are lengths^p."""

    @property
    @abstractmethod
    def value(self) -> float:
        """The divergence S, never negative."""

    @property
    @abstractmethod
    def signed_value(self) -> float:
        """S as the potentials give it: smooth in the measures, and below zero at times by less than its error."""

    @property
    @abstractmethod
    def lower(self) -> float:
        """Lower bound of S, at least 0."""

    @property
    @abstractmethod
    def upper(self) -> float:
        """Upper bound of S."""

    @property
    def error(self) -> float:
        """Largest distance from ``value`` to the ends of [lower, upper]."""
        return max(self.upper - self.value, self.value - self.lower)

    @property
    @abstractmethod
    def quantisation_error(self) -> float:
        """The part of the error that comes from merging points into cells; 0 where none were merged."""

    @property
    @abstractmethod
    def marginal_error(self) -> float:
        """Mass that the plan puts in the wrong place, as a share of the mass that it moves."""

    @property
    @abstractmethod
    def dropped_mass(self) -> float:
        """Bound on the share of plan mass in the pairs that were left out."""

    @property
    @abstractmethod
    def converged(self) -> bool:
        """True when the tolerances hold."""

    @property
    @abstractmethod
    def status(self) -> str:
        """A sentence that says whether the answer can be trusted, and what to change if not."""

    @property
    @abstractmethod
    def iterations(self) -> int:
        """Sinkhorn sweeps of the cross problem, on all levels."""

    @property
    @abstractmethod
    def reduction(self) -> str:
        """Name of what did the sums."""

    # --- potentials and map ---

    @property
    @abstractmethod
    def source_map(self) -> BrenierMap:
        """The map that moves the source towards the target, at every point of the source measure."""

    @property
    @abstractmethod
    def target_map(self) -> BrenierMap:
        """The map that moves the target towards the source, at every point of the target measure."""

    @abstractmethod
    def at(self, points: torch.Tensor, features: torch.Tensor | None = None) -> BrenierMap:
        """The map at any points of space, (k, d): each moves like source mass that sits there, with those features."""

    @property
    def displacement(self) -> torch.Tensor:
        """(n, d) where every source point asks to go, from where it is."""
        return self.source_map.displacement

    @property
    def matched_mass(self) -> torch.Tensor:
        """(n,) share of every source point's mass that the plan moves."""
        return self.source_map.matched_mass

    @property
    def potential_source(self) -> torch.Tensor:
        """(n,) potential F on the source."""
        return self.source_map.potential

    @property
    def potential_target(self) -> torch.Tensor:
        """(m,) potential G on the target."""
        return self.target_map.potential

    # --- gradients ---

    @property
    @abstractmethod
    def source_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(dS/dpoints (n, d), dS/dweights (n,)) of the source."""

    @property
    @abstractmethod
    def target_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(dS/dpoints (m, d), dS/dweights (m,)) of the target."""

    @property
    @abstractmethod
    def source_feature_gradient(self) -> torch.Tensor | None:
        """dS/dfeatures (n, k) of the source; None where it has no features."""

    @property
    @abstractmethod
    def target_feature_gradient(self) -> torch.Tensor | None:
        """dS/dfeatures (m, k) of the target; None where it has no features."""

    # --- reuse ---

    @property
    @abstractmethod
    def warm_start(self) -> WarmStart:
        """What a nearby problem between as many points can start from. Raises ArgumentError where there was no blur."""

    @abstractmethod
    def warm_start_at(self, source: Measure, target: Measure) -> WarmStart:
        """What a problem between nearby measures with other points, or at another blur, can start from."""
