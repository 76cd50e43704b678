"""The Triton reduction: block-sparse softmins on a CUDA device, in single precision with float64 where it matters.

The iterations live on the cells of a pyramid, the pairs of blocks of cells that can matter come from :mod:`.blocks`,
and :mod:`.triton_kernels` sums over them: row sums and their derivatives in one pass. Everything stays on the device.
Triton is imported when first needed. With TRITON_INTERPRET=1 in the environment the same kernels run, slowly, on
tensors in main memory, which is how they are tested without a GPU.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import torch

from otreg.errors import ArgumentError, ResourceError
from otreg.measures import Measure
from otreg.transport.pyramid import Cloud, Pyramid
from otreg.transport.pyramid_torch import build_pyramid_on_device
from otreg.transport.reductions.base import Potential, Temperature
from otreg.transport.reductions.blocks import ActivePairs, BlockSearch, padded

if TYPE_CHECKING:
    from types import ModuleType

# Rows and columns of a block. A tile of the fast kernel has half its columns: with eight warps that is one for each
# thread, and with three coordinates the compiler (compute capability 9.0) needs no more registers than there are.
_BLOCK, _COLUMNS = 64, 32
_WARPS = 8
_LOG_NOTHING = -1e30  # stands for log(0): infinities would make NaN of what is multiplied by them
# So few pairs are summed in float64: it costs next to nothing, and blurs far beyond the size of the measures need it.
_FEW_PAIRS = 2**16
# Coordinates, features included, that a tile has registers for; the loops over them are unrolled when compiled.
_MOST_COORDINATES = 12


def triton_is_installed() -> bool:
    """True where Triton can be imported; it comes with PyTorch for CUDA on Linux."""
    return importlib.util.find_spec("triton") is not None


def triton_interprets() -> bool:
    """True when Triton is asked to run its kernels in Python, on any device."""
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


@final
@dataclass(frozen=True)
class TritonReduction:
    """Block-sparse softmins of Triton kernels, for points with up to 12 coordinates on a CUDA device.

    exact: sum in float64, slower.
    """

    exact: bool = False
    name: str = "triton"

    @staticmethod
    def check(device: torch.device, coordinates: int) -> None:
        """Raises ResourceError where Triton is missing or cannot compile, ArgumentError for points that it cannot take.

        coordinates: of a point, features included. The first call for a device compiles a kernel.
        """
        if not triton_is_installed():
            raise ResourceError("reduction 'triton' needs Triton, which is missing. Use 'keops', 'cpu' or 'dense'.")
        if coordinates > _MOST_COORDINATES:
            raise ArgumentError(
                f"reduction 'triton' takes points with at most {_MOST_COORDINATES} coordinates, features included; got "
                f"{coordinates}. Use 'keops' or 'dense'."
            )
        if device.type != "cuda" and not triton_interprets():
            raise ArgumentError(
                f"reduction 'triton' works on points on a CUDA device; got points on {device}. Use 'cpu', 'keops' or "
                "'dense'."
            )
        _compiles(device)

    def pyramid(self, measure: Measure, finest_cell: float) -> Pyramid:
        """Hilbert-sorted points and cells of ``finest_cell * 2^k``; in more than three dimensions the points alone."""
        return build_pyramid_on_device(measure, finest_cell)

    def couple(
        self, source: Cloud, target: Cloud, f: Potential, g: Potential, temperature: Temperature
    ) -> TritonCoupling:
        """Search the active blocks around (f, g) and return the softmins over them."""
        return TritonCoupling(source, target, f, g, temperature, exact=self.exact)


@final
class TritonCoupling:
    """Softmins over the active blocks of two clouds."""

    def __init__(
        self, source: Cloud, target: Cloud, f: Potential, g: Potential, temperature: Temperature, *, exact: bool = False
    ) -> None:
        exact = exact or len(source) * len(target) <= _FEW_PAIRS
        # Exponents and sums over a tile in float32: below 1e-6 wherever blocks are not wide, and those are exact.
        self.rounding = 3e-14 if exact else 2e-6
        self._exact, self._at = exact, temperature
        # In the memory of the device, since numbers among the arguments of a kernel are float32; filled there,
        # since a copy from here would wait for all that the device still has to do.
        self._eps = torch.full((1,), temperature.eps, dtype=torch.float64, device=source.points.device)
        self._search = BlockSearch(source, target, f, g, temperature, size=_BLOCK)
        self._source = _Side(source, f)
        self._target = self._source if target is source and g is f else _Side(target, g)

    @property
    def complete(self) -> bool:
        return False

    @property
    def dropped(self) -> float:
        return self._search.dropped

    def rows(self, g: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        return self._softmin(self._source, self._target, self._search.rows, g, previous, moments)

    def columns(self, f: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        return self._softmin(self._target, self._source, self._search.columns, f, previous, moments)

    def settle(self) -> None:
        """The blocks stay as they were found."""

    def _softmin(
        self, rows: _Side, columns: _Side, pairs: ActivePairs, g: torch.Tensor, previous: Potential, moments: int
    ) -> Potential:
        kernels = _kernels()
        d, n = rows.points.shape  # dimension, rows
        moments = min(moments, self._at.p)
        values = torch.empty(n, dtype=g.dtype, device=g.device)
        image = torch.empty((n, d) if moments else (0, d), dtype=g.dtype, device=g.device)
        jacobian = torch.empty((n, d, d) if moments == 2 else (0, d, d), dtype=g.dtype, device=g.device)
        redo = torch.ones(n, dtype=torch.int32, device=g.device)
        summed = columns.points, g.contiguous(), columns.log_weights, columns.points.shape[1]
        active = pairs.starts, pairs.columns, self._eps
        written = values, image, jacobian, redo
        sizes = {
            "D": d,
            "FIRST": _power_of_two(d),
            "SECOND": _power_of_two(d * (d + 1) // 2) if moments == 2 else 1,
            "P": self._at.p,
            "MOMENTS": moments,
            "ROWS": _BLOCK,
            "num_warps": _WARPS,
            "enable_fp_fusion": True,
        }
        grid = (len(rows.centres),)
        with torch.cuda.device_of(g):  # Triton launches on the current device, which may be another one
            if not self._exact:
                guess = previous.values.contiguous()
                kernels.softmin_fast[grid](
                    rows.points, guess, rows.centres, rows.images, n, *summed, *active, *written, **sizes,
                    COLUMNS=_COLUMNS, PARTS=_BLOCK // _COLUMNS,
                )  # fmt: skip
            kernels.softmin_exact[grid](
                rows.points, rows.images, n, *summed, *active, *written, **sizes, COLUMNS=_BLOCK
            )
        return Potential(values, image if moments else previous.image, jacobian if moments == 2 else None)


class _Side:
    """A cloud as the kernels want it.

    points: (D, n); centres, images: (blocks, D) of the blocks, and where their mass goes, roughly.
    """

    def __init__(self, cloud: Cloud, potential: Potential) -> None:
        self._cloud, self._potential = cloud, potential
        self.points = cloud.points.T.contiguous()
        self.log_weights = cloud.weights.log().clamp_min(_LOG_NOTHING)

    @cached_property
    def centres(self) -> torch.Tensor:
        return padded(self._cloud.points, _BLOCK).mean(1)

    @cached_property
    def images(self) -> torch.Tensor:
        return padded(self._potential.image, _BLOCK).mean(1)


@functools.cache
def _compiles(device: torch.device) -> None:
    """Raises ResourceError where Triton cannot compile for a device or launch there.

    Its launcher needs a C compiler and the headers of Python, its machine code a card that is not too old.
    """
    out = torch.zeros(1, dtype=torch.int32, device=device)
    try:
        with torch.cuda.device_of(out):
            _kernels().nothing[(1,)](out)
    except Exception as error:  # Triton lets through whatever its import, the compiler and the driver raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ResourceError(
            f"reduction 'triton' could not compile a kernel: {reason}. Install gcc and python3-dev or use 'keops' or "
            "'dense'."
        ) from error


def _power_of_two(k: int) -> int:
    """The smallest power of two that is at least k."""
    return 1 << (k - 1).bit_length()


def _kernels() -> ModuleType:
    from otreg.transport.reductions import triton_kernels

    return triton_kernels
