"""otreg doctor: say whether otreg can compute here, with what, and what to do about what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from otreg_cli.options import debug_option, json_option

if TYPE_CHECKING:
    from otreg.doctor import Diagnosis, Graphics, Trial


@click.command("doctor")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=180.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for each trial; first calls compile.",
)
@json_option
@debug_option
def command(*, timeout: float, as_json: bool) -> None:
    """Say whether otreg can compute here, with what, and what to do about what is wrong.

    Every way of computing solves a small problem in a process of its own; its answer is compared with one in float64,
    and timed. Exits with 0 when the default way works, with 5 when it does not.
    """
    from otreg.doctor import examine
    from otreg.errors import ResourceError
    from otreg.jobs.plain import plain
    from otreg_cli.output import print_json, print_rows

    with _telling() as on_step:
        diagnosis = examine(seconds=timeout, on_step=on_step)
    if as_json:
        print_json({"schema": "otreg.doctor/1", **plain(diagnosis)})
    else:
        print_rows(_rows(diagnosis))
    if not diagnosis.works:
        raise ResourceError(
            "the default way of computing does not work here; do what the lines above advise, or choose one that works "
            "with --reduction and --device"
        )


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """What is tried at the moment, on a terminal."""
    from otreg_cli.progress import stderr_console

    with stderr_console().status("") as status:
        yield status.update


def _rows(found: Diagnosis) -> Iterator[tuple[str, str]]:
    versions = [f"{name} {version or 'is missing'}" for name, version in found.versions.items() if name != "triton"]
    versions.append(f"triton {found.versions['triton'] or 'not installed'}")
    yield "versions", ", ".join(versions)
    yield "system", f"{found.platform}, {found.executable}"
    yield "compiler", found.compiler or "none"
    yield "cores", _cores(found)
    yield "memory", _memory(found)
    yield from _graphics(found.graphics)
    for trial in found.trials:
        yield "default" if trial.is_default else "trial", _trial(trial)
    for cache in found.caches:
        state = "" if cache.writable else ", cannot be written"
        yield "cache", f"{cache.owner}: {cache.path or 'no folder'}{state}"
    for extra in found.extras:
        how = (
            f"{extra.package} {extra.version}" if extra.version else f"not installed: pip install 'otreg[{extra.name}]'"
        )
        yield "extra", f"{extra.name}, for {extra.enables}: {how}"
    for problem in found.problems:
        yield "problem", problem.what
        yield "  to do", problem.fix
    if not found.problems:
        yield "problems", "none"


def _cores(found: Diagnosis) -> str:
    cores, threads = found.cores, found.threads
    text = f"{cores.allowed} of {cores.present} may be used"
    if threads.numba is not None:
        text += f", {threads.numba} threads by default"
    settings = " ".join(f"{name}={value}" for name, value in threads.environment.items())
    return f"{text} ({settings})" if settings else text


def _memory(found: Diagnosis) -> str:
    main = found.memory
    parts = [(main.available, "free"), (main.limit, "allowed to this process"), (main.total, "in the machine")]
    return ", ".join(f"{_size(amount)} {what}" for amount, what in parts if amount is not None) or "unknown"


def _graphics(graphics: Graphics) -> Iterator[tuple[str, str]]:
    for card in graphics.cards:
        size = "" if card.memory is None else f", {_size(card.memory)}"
        yield "graphics", f"{card.name}{size}, driver {card.driver}"
    build = f"built for CUDA {graphics.cuda_build}" if graphics.cuda_build else "built for the CPU alone"
    sees = ", ".join(graphics.devices) or "no CUDA device"
    yield "pytorch", f"{build}, finds {sees}"
    if graphics.used_by_default:
        yield "GPU", "used by default: the default below was computed there"
    else:
        yield "GPU", "not used by default"


def _trial(trial: Trial) -> str:
    name = "" if trial.reduction == "auto" else f"{trial.reduction} on {trial.device} "
    if trial.outcome != "works":
        return f"{name}{trial.outcome}: {trial.reason}"
    agrees = f", agrees with float64 to {trial.error:.0e}" if trial.error else ""
    return (
        f"{name}works{agrees}; {trial.points} points to {trial.points} in {trial.seconds:.3g} s, "
        f"first call {trial.first_seconds:.3g} s"
    )


def _size(amount: int) -> str:
    return f"{amount / 2**30:.1f} GiB"
