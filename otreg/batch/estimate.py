"""What a job will take, about: memory and time in proportion to its points.

The rates are those of ``benchmarks/results/batch.json``, of one machine and of whole surfaces that differ little; on
another one, with another blur, they are right within a small factor. They serve to plan a night, and to keep workers
from asking for more memory than there is.
"""

from __future__ import annotations

from dataclasses import dataclass

from otreg.batch.sizes import Size
from otreg.config import SPLINES, RegisterConfig

# Bytes: torch and numba, loaded; and for each point of source and target.
BASE_MEMORY, BYTES_PER_POINT = 450 << 20, 1200
# Seconds, for a job and for each point of source and target: lines through the smallest and the largest size.
RIGID = 1.2, 3e-5
SPLINE = 2.3, 5.6e-5


@dataclass(frozen=True)
class Estimate:
    """source, target: sizes of the files; memory: bytes that a worker needs; seconds: that it computes on one core."""

    source: Size
    target: Size
    memory: int
    seconds: float


def estimate(source: Size, target: Size, config: RegisterConfig) -> Estimate:
    """What the registration of two files will take."""
    points = source.about + target.about
    base, rate = SPLINE if any(model in SPLINES for model in config.models) else RIGID
    return Estimate(source, target, BASE_MEMORY + BYTES_PER_POINT * points, base + rate * points)
