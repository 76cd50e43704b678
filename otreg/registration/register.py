"""Registration: stages of models, each driven through a continuation of blurs from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch

from otreg.errors import ArgumentError, ResourceError
from otreg.measures import Measure
from otreg.models import Model, start_model
from otreg.registration.levels import Evaluation, Level
from otreg.registration.optimisers import OPTIMISERS, Ending
from otreg.registration.result import Registration, Stage, Step
from otreg.registration.settings import RegistrationSettings
from otreg.transport import Sinkhorn
from otreg.transport.annealing import blur_schedule

# The first stage starts at a blur of a tenth of the target's diagonal: a few hundred cells that see the whole shape.
_COARSEST_BLUR = 0.1
_BLUR_RATIO = 0.5
# Before the last blur there is no point in steps much finer than the blur.
_COARSE_TOLERANCE = 0.03
# Reach over blur: at coarse blurs the reach is at least this many blurs, so that far parts still find each other.
_REACH_OVER_BLUR = 3.0

OnStep = Callable[[Step], None]


def register(
    source: Measure, target: Measure, settings: RegistrationSettings, *, on_step: OnStep | None = None
) -> Registration:
    """The model that moves the source onto the target.

    source, target: measures of one dimension, in the target's frame. on_step: called after every step. Not converging
    is a status of the result; raises ArgumentError or ResourceError for settings that cannot be met.
    """
    started = perf_counter()
    if source.dimension != target.dimension:
        raise ArgumentError(f"source and target must have one dimension; got {source.dimension} and {target.dimension}.")
    device = _device(settings.device)
    source, target = (Measure(m.points.to(device), m.weights.to(device)) for m in (source, target))

    plans = [_blurs(settings, first=k == 0) for k in range(len(settings.models))]
    total = sum(_effort(blur) for blurs in plans for blur in blurs)
    done = 0.0
    model: Model | None = None
    stages: list[Stage] = []
    for name, blurs in zip(settings.models, plans, strict=True):
        model = _start(name, source, model, settings)
        steps: list[Step] = []
        ending = Ending.CONVERGED
        state: Evaluation | None = None
        for blur in blurs:
            last = blur == blurs[-1]
            level = Level(
                source, target, model, blur=blur, reach=_reach(settings.reach, blur), reduction=settings.reduction
            )
            tolerance = settings.tolerance if last else max(settings.tolerance, _COARSE_TOLERANCE * blur)
            warm_start = None if state is None else level.warm_start(state.transport, model)
            state = level.evaluate(model, warm_start)
            for k, progress in enumerate(OPTIMISERS[settings.optimizer](level, state, settings, tolerance), 1):
                state = progress.evaluation
                share = 1.0 if progress.ending else min(1.0, k / settings.iterations)
                step = _step(
                    name,
                    len(steps) + 1,
                    level,
                    state,
                    move=progress.move,
                    seconds=perf_counter() - started,
                    fraction=(done + share * _effort(blur)) / total,
                )
                steps.append(step)
                if on_step is not None:
                    on_step(step)
                ending = progress.ending or ending
            model = state.model
            done += _effort(blur)
        converged = ending in (Ending.CONVERGED, Ending.NO_DESCENT)
        stages.append(Stage(name, tuple(blurs), tuple(steps), converged, ending.value))

    assert model is not None
    with torch.no_grad():
        moved = Measure(model(source.points), source.weights.double())
        transport = Sinkhorn(settings.blur, reach=settings.reach, reduction=settings.reduction)(moved, target)
    converged = all(stage.converged for stage in stages) and transport.converged
    return Registration(
        model=model,
        transport=transport,
        stages=tuple(stages),
        converged=converged,
        status=_status(stages, transport.status, transport.converged),
        seconds=perf_counter() - started,
    )


def _blurs(settings: RegistrationSettings, *, first: bool) -> list[float]:
    """Blurs of a stage, coarse to fine; the last one is the one that was asked for."""
    start = max(_COARSEST_BLUR, settings.blur)
    return blur_schedule(start, settings.blur, _BLUR_RATIO)


def _reach(reach: float | None, blur: float) -> float | None:
    return None if reach is None else max(reach, _REACH_OVER_BLUR * blur)


def _effort(blur: float) -> float:
    """Relative cost of a step: the number of cells on a surface."""
    return 1 / blur**2


def _start(name: str, source: Measure, previous: Model | None, settings: RegistrationSettings) -> Model:
    options = {}
    if name == "spline":
        options = {"stiffness": settings.stiffness, "control_points": settings.control_points, "seed": settings.seed}
    return start_model(name, source.points, source.weights, previous=previous, **options)


def _step(
    name: str, index: int, level: Level, state: Evaluation, *, move: float, seconds: float, fraction: float
) -> Step:
    return Step(
        stage=name,
        index=index,
        blur=level.blur,
        reach=level.reach,
        divergence=state.transport.value,
        marginal_error=state.transport.marginal_error,
        penalty=float(state.model.penalty()),
        move=move,
        seconds=seconds,
        fraction=fraction,
    )


def _status(stages: list[Stage], transport_status: str, transport_converged: bool) -> str:
    for stage in stages:
        if not stage.converged:
            return f"{stage.name}: {stage.status}"
    if not transport_converged:
        return f"final transport {transport_status}"
    return stages[-1].status


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ResourceError("device 'cuda' was asked for but PyTorch finds none. Use --device cpu, or install a CUDA build")
    return torch.device(name)
