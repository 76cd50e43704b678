"""What benchmarks/transport.py compares: each tool loads one pair of clouds, and answers with the value and the map.

All are asked for the same: the debiased divergence S for the cost |x - y|^2 / 2 at eps = blur^2 with conserved mass,
and the displacement of every source point under the debiased Brenier map. Of its variants, the first is the one that is
compared everywhere; the others show what more accuracy costs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

Notes = Callable[[], dict[str, Any]]


class Unavailable(Exception):
    """A tool cannot run here; the message says why."""


@dataclass(frozen=True)
class Answer:
    """value: the divergence S; displacement: (n, 3); either is None where the tool finds another quantity.

    notes: called when the time has been taken.
    """

    value: float | None
    displacement: np.ndarray | None
    notes: Notes = field(default=dict)


class Tool(ABC):
    """One solver.

    most_points: more are not tried, for the reason given; growth: exponent with which its time grows at least;
    blurred: whether the blur makes a difference to it.
    """

    variants: ClassVar[Mapping[str, Mapping[str, Any]]]
    most_points: ClassVar[int] = 1_000_000
    reason: ClassVar[str] = "not tried with more than a million points"
    growth: ClassVar[float] = 1.0
    blurred: ClassVar[bool] = True
    warm_up_points: ClassVar[int] = 2000

    def check(self) -> None:  # noqa: B027  (most tools have nothing to check)
        """Raises Unavailable when the tool cannot run here."""

    @abstractmethod
    def load(self, source: np.ndarray, target: np.ndarray, blur: float) -> None:
        """Takes the clouds, (n, 3) and (m, 3) float64, in whatever form the tool wants; not timed."""

    @abstractmethod
    def solve(self, **settings: Any) -> Answer:
        """Value and map at all points; timed."""


class Otreg(Tool):
    """otreg's multiscale solver; variants differ in the tolerances on the marginal error and on the map."""

    variants: ClassVar = {
        "tolerance 1e-3": {"tolerance": 1e-3},
        "tolerance 1e-2": {"tolerance": 1e-2},
        "tolerance 1e-4": {"tolerance": 1e-4, "map_tolerance": 5e-4},
        "tolerance 1e-6, cells 0.15": {"tolerance": 1e-6, "map_tolerance": 0.0, "cell": 0.15},
    }
    most_points: ClassVar[int] = 10_000_000
    warm_up_points: ClassVar[int] = 20_000

    def load(self, source: np.ndarray, target: np.ndarray, blur: float) -> None:
        from otreg import Measure

        self.blur = blur
        self.measures = [
            Measure(torch.from_numpy(points), torch.full((len(points),), 1 / len(points), dtype=torch.float64))
            for points in (source, target)
        ]

    def solve(self, **settings: Any) -> Answer:
        from otreg import Sinkhorn

        transport = Sinkhorn(blur=self.blur, **settings)(*self.measures)
        value, displacement = transport.signed_value, transport.displacement.numpy()

        def notes() -> dict[str, Any]:
            return {
                "lower": transport.lower,
                "upper": transport.upper,
                "marginal_error": transport.marginal_error,
                "converged": transport.converged,
                "sweeps": transport.iterations,
            }

        return Answer(value, displacement, notes)


class Reference(Otreg):
    """otreg again, so tight that what is left of its error does not matter: the result file says how far it got."""

    EXACT: ClassVar = {"map_tolerance": 0.0, "max_iterations": 600}
    variants: ClassVar = {
        "dense": {"reduction": "dense", "tolerance": 1e-9, **EXACT},
        "cells 0.15": {"tolerance": 1e-6, "cell": 0.15, **EXACT},
        "cells 0.3": {"tolerance": 1e-5, "cell": 0.3, **EXACT},
    }
    warm_up_points: ClassVar[int] = 100  # its time does not matter


class Geomloss(Tool):
    """GeomLoss's SamplesLoss with its defaults, value and gradient; variants differ in the annealing ratio."""

    variants: ClassVar = {"scaling 0.5": {"scaling": 0.5}, "scaling 0.9": {"scaling": 0.9}}
    backend: ClassVar[str]

    def load(self, source: np.ndarray, target: np.ndarray, blur: float) -> None:
        self.blur = blur
        clouds = [torch.from_numpy(points).float() for points in (source, target)]
        self.weights = [torch.full((len(points),), 1 / len(points)) for points in clouds]
        self.source, self.target = clouds

    def solve(self, **settings: Any) -> Answer:
        from geomloss import SamplesLoss

        loss = SamplesLoss("sinkhorn", p=2, blur=self.blur, backend=self.backend, **settings)
        source = self.source.clone().requires_grad_(True)
        value = loss(self.weights[0], source, self.weights[1], self.target)
        (gradient,) = torch.autograd.grad(value, [source])
        # The gradient by a point is its weight times (point - image).
        return Answer(float(value), (-gradient / self.weights[0][:, None]).numpy())


