"""What a registration reports while it runs and what it returns."""

from __future__ import annotations

from dataclasses import dataclass

from otreg.models import Model
from otreg.transport import Transport


@dataclass(frozen=True)
class Step:
    """One step of the optimiser; lengths in frame units.

    stage: name of the model; index: of the step within the stage, from 1; blur, reach: what the loss compared;
    divergence, marginal_error: of the transport after the step; penalty: of the model; move: rms way of
    the source in this step; seconds: since the start; fraction: estimated share of the run that is done.
    """

    stage: str
    index: int
    blur: float
    reach: float | None
    divergence: float
    marginal_error: float
    penalty: float
    move: float
    seconds: float
    fraction: float


@dataclass(frozen=True)
class Stage:
    """One model's share of a registration: its steps, and how it ended at the finest blur."""

    name: str
    blurs: tuple[float, ...]
    steps: tuple[Step, ...]
    converged: bool
    status: str


@dataclass(frozen=True)
class Registration:
    """A fitted model (frame units), the transport from the moved source to the target, and how it went."""

    model: Model
    transport: Transport
    stages: tuple[Stage, ...]
    converged: bool
    status: str
    seconds: float
