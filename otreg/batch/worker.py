"""A worker: ``python -m otreg.batch.worker`` takes jobs from its standard input, one at a time, until that ends.

In: pickled :class:`Task` objects, from the process that started it and nobody else. Out: one JSON object a line, with a
``kind``: "started", "step" or "ended". What libraries print, and the traceback of a crash, go to the log of the job.
When the input ends during a job, because the parent was stopped or killed, the job is interrupted, which removes its
half written files, and the process ends; if it cannot, because compiled code does not listen, it is killed.
"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from traceback import print_exc
from typing import TYPE_CHECKING, Any, TextIO

from otreg.batch.folder import LOG
from otreg.batch.job import Job
from otreg.batch.memory import limit_memory
from otreg.batch.perform import perform

if TYPE_CHECKING:
    from otreg.registration import Step

GRACE = 2.0  # seconds that an interrupted job has to tidy up
STEP_SECONDS = 0.3  # between two lines about steps: a person reads them


@dataclass(frozen=True)
class Task:
    """A job, which attempt at it this is, and whether to do it although it was done before."""

    job: Job
    attempt: int
    force: bool


class Worker:
    """Performs tasks in the main thread while another one watches the input."""

    def __init__(self, answers: TextIO) -> None:
        self.answers = answers
        self.own_log = os.dup(2)
        self.tasks: SimpleQueue[Task | None] = SimpleQueue()
        self.busy = False
        self.interrupted = False
        self.told = 0.0

    def listen(self) -> None:
        """Passes tasks on; the end of the input ends the process."""
        try:
            while True:
                self.tasks.put(pickle.load(sys.stdin.buffer))
        except (EOFError, OSError):
            pass
        except Exception:  # a task that cannot be loaded: the parent reads the reason when the process has ended
            print_exc()
        self.tasks.put(None)
        if self.busy:
            self.interrupted = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(GRACE)
        os.killpg(0, signal.SIGKILL)  # parsers that this process started go with it

    def work(self) -> None:
        """Performs tasks until there are no more."""
        while (task := self.tasks.get()) is not None:
            self.busy = True
            result = perform(
                task.job,
                attempt=task.attempt,
                force=task.force,
                on_start=lambda task=task: self.start(task),  # type: ignore[misc]
                on_step=self.step,
                interrupted=lambda: self.interrupted,
            )
            self.busy = False
            self.log_to(self.own_log)
            self.say("ended", result=asdict(result))

    def start(self, task: Task) -> None:
        """The folder is ours: from now on what is said belongs into its log."""
        mode = os.O_APPEND if task.attempt > 1 else os.O_TRUNC
        log = os.open(task.job.folder / LOG, os.O_CREAT | os.O_WRONLY | mode, 0o666)
        self.log_to(log)
        os.close(log)
        sys.stdout.write(f"attempt {task.attempt}: {task.job.source} to {task.job.target}\n")
        self.say("started", process=os.getpid())

    def step(self, step: Step) -> None:
        """Logs a step, and tells the parent of it now and then."""
        sys.stdout.write(
            f"{step.stage} step {step.index}, blur {step.blur:.2%}: divergence {step.divergence:.3e}, "
            f"moved {step.move:.2e} of the diagonal\n"
        )
        now = time.monotonic()
        if now - self.told >= STEP_SECONDS:
            self.told = now
            self.say("step", stage=step.stage, blur=step.blur, fraction=step.fraction)

    def log_to(self, descriptor: int) -> None:
        """Everything that this process says goes there from now on, its last words before a crash included."""
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)

    def say(self, kind: str, **fields: Any) -> None:
        """One line to the parent."""
        with suppress(BrokenPipeError):  # the parent is gone; the end of the input says so, too
            self.answers.write(json.dumps({"kind": kind, **fields}) + "\n")
            self.answers.flush()


def main() -> None:
    """Runs a worker; its one argument is the most memory that it may take, in bytes, 0 for no limit."""
    limit = int(sys.argv[1])
    if limit:
        limit_memory(limit)
    with suppress(OSError):
        # When memory runs out, the system shall end a worker, whose job can be tried again, and not its parent.
        Path("/proc/self/oom_score_adj").write_text("500")
    # Schedulers send these to all processes of a job; the parent, which gets them as well, decides.
    for ignored in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # stdout is the parent's; what libraries print must not get there
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    worker = Worker(answers)
    threading.Thread(target=worker.listen, daemon=True).start()
    with suppress(KeyboardInterrupt):
        worker.work()
    os._exit(0)  # all files are closed, and taking large libraries apart would take a while


if __name__ == "__main__":
    main()
