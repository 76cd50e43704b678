"""The KeOps reduction: every pair in float64, never stored, compiled for the dimension and device at hand.

One map-reduce pass gives the softmin and the barycentres together: with e_ij the exponent, KeOps returns the row
maximum t_i, sum_j exp(e_ij - t_i) and sum_j exp(e_ij - t_i) y_j. The moments add a seventh to the cost of a pass, so
there is one formula and one compilation. KeOps is imported, and its C++ or CUDA code compiled, when first needed.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from otreg.errors import ResourceError
from otreg.measures import Measure
from otreg.transport.pyramid import Cloud, Pyramid, single_level
from otreg.transport.reductions.base import Potential, Temperature

Kernel = Callable[..., torch.Tensor]
_LOG_NOTHING = -1e30  # stands for log(0): a row whose first exponents are -inf would come out of KeOps as NaN


@final
@dataclass(frozen=True)
class KeopsReduction:
    """All pairs in float64 through KeOps: any dimension, main memory or CUDA, memory linear in the points."""

    name: str = "keops"

    def pyramid(self, measure: Measure, finest_cell: float) -> Pyramid:
        """The points themselves; ``finest_cell`` has no meaning here."""
        return single_level(measure)

    def couple(
        self, source: Cloud, target: Cloud, f: Potential, g: Potential, temperature: Temperature
    ) -> KeopsCoupling:
        """Softmins between all points, whatever the potentials. Raises ResourceError when KeOps cannot compile."""
        kernel = _kernel(source.points.shape[1], source.points.device)
        return KeopsCoupling(source, target, temperature.eps, kernel)


@final
@dataclass(frozen=True)
class KeopsCoupling:
    """All pairs of two clouds at temperature eps."""

    source: Cloud
    target: Cloud
    eps: float
    kernel: Kernel
    dropped: float = 0.0
    rounding: float = 3e-14

    def rows(self, g: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        return self._softmin(self.source, self.target, g, previous, moments)

    def columns(self, f: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        return self._softmin(self.target, self.source, f, previous, moments)

    def settle(self) -> None:
        """Nothing is ever dropped."""

    def _softmin(self, rows: Cloud, columns: Cloud, g: torch.Tensor, previous: Potential, moments: int) -> Potential:
        per_column = g / self.eps + columns.weights.log().clamp_min(_LOG_NOTHING)
        out = self.kernel(
            rows.points.contiguous(), columns.points.contiguous(), per_column[:, None], g.new_tensor([0.5 / self.eps])
        )
        top, total, weighted = out[:, 0], out[:, 1], out[:, 2:]  # (n,), (n,), (n, d)
        values = -self.eps * (top + total.log())
        return Potential(values, weighted / total[:, None] if moments else previous.image)


@functools.cache
def _kernel(dimension: int, device: torch.device) -> Kernel:
    """The compiled reduction (points (n, d), points (m, d), per column (m, 1), scale (1,)) -> (n, 2 + d), float64.

    The first call in a process imports KeOps; the first one on a machine compiles for some seconds and leaves the
    result in KeOps' own cache. Raises ResourceError when that fails.
    """
    try:
        with _one_process_at_a_time(), _quiet():
            import pykeops
            from pykeops.torch import Genred

            kernel: Kernel = Genred(
                "E - S * SqDist(X, Y)",
                [f"X = Vi({dimension})", f"Y = Vj({dimension})", "E = Vj(1)", "S = Pm(1)"],
                reduction_op="Max_SumShiftExpWeight",
                axis=1,
                formula2="Concat(IntCst(1), Y)",
            )
            point = torch.zeros(1, dimension, dtype=torch.float64, device=device)
            kernel(point, point, point[:, :1], point[0, :1])  # compiles, or loads what was compiled before
            pykeops.set_verbose(False)
    except Exception as error:  # KeOps lets through whatever its import, the compiler and the loader raise
        raise ResourceError(
            f"reduction 'keops' could not compile its kernel: {_reason(error)}. "
            "Install g++ or use --reduction dense or cpu."
        ) from error
    return kernel


def _reason(error: Exception) -> str:
    """What went wrong, in a few words."""
    pykeops = sys.modules.get("pykeops")
    if pykeops is not None and pykeops.config.pykeops_base.get_cxx_compiler() is None:
        return "no C++ compiler was found"
    if isinstance(error, ModuleNotFoundError) and str(error.name).startswith("pykeops_cpp_"):
        return "the C++ compiler failed"  # KeOps does not look at its exit status
    return f"{type(error).__name__}: {error}".splitlines()[0]


@contextlib.contextmanager
def _one_process_at_a_time() -> Iterator[None]:
    """A lock beside KeOps' cache: two processes that compile one formula would write the same files."""
    import fcntl

    folder = Path(os.environ.get("KEOPS_CACHE_FOLDER") or Path.home() / ".cache")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "otreg-keops.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file closes
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What KeOps prints is dropped, and what its compiler and its libraries write to stdout goes to stderr."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        stdout = os.dup(1)
        try:
            os.dup2(2, 1)
            yield
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)
