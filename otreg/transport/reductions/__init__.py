"""Backends of the transport engine behind one seam, and how one is chosen."""

from __future__ import annotations

import functools

import torch

from otreg.errors import ArgumentError, ResourceError
from otreg.measures import Measure
from otreg.transport.reductions.base import Coupling, Potential, Reduction

REDUCTIONS = ("dense", "cpu", "keops", "triton")

__all__ = ["REDUCTIONS", "Coupling", "Potential", "Reduction", "select_reduction"]


def select_reduction(name: str, measure: Measure, *, exact: bool = False) -> Reduction:
    """The backend of that name; "auto" is the fastest one that can work on the measure's device and dimension.

    On a GPU that is triton where it compiles and takes that many coordinates, else keops where it compiles, else dense.
    exact: sums in float64, also where float32 is faster.
    """
    if name == "auto":
        return _automatic(measure, exact=exact)
    if name == "dense":
        from otreg.transport.reductions.dense import DenseReduction

        return DenseReduction()
    if name == "cpu":
        if measure.points.device.type != "cpu" or measure.dimension > 3:
            raise ArgumentError(
                f"reduction 'cpu' works on points in main memory with 1 to 3 coordinates; got {measure.dimension} "
                f"on {measure.points.device}. Use 'dense'."
            )
        from otreg.transport.reductions.cpu import CpuReduction

        return CpuReduction(exact=exact)
    if name == "keops":
        from otreg.transport.reductions.keops import KeopsReduction

        return KeopsReduction()
    if name == "triton":
        from otreg.transport.reductions.triton_blocks import TritonReduction

        TritonReduction.check(measure.points.device, measure.coordinates.shape[1])
        return TritonReduction(exact=exact)
    raise ArgumentError(f"reduction must be one of auto, {', '.join(REDUCTIONS)}; got '{name}'.")


def _automatic(measure: Measure, *, exact: bool) -> Reduction:
    device = measure.points.device
    if device.type == "cpu":
        return select_reduction("cpu" if measure.dimension <= 3 else "dense", measure, exact=exact)
    if device.type == "cuda":
        return select_reduction(_fastest(device, measure.coordinates.shape[1]), measure, exact=exact)
    return select_reduction("dense", measure)


@functools.cache
def _fastest(device: torch.device, coordinates: int) -> str:
    """What works best on a CUDA device, tried once in a process: a failure to compile may take seconds."""
    from otreg.transport.reductions.keops import KeopsReduction
    from otreg.transport.reductions.triton_blocks import TritonReduction

    for name, reduction in (("triton", TritonReduction), ("keops", KeopsReduction)):
        try:
            reduction.check(device, coordinates)
        except (ResourceError, ArgumentError):  # it cannot work here, or not with so many coordinates
            continue
        return name
    return "dense"
