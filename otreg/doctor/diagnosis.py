"""What an examination finds, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from otreg.doctor.caches import Cache
from otreg.doctor.graphics import Card
from otreg.doctor.machine import Cores, Memory
from otreg.doctor.software import Extra

Outcome = Literal["works", "fails", "not here"]


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, and what to do about it, one sentence each; fatal: nothing can be computed."""

    what: str
    fix: str
    fatal: bool = False


@dataclass(frozen=True)
class Trial:
    """A small transport problem, solved by a reduction on a device in a process of its own.

    outcome: "not here" where the reduction needs a device that is missing; reason: why it does not work, else "".
    is_default: whether this is what computes when nothing is asked for.
    error: of the divergence, over that of a sum over all pairs in float64; None without one of them.
    first_seconds: of the first solution, with everything that had to be compiled or loaded; points, seconds: size of
    each side in the second solution, and its time; threads: of the CPU. None where it does not work.
    """

    reduction: str
    device: str
    outcome: Outcome
    reason: str = ""
    is_default: bool = False
    error: float | None = None
    first_seconds: float | None = None
    points: int | None = None
    seconds: float | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Threads:
    """How many CPU threads compute by default, and the variables of the environment that have a say."""

    numba: int | None
    torch: int | None
    environment: dict[str, str]


@dataclass(frozen=True)
class Graphics:
    """Graphics cards. cards: that the driver names; cuda_build: version of CUDA that PyTorch was built for, None for a
    build without; devices: names of those that PyTorch can use; used_by_default: whether otreg computes there when
    nothing is asked for, as seen in a solved problem."""

    cards: tuple[Card, ...]
    cuda_build: str | None
    devices: tuple[str, ...]
    used_by_default: bool


@dataclass(frozen=True)
class Diagnosis:
    """All that was found. works: whether a registration without further options can compute here."""

    works: bool
    versions: dict[str, str | None]
    platform: str
    executable: str
    compiler: str | None
    cores: Cores
    threads: Threads
    memory: Memory
    graphics: Graphics
    trials: tuple[Trial, ...]
    caches: tuple[Cache, ...]
    extras: tuple[Extra, ...]
    problems: tuple[Problem, ...]

    @property
    def default(self) -> Trial:
        """The trial of what computes when nothing is asked for."""
        return next(trial for trial in self.trials if trial.is_default)
