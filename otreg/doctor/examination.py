"""The examination: facts, then trials, then what follows from both."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from typing import Any

import otreg
from otreg.doctor.caches import Cache, keops_cache, numba_cache, triton_cache
from otreg.doctor.child import Answer, ask
from otreg.doctor.diagnosis import Diagnosis, Graphics, Problem, Threads, Trial
from otreg.doctor.graphics import Card, cards, hidden
from otreg.doctor.machine import Cores, Memory, cores, memory
from otreg.doctor.remedies import CUDA_BUILD, UPDATE_DRIVER, remedy, set_variable
from otreg.doctor.software import compiler, extras, package_versions
from otreg.doctor.trials import trials

# Of a trial, when everything has to be compiled for the first time on a busy machine.
SECONDS = 180.0
# Bytes without which Python, PyTorch and a shape of some size do not fit.
LITTLE_MEMORY = 1 << 30
THREAD_VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def examine(*, seconds: float = SECONDS, on_step: Callable[[str], None] = lambda what: None) -> Diagnosis:
    """What is here, what works, and what to do about the rest; nothing that is wrong raises an error.

    seconds: that each trial may take before it counts as hanging. on_step: called before each long step with a few
    words. Takes some seconds, and more when kernels are compiled for the first time.
    """
    on_step("asking PyTorch and numba")
    asked = ask("otreg.doctor.facts", seconds=seconds)
    facts = asked.record or {}
    tried = trials(cuda=bool(facts.get("cuda_available")), seconds=seconds, on_trial=on_step)
    default = tried[0]
    caches = tuple(_caches(facts, known=asked.record is not None))
    graphics = Graphics(
        cards=cards(),
        cuda_build=facts.get("cuda_build"),
        devices=tuple(device["name"] for device in facts.get("devices", ())),
        used_by_default=default.outcome == "works" and default.device.startswith("cuda"),
    )
    threads = Threads(
        numba=facts.get("numba_threads"),
        torch=facts.get("torch_threads"),
        environment={name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
    )
    have = cores(), memory()
    problems = (
        *_of_import(asked),
        *_of_trials(tried, caches),
        *_of_graphics(graphics, str(facts.get("cuda_reason", "")), known=asked.record is not None),
        *_of_caches(caches),
        *_of_machine(*have, threads),
    )
    return Diagnosis(
        works=default.outcome == "works",
        versions={"otreg": otreg.__version__, "python": platform.python_version(), **package_versions()},
        platform=platform.platform(),
        executable=sys.executable,
        compiler=compiler(),
        cores=have[0],
        threads=threads,
        memory=have[1],
        graphics=graphics,
        trials=tried,
        caches=caches,
        extras=extras(),
        problems=problems,
    )


def _caches(facts: dict[str, Any], *, known: bool) -> Iterator[Cache]:
    if known:
        yield numba_cache(facts["numba_cache"])
    yield keops_cache()
    if package_versions()["triton"] is not None:
        yield triton_cache()


def _of_import(asked: Answer) -> Iterator[Problem]:
    if asked.record is None:
        yield Problem(f"PyTorch and numba cannot be imported: {asked.reason}", remedy(asked.reason))


def _of_trials(tried: tuple[Trial, ...], caches: tuple[Cache, ...]) -> Iterator[Problem]:
    """One problem per reason: what is broken below all reductions is one thing to mend."""
    written = {cache.owner for cache in caches if cache.writable}
    failed: dict[str, list[Trial]] = {}
    for trial in tried:
        if trial.outcome == "fails":
            failed.setdefault(trial.reason, []).append(trial)
    for reason, which in failed.items():
        names = ", ".join("the default" if trial.reduction == "auto" else _name(trial) for trial in which)
        no_cache = "keops" not in written and all(trial.reduction == "keops" for trial in which)
        advice = set_variable("KEOPS_CACHE_FOLDER") if no_cache else remedy(reason)
        yield Problem(f"does not work: {names}: {reason}", advice, fatal=any(trial.is_default for trial in which))


def _name(trial: Trial) -> str:
    return f"{trial.reduction} on {trial.device}"


def _of_graphics(graphics: Graphics, reason: str, *, known: bool) -> Iterator[Problem]:
    if not graphics.cards or graphics.devices or not known:
        return
    names = _names(graphics.cards)
    hides = hidden()
    if hides is not None:
        yield Problem(f"{names} is hidden from PyTorch by {hides}", "unset CUDA_VISIBLE_DEVICES to compute on it")
    elif graphics.cuda_build is None:
        yield Problem(f"{names} is not used: this build of PyTorch is for the CPU alone", CUDA_BUILD)
    else:
        found = f": {reason}" if reason else ""
        yield Problem(
            f"{names} is not used: PyTorch (CUDA {graphics.cuda_build}) finds no device{found}", UPDATE_DRIVER
        )


def _names(found: tuple[Card, ...]) -> str:
    return ", ".join(f"{card.name} (driver {card.driver})" for card in found)


def _of_caches(caches: tuple[Cache, ...]) -> Iterator[Problem]:
    for cache in caches:
        asked = os.environ.get(cache.variable)
        if not cache.writable:
            where = "no folder" if cache.path is None else f"the folder {cache.path}, which cannot be written"
            yield Problem(f"{cache.owner} has {where} for compiled code", set_variable(cache.variable))
        elif asked and cache.path is not None and not str(cache.path.absolute()).startswith(os.path.abspath(asked)):
            yield Problem(
                f"{cache.owner} cannot write to {cache.variable}={asked} and uses {cache.path} instead",
                set_variable(cache.variable),
            )


def _of_machine(have: Cores, main: Memory, threads: Threads) -> Iterator[Problem]:
    if threads.numba is not None and threads.numba > have.allowed:
        yield Problem(
            f"{threads.numba} threads compute on {have.allowed} cores that this process may use: they get in each "
            "other's way",
            f"give --threads {have.allowed}, or set NUMBA_NUM_THREADS and OMP_NUM_THREADS to {have.allowed}",
        )
    if threads.environment.get("OMP_WAIT_POLICY", "").upper() == "ACTIVE":
        yield Problem(
            "idle threads keep their cores busy under OMP_WAIT_POLICY=ACTIVE, which slows down whatever else runs",
            "unset OMP_WAIT_POLICY, or set it to PASSIVE",
        )
    if main.available is not None and main.available < LITTLE_MEMORY:
        yield Problem(
            f"only {main.available / 2**20:.0f} MiB of memory are free",
            "end other programs, or ask the scheduler or the container for more",
        )