class GeomlossTensorized(Geomloss):
    backend: ClassVar[str] = "tensorized"
    most_points: ClassVar[int] = 10_000
    reason: ClassVar[str] = "stores n x n matrices"
    growth: ClassVar[float] = 2.0


class GeomlossOnline(Geomloss):
    backend: ClassVar[str] = "online"
    growth: ClassVar[float] = 2.0


class GeomlossMultiscale(Geomloss):
    backend: ClassVar[str] = "multiscale"


class PotSinkhorn(Tool):
    """POT's Sinkhorn in the logarithmic domain (float64): three problems, from which value and map are debiased."""

    # The threshold is on the error of one marginal (Euclidean norm): 1e-4 is comparable to what the others reach, 1e-9
    # is POT's default. At most 1000 iterations, its default.
    variants: ClassVar = {"threshold 1e-4": {"stopThr": 1e-4}, "threshold 1e-9": {"stopThr": 1e-9}}
    most_points: ClassVar[int] = 10_000
    reason: ClassVar[str] = "stores n x n matrices"
    growth: ClassVar[float] = 2.0
    warm_up_points: ClassVar[int] = 200

    def load(self, source: np.ndarray, target: np.ndarray, blur: float) -> None:
        self.blur = blur
        self.source, self.target = source, target

    def solve(self, **settings: Any) -> Answer:
        cross, image = self._solve(self.source, self.target, **settings)
        own, own_image = self._solve(self.source, self.source, **settings)
        other, _ = self._solve(self.target, self.target, **settings)
        return Answer(cross - own / 2 - other / 2, image - own_image)

    def _solve(self, x: np.ndarray, y: np.ndarray, **settings: Any) -> tuple[float, np.ndarray]:
        """OT_eps by its dual value, and the barycentres of the plan."""
        import ot

        a, b = np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))
        eps = self.blur**2
        cost = ot.dist(x, y) / 2
        plan, log = ot.bregman.sinkhorn_log(a, b, cost, eps, log=True, warn=False, **settings)
        # POT's potentials are relative to the counting measure, ours to a and b.
        value = eps * (a @ (log["log_u"] - np.log(a)) + b @ (log["log_v"] - np.log(b)))
        return float(value), (plan @ y) / plan.sum(1, keepdims=True)


class PotExact(Tool):
    """POT's network simplex: exact transport without blur, another quantity; its time is what exactness costs."""

    variants: ClassVar = {"exact": {}}
    blurred: ClassVar[bool] = False
    most_points: ClassVar[int] = 10_000
    reason: ClassVar[str] = "stores n x n matrices"
    growth: ClassVar[float] = 2.0
    warm_up_points: ClassVar[int] = 200

    def load(self, source: np.ndarray, target: np.ndarray, blur: float) -> None:
        self.source, self.target = source, target

    def solve(self, **settings: Any) -> Answer:
        import ot

        value = float(ot.emd2([], [], ot.dist(self.source, self.target) / 2, numItermax=10**7))
        return Answer(None, None, lambda: {"exact_value": value})


class FlashSinkhorn(Tool):
    """FlashSinkhorn's SamplesLoss, on a GPU: version 0.4.1 takes CUDA tensors only."""

    variants: ClassVar = {"scaling 0.5": {"scaling": 0.5}}
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def check(self) -> None:
        try:
            from flash_sinkhorn import SamplesLoss

            SamplesLoss("sinkhorn", half_cost=True, debias=True)(*torch.rand(2, 64, 3, device=self.device))
        except ModuleNotFoundError as error:
            raise Unavailable(f"{error}; its version 0.4.1 needs triton, and takes CUDA tensors only") from error
        except Exception as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error

    def load(self, source: np.ndarray, target: np.ndarray, blur: float) -> None:
        self.blur = blur
        self.source, self.target = (torch.from_numpy(points).float().to(self.device) for points in (source, target))

    def solve(self, **settings: Any) -> Answer:
        from flash_sinkhorn import SamplesLoss

        loss = SamplesLoss("sinkhorn", p=2, blur=self.blur, half_cost=True, debias=True, **settings)
        source = self.source.clone().requires_grad_(True)
        value = loss(source, self.target)
        (gradient,) = torch.autograd.grad(value, [source])
        return Answer(float(value), (-gradient * len(source)).cpu().numpy())


TOOLS: dict[str, type[Tool]] = {
    "otreg": Otreg,
    "geomloss tensorized": GeomlossTensorized,
    "geomloss online": GeomlossOnline,
    "geomloss multiscale": GeomlossMultiscale,
    "POT sinkhorn_log": PotSinkhorn,
    "POT emd2": PotExact,
    "flash-sinkhorn": FlashSinkhorn,
}
