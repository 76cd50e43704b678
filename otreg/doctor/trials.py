"""Every reduction on every device that should know it, tried in a process of its own and compared with float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from otreg.doctor.child import Answer, ask
from otreg.doctor.diagnosis import Trial

MODULE = "otreg.doctor.trial"
# Relative error of a divergence, above which two reductions do not compute the same: the solver's own tolerance.
AGREEMENT = 1e-3


def trials(*, cuda: bool, seconds: float, on_trial: Callable[[str], None] = lambda what: None) -> tuple[Trial, ...]:
    """One trial per reduction and device, each within so many seconds; the first one is the default's.

    cuda: whether PyTorch finds a CUDA device. on_trial: called before each with a few words.
    """

    def tried(reduction: str, device: str) -> Answer:
        name = "default" if reduction == "auto" else f"{reduction} on {device}"
        on_trial(f"trying {name}")
        return ask(MODULE, reduction, device, seconds=seconds)

    reference = tried("dense", "cpu")
    automatic = tried("auto", "auto")
    value = None if reference.record is None else float(reference.record["value"])
    default = replace(_trial("auto", "auto", automatic, value), is_default=True)
    found = [default]
    for reduction, device in _expected(cuda=cuda):
        if (reduction, device) == (default.reduction, default.device.split(":")[0]):
            continue
        answer = reference if (reduction, device) == ("dense", "cpu") else tried(reduction, device)
        found.append(_trial(reduction, device, answer, value))
    if not cuda:
        found.append(Trial("triton", "cuda", "not here", "needs a CUDA device"))
    return tuple(found)


def _expected(*, cuda: bool) -> Iterator[tuple[str, str]]:
    yield from (("dense", "cpu"), ("cpu", "cpu"), ("keops", "cpu"))
    if cuda:
        yield from (("triton", "cuda"), ("keops", "cuda"), ("dense", "cuda"))


def _trial(reduction: str, device: str, answer: Answer, value: float | None) -> Trial:
    """What an answer means; value: the divergence in float64, if that is known."""
    said = answer.record
    if said is None:
        return Trial(reduction, device, "fails", answer.reason)
    error = None if value is None else abs(float(said["value"]) - value) / value
    trial = Trial(
        reduction=said["reduction"],
        device=said["device"],
        outcome="works",
        error=error,
        first_seconds=said["first_seconds"],
        points=said["points"],
        seconds=said["seconds"],
        threads=said["threads"],
    )
    if error is not None and not (math.isfinite(error) and error <= AGREEMENT):
        return replace(trial, outcome="fails", reason=f"its divergence differs from that in float64 by {error:.2%}")
    return trial
