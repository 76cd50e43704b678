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
    """S(source, target) for the cost |x - y|^p / p, in file units^p.

    value: the debiased Sinkhorn divergence; lower, upper: the exact one for these points and settings lies between.
    marginal_error: share of the mass that the plan puts in the wrong place; converged, status: whether that is enough.
    p: 2 or 1.
    """

    value: float
    lower: float
    upper: float
    marginal_error: float
    converged: bool
    status: str
    p: int = 2

    @staticmethod
    def of(transport: Transport, frame: Frame) -> Divergence:
        """The divergence of a transport that was found in ``frame``."""
        unit = frame.scale**transport.p
        return Divergence(
            value=float(transport.value) * unit,
            lower=float(transport.lower) * unit,
            upper=float(transport.upper) * unit,
            marginal_error=float(transport.marginal_error),
            converged=bool(transport.converged),
            status=str(transport.status),
            p=transport.p,
        )

    @property
    def distance(self) -> float:
        """A length in file units: the way of the mass, its root mean square sqrt(2 S) for p = 2, its mean S for p = 1.

        This is the Wasserstein-p distance as the blur goes to 0.
        """
        value = max(self.value, 0.0)
        return math.sqrt(2 * value) if self.p == 2 else value

    @property
    def unit(self) -> str:
        """Of the value."""
        return "squared file units" if self.p == 2 else "file units"

    def to_dict(self) -> dict[str, Any]:
        """In pure JSON types; a number that is not finite becomes null."""
        record = plain(self)
        return {**record, "distance": plain(self.distance), "unit": f"{self.unit}; distance: file units"}
