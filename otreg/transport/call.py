"""One call from points to the answer, ``otreg.transport(source, target, blur=...)``, and what it takes as measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.measures.checks import check_measure
from otreg.transport.answer import Transport
from otreg.transport.sinkhorn import Reach, Sinkhorn

Array = torch.Tensor | npt.NDArray[Any]
MeasureLike = Measure | Array | tuple[Array, Array]


def transport(
    source: MeasureLike, target: MeasureLike, *, blur: float, reach: Reach = None, p: int = 2, **settings: Any
) -> Transport:
    """The transport from source to target: its value with an interval, potentials, map and gradients.

    source, target: a :class:`otreg.Measure`; points (n, d), which weigh 1/n each; or a pair (weights (n,), points).
    Tensors and NumPy arrays are taken, of any type of number, on any device, and never changed; gradients do not flow
    through this call (:class:`otreg.SinkhornDivergence` is for that). blur, reach: lengths in the unit of the points; p
    and further settings: see :class:`otreg.Sinkhorn`. Raises ArgumentError when they are no measures or settings.

    The value is S = OT_eps(a, b) - OT_eps(a, a)/2 - OT_eps(b, b)/2 with C = |x - y|^p / p and eps = blur^p
    (Feydy et al. 2019), and its map moves the points of the source:

    >>> import numpy as np, otreg
    >>> source = np.random.default_rng(0).uniform(size=(100, 2))
    >>> found = otreg.transport(source, source + [3.0, 4.0], blur=0.1)
    >>> round(found.value, 3), found.converged
    (12.5, True)
    >>> found.displacement.mean(0).round(decimals=3).tolist()
    [3.0, 4.0]

    On a line blur may be 0, which is exact:

    >>> found = otreg.transport(([0.25, 0.75] * np.ones(2), np.array([[0.0], [1.0]])), np.array([[5.0]]), blur=0, p=1)
    >>> found.value, found.displacement[:, 0].tolist()
    (4.25, [5.0, 4.0])
    """
    solver = Sinkhorn(blur=blur, reach=reach, p=p, **settings)
    return solver(as_measure(source, "source"), as_measure(target, "target"))


def as_measure(value: MeasureLike, name: str) -> Measure:
    """The measure that is meant, detached from any graph. Raises ArgumentError, with ``name``, when there is none."""
    if isinstance(value, Measure):
        features = None if value.features is None else value.features.detach()
        measure = Measure(value.points.detach(), value.weights.detach(), features)
    elif isinstance(value, tuple) and len(value) == 2:
        points = _tensor(value[1], f"{name} points")
        measure = Measure(points, _tensor(value[0], f"{name} weights").to(points))
    else:
        measure = uniform(_tensor(value, name))
    check_measure(measure, name)
    return measure


def uniform(points: torch.Tensor) -> Measure:
    """The measure of mass one whose points (n, d) weigh alike."""
    if points.ndim != 2 or len(points) < 1:  # before dividing by their number
        raise ArgumentError(f"points must be (n, d) with n >= 1; got shape {tuple(points.shape)}")
    return Measure(points, torch.full_like(points[:, 0], 1 / len(points)))


def _tensor(value: object, name: str) -> torch.Tensor:
    """Tensors as they are but for the graph, arrays as copies; what is no number in 32 or 64 bits becomes float64."""
    if isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.number):
        tensor = torch.tensor(value)
    elif isinstance(value, torch.Tensor):
        tensor = value.detach()
    else:
        raise ArgumentError(
            f"{name} must be a Measure, points (n, d) or a pair (weights, points) of tensors or arrays; "
            f"got {type(value).__name__}."
        )
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.double()
