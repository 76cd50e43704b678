"""A divergence in the unit of the files, with its error: the number that registrations and distances report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from otreg.jobs.plain import plain
from otreg.measures import Frame
from otreg.transport import Transport


@dataclass(frozen=True)
class Divergence:
    """S(source, target) for the cost |x - y|^2 / 2, in squared file units.

    value: the debiased Sinkhorn divergence; lower, upper: the exact one for these points and settings lies between.
    marginal_error: share of the mass that the plan puts in the wrong place; converged, status: whether that is enough.
    """

    value: float
    lower: float
    upper: float
    marginal_error: float
    converged: bool
    status: str

    @staticmethod
    def of(transport: Transport, frame: Frame) -> Divergence:
        """The divergence of a transport that was found in ``frame``."""
        square = frame.scale**2
        return Divergence(
            value=float(transport.value) * square,
            lower=float(transport.lower) * square,
            upper=float(transport.upper) * square,
            marginal_error=float(transport.marginal_error),
            converged=bool(transport.converged),
            status=str(transport.status),
        )

    @property
    def distance(self) -> float:
        """sqrt(2 S), a length in file units: the root mean square way of the mass (Wasserstein-2 as blur goes to 0)."""
        return math.sqrt(2 * max(self.value, 0.0))

    def to_dict(self) -> dict[str, Any]:
        """In pure JSON types; a number that is not finite becomes null."""
        record = plain(self)
        return {**record, "distance": plain(self.distance), "unit": "squared file units; distance: file units"}
