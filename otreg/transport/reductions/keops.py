"""The KeOps reduction: float64 map-reduce passes over active blocks, compiled for the dimension and device at hand.

One pass gives the softmin and its derivatives together: with e_ij the exponent and w_ij a vector, KeOps returns the row
maximum t_i and sum_j exp(e_ij - t_i) w_ij. The iterations live on the cells of a pyramid; the pairs of blocks of cells
that can matter are found in PyTorch (:mod:`.blocks`) and handed to KeOps as ranges. KeOps is imported, and its C++ or
CUDA code compiled, when first needed.
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
from functools import cached_property
from pathlib import Path
from typing import final

import torch

from otreg.errors import ResourceError
from otreg.measures import Measure
from otreg.transport import devices
from otreg.transport.pyramid import Cloud, Pyramid
from otreg.transport.pyramid_torch import build_pyramid_on_device
from otreg.transport.reductions.base import Potential, Temperature
from otreg.transport.reductions.blocks import ActivePairs, BlockSearch
from otreg.transport.sums import run_lengths

Kernel = Callable[..., torch.Tensor]
Ranges = tuple[torch.Tensor, ...]
_LOG_NOTHING = -1e30  # stands for log(0): a row whose first exponents are -inf would come out of KeOps as NaN
# A GPU takes rows in groups of 192 threads, so smaller blocks would leave threads idle; a CPU gains from compact ones.
_BLOCK_CPU, _BLOCK_GPU = 64, 192
# Where this share of the pairs of blocks is active, all pairs are summed: ranges cost, too.
_MOST = 0.5
# Under the root of a squared distance: the direction between equal points is then 0, not 0 / 0.
_TINY = 1e-300


@final
@dataclass(frozen=True)
class KeopsReduction:
    """Block-sparse softmins in float64 through KeOps: any dimension, in main memory or on a CUDA device."""

    name: str = "keops"

    @staticmethod
    def check(device: torch.device, coordinates: int) -> None:
        """Raises ResourceError when KeOps cannot compile for a device. coordinates: of a point, features included."""
        _kernel(2, 1, coordinates, device)

    def pyramid(self, measure: Measure, finest_cell: float) -> Pyramid:
        """Hilbert-sorted points and cells of ``finest_cell * 2^k``; in more than three dimensions the points alone."""
        return build_pyramid_on_device(measure, finest_cell)

    def couple(
        self, source: Cloud, target: Cloud, f: Potential, g: Potential, temperature: Temperature
    ) -> KeopsCoupling:
        """Search the active blocks around (f, g). Raises ResourceError when KeOps cannot compile."""
        _kernel(temperature.p, 1, source.points.shape[1], source.points.device)
        return KeopsCoupling(source, target, f, g, temperature)


@final
class KeopsCoupling:
    """Softmins over the active blocks of two clouds."""

    rounding = 3e-14

    def __init__(self, source: Cloud, target: Cloud, f: Potential, g: Potential, temperature: Temperature) -> None:
        self._source, self._target = source, target
        self._eps, self._p = temperature.eps, temperature.p
        self._size = _BLOCK_CPU if devices.in_main_memory(source.points) else _BLOCK_GPU
        self._search = BlockSearch(source, target, f, g, temperature, size=self._size)

    @property
    def complete(self) -> bool:
        return self._row_ranges is None

    @property
    def dropped(self) -> float:
        return 0.0 if self._row_ranges is None else self._search.dropped

    def rows(self, g: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        return self._softmin(self._source, self._target, self._row_ranges, g, previous, moments)

    def columns(self, f: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        return self._softmin(self._target, self._source, self._column_ranges, f, previous, moments)

    def settle(self) -> None:
        """The blocks stay as they were found: KeOps does not tell what each of them holds."""

    @cached_property
    def _row_ranges(self) -> Ranges | None:
        return self._ranges(self._search.rows, self._source, self._target)

    @cached_property
    def _column_ranges(self) -> Ranges | None:
        if self._search.columns is self._search.rows:
            return self._row_ranges
        return self._ranges(self._search.columns, self._target, self._source)

    def _ranges(self, pairs: ActivePairs, rows: Cloud, columns: Cloud) -> Ranges | None:
        """Active pairs as KeOps wants them, None for all pairs."""
        if pairs.share(-(-len(columns) // self._size)) > _MOST:
            return None
        return ranges_of(pairs, rows=len(rows), columns=len(columns), size=self._size)

    def _softmin(
        self,
        rows: Cloud,
        columns: Cloud,
        ranges: Ranges | None,
        g: torch.Tensor,
        previous: Potential,
        moments: int,
    ) -> Potential:
        d = rows.points.shape[1]
        order = 2 if moments == 2 and self._p == 2 else 1
        kernel = _kernel(self._p, order, d, rows.points.device)
        per_column = g / self._eps + columns.weights.log().clamp_min(_LOG_NOTHING)
        # About where the rows' mass goes: second moments around it do not cancel.
        around = previous.image.contiguous()
        extra = [g.new_full((1,), _TINY)] if self._p == 1 else [around] if order == 2 else []
        out = kernel(
            rows.points.contiguous(),
            columns.points.contiguous(),
            per_column[:, None],
            g.new_full((1,), (1.0 if self._p == 1 else 0.5) / self._eps),
            *extra,
            ranges=ranges,
        )
        top, total = out[:, 0], out[:, 1]
        values = -self._eps * (top + total.log())
        if moments == 0:
            return Potential(values, previous.image)
        mean = out[:, 2 : 2 + d] / total[:, None]  # p = 1: of the directions; p = 2: of y, or of y - around
        if self._p == 1:
            return Potential(values, rows.points - mean)
        if order == 1:
            return Potential(values, mean)
        square = out[:, 2 + d :].view(-1, d, d) / total[:, None, None]
        jacobian = (square - mean[:, :, None] * mean[:, None, :]) / self._eps
        return Potential(values, around + mean, jacobian)


def ranges_of(pairs: ActivePairs, *, rows: int, columns: int, size: int) -> Ranges:
    """KeOps' six tensors (int64) for a sum over the active blocks of ``size`` columns, for each block of ``size`` rows.

    Neighbouring blocks become one range. The last three describe sums over the rows, which are not taken: they repeat
    the first three.
    """
    j, i = pairs.columns, pairs.rows
    device = j.device
    new = torch.ones(len(j), dtype=torch.bool, device=device)
    new[1:] = (i[1:] != i[:-1]) | (j[1:] != j[:-1] + 1)
    first = new.nonzero()[:, 0]
    last = torch.nn.functional.pad(first[1:], (0, 1), value=len(j)) - 1
    summed = torch.stack([j[first] * size, ((j[last] + 1) * size).clamp_max(columns)], 1)
    counts = run_lengths(i[first], len(pairs.dropped))
    blocks = torch.arange(len(pairs.dropped), device=device) * size
    taken = torch.stack([blocks, (blocks + size).clamp_max(rows)], 1)
    half = taken, counts.cumsum(0), summed
    return *half, *half


@functools.cache
def _kernel(p: int, order: int, dimension: int, device: torch.device) -> Kernel:
    """The compiled reduction to (n, 2 + ...), float64: row maximum, sum, and weighted sums of what follows.

    Arguments: points (n, D), points (m, D), per column E (m, 1), scale S (1,), and one more except for p = 2, order 1.
    p = 1: the exponent is E - S |x - y|, and directions (x - y) / |x - y| are summed; a tiny number (1,) guards the
    root. p = 2: it is E - S |x - y|^2, and the points y are summed; with order 2, given t (n, D), y - t and its
    products with itself.

    It computes where the points are: left to itself, KeOps takes points in main memory to a GPU that it finds, and
    reads those on a GPU that it does not find as if they were in main memory. The first call in a process imports
    KeOps; the first one on a machine compiles for some seconds and leaves the result in KeOps' own cache. Raises
    ResourceError when that fails.
    """
    distance = "Sqrt(SqDist(X, Y))" if p == 1 else "SqDist(X, Y)"
    summed, extra = {
        (1, 1): ("(X - Y) * Rsqrt(SqDist(X, Y) + Z)", ["Z = Pm(1)"]),
        (2, 1): ("Y", []),
        (2, 2): ("Concat(Y - T, TensorProd(Y - T, Y - T))", [f"T = Vi({dimension})"]),
    }[p, order]
    try:
        with _one_process_at_a_time(), _quiet():
            import pykeops
            from pykeops.torch import Genred

            if device.type == "cuda" and not pykeops.config.gpu_available:
                raise RuntimeError("KeOps finds no CUDA driver and nvrtc")
            reduction = Genred(
                f"E - S * {distance}",
                [f"X = Vi({dimension})", f"Y = Vj({dimension})", "E = Vj(1)", "S = Pm(1)", *extra],
                reduction_op="Max_SumShiftExpWeight",
                axis=1,
                formula2=f"Concat(IntCst(1), {summed})",
            )
            kernel = functools.partial(reduction, backend="GPU" if device.type == "cuda" else "CPU")
            point = torch.zeros(1, dimension, dtype=torch.float64, device=device)
            last = [point if "Vi" in alias else point[0, :1] for alias in extra]
            kernel(point, point, point[:, :1], point[0, :1], *last)  # compiles, or loads what was compiled before
            pykeops.set_verbose(False)
    except Exception as error:  # KeOps lets through whatever its import, the compiler and the loader raise
        raise ResourceError(
            f"reduction 'keops' could not compile its kernel: {_reason(error)}. "
            + (
                "Install g++ and CUDA's nvrtc or use --reduction triton or dense."
                if device.type == "cuda"
                else "Install g++ or use --reduction dense or cpu."
            )
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
