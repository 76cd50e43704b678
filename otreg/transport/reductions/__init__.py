"""Backends of the transport engine behind one seam, and how one is chosen."""

from __future__ import annotations

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport.reductions.base import Coupling, Potential, Reduction

REDUCTIONS = ("dense", "cpu", "keops")

__all__ = ["REDUCTIONS", "Coupling", "Potential", "Reduction", "select_reduction"]


def select_reduction(name: str, measure: Measure, *, exact: bool = False) -> Reduction:
    """The backend of that name; "auto" is the fastest one that can work on the measure's device and dimension.

    exact: sums in float64, also where float32 is faster.
    """
    from otreg.transport.reductions.dense import DenseReduction

    on_cpu = measure.points.device.type == "cpu"
    if name == "auto":
        name = "cpu" if on_cpu and measure.dimension <= 3 else "dense"
    if name == "dense":
        return DenseReduction()
    if name == "cpu":
        if not on_cpu or measure.dimension > 3:
            raise ArgumentError(
                f"reduction 'cpu' works on points in main memory with 1 to 3 coordinates; got {measure.dimension} "
                f"on {measure.points.device}. Use 'dense'."
            )
        from otreg.transport.reductions.cpu import CpuReduction

        return CpuReduction(exact=exact)
    if name == "keops":
        from otreg.transport.reductions.keops import KeopsReduction

        return KeopsReduction()
    raise ArgumentError(f"reduction must be one of auto, {', '.join(REDUCTIONS)}; got '{name}'.")
