"""Measures from a seed, and independent answers: dense plans, POT's network simplex, closed forms."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from otreg.measures import Measure
from otreg.transport import Sinkhorn, Transport
from otreg.transport.brenier import BrenierMap


@dataclass(frozen=True)
class Backend:
    """A reduction and the marginal error that its sums can reach on well-resolved problems.

    rounding: of a sum, relative; softmins are off by rounding * eps.
    """

    name: str
    finest: float
    rounding: float

    def solve(self, source: Measure, target: Measure, blur: float, **settings: Any) -> Transport:
        """The transport at the finest tolerance that this backend can reach, unless told otherwise."""
        settings = {"tolerance": self.finest, "max_iterations": 3000, **settings}
        sinkhorn = Sinkhorn(blur=blur, reduction=self.name, **settings)
        if DEVICE is None:
            return sinkhorn(source, target)
        return cast(Transport, SeenFromHere(sinkhorn(*(_moved_to(DEVICE, m) for m in (source, target)))))

    def slack(self, blur: float) -> float:
        """What values may be off by rounding, beyond the stated error; lengths are of order one."""
        return self.rounding * blur**2 + 1e-13


class SeenFromHere:
    """An answer on another device: what is read from it comes back, and what it is called with goes there."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        return _moved_to("cpu", getattr(self._answer, name))


def _moved_to(device: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(_moved_to(device, part) for part in value)
    if isinstance(value, Measure | BrenierMap):
        return type(value)(*(_moved_to(device, getattr(value, field.name)) for field in fields(value)))
    if callable(value):
        return lambda *args, **kw: _moved_to(device, value(*(_moved_to(str(DEVICE), arg) for arg in args), **kw))
    return value


# Where the conformance tests solve their problems: "make test-gpu" sets it to cuda, where the compiled reduction cannot
# work and Triton can. None for main memory, without a detour.
DEVICE = os.environ.get("OTREG_TEST_DEVICE")
# The kernels of cpu and triton sum in single precision.
DENSE, CPU, KEOPS = Backend("dense", 1e-10, 1e-12), Backend("cpu", 2e-5, 2e-5), Backend("keops", 1e-10, 1e-12)
TRITON = Backend("triton", 2e-5, 2e-5)
BACKENDS = (DENSE, CPU, KEOPS) if DEVICE is None else (DENSE, KEOPS, TRITON)


def tensor(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def measure(points: Any, weights: Any = None) -> Measure:
    """The measure at the points (n, d), with weights (n,) or 1/n each."""
    points = tensor(points)
    return Measure(points, torch.full_like(points[:, 0], 1 / len(points)) if weights is None else tensor(weights))


def cloud(n: int, dimension: int, seed: int, *, mass: float = 1.0) -> Measure:
    """Points in the unit cube, with weights that differ sixfold."""
    rng = torch.Generator().manual_seed(seed)
    points = torch.rand(n, dimension, dtype=torch.float64, generator=rng)
    weights = torch.rand(n, dtype=torch.float64, generator=rng) + 0.2
    return Measure(points, mass * weights / weights.sum())


def sphere(n: int, seed: int) -> Measure:
    """Points on a bumpy closed surface of diagonal about one: what the engine is made for."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, dtype=torch.float64, generator=rng)
    x = x / x.norm(dim=1, keepdim=True)
    bumps = 1 + 0.2 * torch.sin(3 * x[:, :1] + seed) * torch.cos(2 * x[:, 1:2])
    return measure(0.29 * bumps * x)


def moved(source: Measure, step: Any) -> Measure:
    return Measure(source.points + tensor(step), source.weights)


def random_rotation(dimension: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(dimension, dimension, dtype=torch.float64, generator=rng))
    q[:, 0] *= torch.sign(torch.linalg.det(q))
    return q


def dense_plan(source: Measure, target: Measure, f: Tensor, g: Tensor, eps: float, p: int = 2) -> Tensor:
    """(n, m) exp((f_i + g_j - C_ij) / eps) a_i b_j, stored."""
    square = (source.points[:, None] - target.points[None]).square().sum(2)
    cost = square / 2 if p == 2 else square.sqrt()
    return torch.exp((f[:, None] + g[None] - cost) / eps) * source.weights[:, None] * target.weights[None]


def entropic_cost(source: Measure, target: Measure, eps: float, rho: float | None = None) -> float:
    """OT_eps by the textbook loop, stored and unaccelerated."""
    a, b = source.weights, target.weights
    cost = (source.points[:, None] - target.points[None]).square().sum(2) / 2
    damping = 1.0 if rho is None else rho / (rho + eps)
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    for _ in range(1500):
        before = f
        f = (f - damping * eps * torch.logsumexp((g - cost) / eps + b.log(), 1)) / 2  # averaged: fast where a = b
        g = f if source is target else (g - damping * eps * torch.logsumexp((f - cost.T) / eps + a.log(), 1)) / 2
        if (f - before).abs().max() <= 1e-13:
            break

    def earned(h: Tensor) -> Tensor:
        return h if rho is None else -rho * torch.expm1(-h / rho)

    # The dual value errs by the square of what the potentials miss.
    missing = a.sum() * b.sum() - dense_plan(source, target, f, g, eps).sum()
    return float(a @ earned(f) + b @ earned(g) + eps * missing)


def exact_cost(source: Measure, target: Measure) -> float:
    """The optimal cost without entropy, by POT's network simplex."""
    import ot

    cost = (source.points[:, None] - target.points[None]).square().sum(2).numpy() / 2
    return float(ot.emd2(source.weights.numpy(), target.weights.numpy(), cost, numItermax=1_000_000))


def gaussian_divergence(
    mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray, blur: float
) -> float:
    """S_eps between two Gaussians (Janati et al. 2020, theorem 1, with sigma = blur and half their cost)."""

    def free_energy(a: np.ndarray, b: np.ndarray) -> float:
        root = sqrtm(a)
        d = sqrtm(4 * root @ b @ root + blur**4 * np.eye(len(a)))
        return -np.trace(d) + blur**2 * np.linalg.slogdet(d + blur**2 * np.eye(len(a)))[1]

    shift = np.square(mean_a - mean_b).sum()
    own = free_energy(cov_a, cov_a) + free_energy(cov_b, cov_b)
    return float(shift + free_energy(cov_a, cov_b) - own / 2) / 2


def sqrtm(a: np.ndarray) -> np.ndarray:
    """The symmetric square root of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(a)
    return (vectors * np.sqrt(values)) @ vectors.T


def gaussian(mean: np.ndarray, cov: np.ndarray, n: int) -> Measure:
    """N(mean, cov) on n^d nodes of a grid over six deviations; sums of Gaussians over grids are exact to 1e-8."""
    d = len(mean)
    axis = np.linspace(-6, 6, n)
    z = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), -1).reshape(-1, d)
    weights = np.exp(-np.square(z).sum(1) / 2)
    return measure(z @ sqrtm(cov) + mean, weights / weights.sum())


def rms(vectors: Tensor) -> float:
    """Root mean square length of vectors (n, d)."""
    return float(vectors.square().sum(1).mean().sqrt())
