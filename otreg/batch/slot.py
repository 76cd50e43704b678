"""A place where one job runs at a time, in a process of its own that is replaced when it crashes, hangs or runs wild.

Every slot has its own process, pipes and thread, and shares nothing with the others: whatever happens to one process,
at whatever moment, the rest go on. Pools of processes share queues and locks, which a killed process can take along.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from otreg.batch.folder import LOG, clear, locked, read_record, write_record
from otreg.batch.job import JobResult, result_of
from otreg.batch.worker import GRACE, Task
from otreg.errors import OtregError

START_SECONDS = 600.0  # until a worker must have begun with its job: imports, compiling, hashing the inputs
LAST_WORDS = 300  # characters


class Slot:
    """Runs tasks one after the other in a worker process.

    environment: of the process, on top of this one's; memory: most bytes that it may take, None for no limit; timeout:
    seconds that a job may take, None for no limit.
    tell: called from the slot's thread with the slot's number and a message of the worker, as a mapping with its
    ``kind``; "ended" comes once for every task, whatever happened.
    """

    def __init__(
        self,
        number: int,
        *,
        environment: Mapping[str, str],
        memory: int | None,
        timeout: float | None,
        tell: Callable[[int, dict[str, Any]], None],
    ) -> None:
        self.number = number
        self.environment = dict(environment)
        self.memory = memory
        self.timeout = timeout
        self.tell = tell
        self.tasks: SimpleQueue[Task | None] = SimpleQueue()
        self.process: subprocess.Popen[bytes] | None = None
        self.starting = threading.Lock()
        self.late = False
        self.stopped = False
        self.last_words = ""
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def give(self, task: Task) -> None:
        """Lets the slot run a task after those that it has."""
        self.tasks.put(task)

    def stop(self) -> None:
        """Asks the slot to end; a job that is running is interrupted. Returns at once, see :meth:`wait`."""
        with self.starting:
            self.stopped = True
        self.tasks.put(None)
        self._hang_up()

    def wait(self) -> None:
        """Returns when the process has ended, of itself or by force, and the last task has been told of."""
        process = self.process
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=2 * GRACE)
            self._kill(process)
        self.thread.join()

    def _serve(self) -> None:
        while (task := self.tasks.get()) is not None:
            self.tell(self.number, {"kind": "ended", "result": self._run(task)})
        self._end()

    def _run(self, task: Task) -> JobResult:
        try:
            # A process that was killed while it had nothing to do is found out by the next task, which is not to blame.
            return self._attempt(task, blame=False) or self._attempt(task, blame=True) or _stopped(task)
        except OSError as error:
            reason = f"its process could not be started: {error.strerror or error}; use fewer workers"
            return result_of(task.job, "failed", attempts=task.attempt, error=reason, retriable=True)

    def _attempt(self, task: Task, *, blame: bool) -> JobResult | None:
        """The result of a task; None when its process is lost before it begins, unless the task is to ``blame``."""
        process = self._running()
        if process is None:
            return _stopped(task)
        assert process.stdin is not None and process.stdout is not None
        began: float | None = None
        self.late = False
        timer = self._deadline(process, START_SECONDS)
        try:
            pickle.dump(task, process.stdin)
            process.stdin.flush()
            for line in process.stdout:
                message = json.loads(line)
                if message["kind"] == "ended":
                    result = JobResult(**message["result"])
                    if result.retriable:  # memory or a library may be in disorder: the next task gets a new process
                        self._end()
                    return result
                if message["kind"] == "started":
                    timer.cancel()
                    timer, began = self._deadline(process, self.timeout), time.perf_counter()
                self.tell(self.number, message)
        except (OSError, ValueError):  # the process has ended, perhaps in the middle of a line
            pass
        finally:
            timer.cancel()
        code = self._end()
        if self.stopped:
            return _stopped(task)
        return self._lost(task, began, code) if began is not None or self.late or blame else None

    def _running(self) -> subprocess.Popen[bytes] | None:
        """The process, started if there is none; None when the slot was stopped. Raises OSError."""
        with self.starting:
            if self.process is None and not self.stopped:
                self.words = tempfile.TemporaryFile()
                try:
                    self.process = self._start()
                except OSError:
                    self.words.close()
                    raise
            return None if self.stopped else self.process

    def _start(self) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).parents[2])  # otreg must be found there, too, however it was found here
        search = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.Popen(
            # -P: not from the current folder, where a file of the user may be called like a module.
            [sys.executable, "-P", "-m", "otreg.batch.worker", str(self.memory or 0)],
            env={**os.environ, **self.environment, "PYTHONPATH": search},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.words,
            start_new_session=True,  # Ctrl-C is for the parent; what a worker starts can be killed with it
        )

    def _deadline(self, process: subprocess.Popen[bytes], seconds: float | None) -> threading.Timer:
        """A timer that kills the process after so long; for None one that never runs."""
        timer = threading.Timer(seconds or 0, self._too_late, [process])
        if seconds is not None:
            timer.daemon = True
            timer.start()
        return timer

    def _too_late(self, process: subprocess.Popen[bytes]) -> None:
        self.late = True
        self._kill(process)

    def _hang_up(self) -> None:
        """The end of its input is what a worker takes as the sign to end."""
        process = self.process
        if process is not None and process.stdin is not None:
            with suppress(OSError, ValueError):
                process.stdin.close()

    def _end(self) -> int | None:
        """Ends the process, if there is one, and returns its exit code. Only for the slot's own thread."""
        process = self.process
        if process is None:
            return None
        self._hang_up()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2 * GRACE)
        self._kill(process)
        code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        with self.words:
            self.words.seek(0)
            self.last_words = " ".join(self.words.read().decode(errors="replace").split())[-LAST_WORDS:]
        self.process = None
        return code

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with the parsers that it started

    def _lost(self, task: Task, began: float | None, code: int | None) -> JobResult:
        """The result of a task whose process has ended before it could give one."""
        result = result_of(
            task.job,
            "failed",
            seconds=None if began is None else time.perf_counter() - began,
            attempts=task.attempt,
            error=self._reason(task, code, began=began is not None),
            retriable=True,
        )
        # Unless it had begun the folder was not this batch's own; and another batch may have taken it since.
        if began is not None:
            with suppress(OtregError), locked(task.job.folder) as ours:
                if ours:
                    record = read_record(task.job.folder)  # there is none while a job runs
                    if record is not None:  # the job had just ended, and could not say so any more
                        return record.result
                    clear(task.job.folder)
                    write_record(task.job, result, request=task.job.choices(), files=())
        return result

    def _reason(self, task: Task, code: int | None, *, began: bool) -> str:
        log = f"see {task.job.folder / LOG}"
        words = f": {self.last_words}" if self.last_words else ""
        if self.late and began:
            return f"took longer than {self.timeout:g} s; give it a longer timeout, or {log}"
        if self.late:
            return f"did not begin within {START_SECONDS:g} s; the machine or its disk is overloaded, use fewer workers"
        if code == -signal.SIGKILL:
            return (
                "its process was killed (SIGKILL), as systems do when memory runs out; use fewer workers, or fewer "
                "points (sampling: 10000)"
            )
        if code is not None and code < 0:
            return f"its process crashed ({signal.Signals(-code).name}) in a library; {log}"
        if not began:
            return f"its process ended with exit code {code} before it began{words}; try 'otreg doctor'"
        return f"its process ended with exit code {code}; {log}"


def _stopped(task: Task) -> JobResult:
    return result_of(task.job, "stopped", attempts=task.attempt)
