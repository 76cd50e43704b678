"""What a program asks of a device, counted on tensors in main memory: where it waits, and sums without an order.

On a CUDA device each of these waits for all that the device still has to do: reading a number, a truth value or an
array of unknown size, copying from or to main memory, and decompositions that look whether they failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_READ = {"item", "tolist", "cpu", "numpy", "__float__", "__int__", "__bool__", "__index__", "__contains__"}
_OF_UNKNOWN_SIZE = {"nonzero", "argwhere", "bincount", "unique", "unique_consecutive", "masked_select", "equal"}
_CHECKED = {
    "inv",
    "linalg_inv",
    "solve",
    "linalg_solve",
    "linalg_cholesky",
    "linalg_eigh",
    "linalg_eigvalsh",
    "linalg_svd",
}
_COPIED = {"tensor", "as_tensor", "from_numpy", "new_tensor"}
# From the list of torch.use_deterministic_algorithms: sums that come out in any order on a CUDA device.
_UNORDERED = {
    "index_add",
    "index_add_",
    "scatter_add",
    "scatter_add_",
    "scatter_reduce",
    "scatter_reduce_",
    "histc",
    "put_",
}


class Watch(TorchFunctionMode):
    """Counts by name, while it is entered, of what would wait for a device and of sums without an order there."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.unordered: Counter[str] = Counter()
        self._paused = False

    @property
    def transfers(self) -> int:
        return sum(self.waits.values())

    def without(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, whose own doings do not count."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self._paused = True
            try:
                return work(*args, **kwargs)
            finally:
                self._paused = False

        return call

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", str(func))
        if name in _READ | _OF_UNKNOWN_SIZE | _CHECKED | _COPIED or _hidden(name, args, kwargs):
            self.waits[name] += 1
        if name in _UNORDERED or _unordered(name, args, kwargs):
            self.unordered[name] += 1
        return func(*args, **kwargs)


def _hidden(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Operations that wait for some arguments only."""
    if name in ("__getitem__", "__setitem__"):
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        return any(isinstance(part, torch.Tensor) and part.dtype == torch.bool for part in index)
    if name == "where":  # a number becomes a tensor in main memory, which is copied
        return len(args) == 1 or any(isinstance(part, int | float) for part in args[1:])
    if name == "repeat_interleave":
        repeats = args[1] if len(args) > 1 else kwargs.get("repeats")
        return isinstance(repeats, torch.Tensor) and kwargs.get("output_size") is None
    if name == "segment_reduce":
        return not kwargs.get("unsafe", False)
    return name == "to" and any(str(part) == "cpu" for part in args[1:])


def _unordered(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if name in ("index_put", "index_put_"):
        return bool(kwargs.get("accumulate", len(args) > 3 and args[3]))
    return name in ("cumsum", "cumsum_") and args[0].is_floating_point() and args[0].ndim == 1
