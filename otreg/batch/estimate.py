"""What a job will take, about: memory and time in proportion to its points.

The rates are those of ``benchmarks/results/batch.json``, of one machine and of whole surfaces that differ little; on
another one, with another blur, they are right within a small factor. They serve to plan a night, and to keep workers
from asking for more memory than there is.
"""

from __future__ import annotations

from dataclasses import dataclass

from otreg.batch.sizes import Size
from otreg.config import RegisterConfig

BASE_MEMORY = 500 << 20  # bytes: torch and numba, loaded
BYTES_PER_POINT = 2000
BASE_SECONDS = 1.0
SECONDS_PER_POINT = 5e-5
SPLINE_SECONDS_PER_POINT = 1e-4


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
    rate = SPLINE_SECONDS_PER_POINT if "spline" in config.models else SECONDS_PER_POINT
    return Estimate(source, target, BASE_MEMORY + BYTES_PER_POINT * points, BASE_SECONDS + rate * points)
