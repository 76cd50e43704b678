"""Registration of real pairs with known truth, side by side in one run: otreg and the tools that people use instead.

    python benchmarks/registration.py            (about half an hour; writes results/registration.json)
    python benchmarks/registration.py --quick    (a few minutes, to see that everything runs; writes nothing)

Each pair (see peers/cases.py) is registered as given and from random poses, by every tool that takes such a pair (see
peers/tools.py), each tool in a process of its own that has warmed up. A solve over the limit is killed and recorded as
such, and the tool does not get that pair again. Errors are those of peers/scoring.py; seconds are those of the solve;
memory is its peak above what the process held before its first one. The installed command is timed on the pairs as
given, from the start of its interpreter to the last file written, in rounds over all of them: when the solves as given
are done, after those from each random pose, and in the end until there are three. A machine may be slow for some
minutes, so that the median counts, and each round begins with the time of `import torch`, which no version of otreg
changes. Tools that are not installed (peers/requirements.txt) are left out by name.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from children import next_answer
from machine import describe_machine
from peers.cases import AS_GIVEN, Case, cases
from peers.scoring import score
from peers.tools import TOOLS

from otreg import Shape, write_shape
from otreg.shapes import triangles_of
from otreg_cli.main import WAITING

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
START_LIMIT = 120  # seconds until a tool must be ready
QUICK_POINTS = 7000
ROUNDS = 3  # over all pairs with the installed command, at least


@dataclass
class Run:
    """What a run of the benchmark knows while it goes on."""

    options: argparse.Namespace
    folder: Path
    started: float = field(default_factory=time.perf_counter)
    rows: list[dict[str, Any]] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)
    not_run: list[dict[str, Any]] = field(default_factory=list)
    # (tool, pair) that took longer than the limit.
    slow: set[tuple[str, str]] = field(default_factory=set)
    children: dict[str, Child] = field(default_factory=dict)
    # Rows of otreg that want the time of the command, each with its case.
    commands: list[tuple[dict[str, Any], Case]] = field(default_factory=list)
    # Seconds of `import torch` in each of the rounds so far.
    imports: list[float] = field(default_factory=list)

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.started


def main() -> None:
    options = parse_options()
    if not (options.data / "pairs.json").exists():
        print(f"no pairs at {options.data}: nothing to measure")
        return
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    os.environ.update(WAITING)  # all tools alike
    with tempfile.TemporaryDirectory() as folder:
        run = Run(options, Path(folder))
        start = AS_GIVEN
        try:
            for case in cases(options.data, poses=options.poses, most=QUICK_POINTS if options.quick else None):
                if case.start != start and run.elapsed <= options.budget:
                    time_commands(run)
                    start = case.start
                if run.elapsed > options.budget:
                    reason = f"the time of the run ({options.budget:.0f} s) was over"
                    run.not_run.append(case.labels | {"reason": reason})
                else:
                    measure_case(run, case)
        finally:
            for child in run.children.values():
                child.close()
        while len(run.imports) < ROUNDS:
            time_commands(run)
    result = {
        "machine": describe_machine() | {"threads": options.threads, "peers": peer_versions()},
        "command": " ".join(["python benchmarks/registration.py", *sys.argv[1:]]),
        "limit_seconds": options.limit,
        "seconds": round(run.elapsed),
        "settings": {name: TOOLS[name].settings for name in options.only},
        "unavailable": run.unavailable,
        "not_run": run.not_run,
        "import_torch_seconds": run.imports,
        "rows": run.rows,
    }
    print(f"done in {run.elapsed:.0f} s")
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=1) + "\n")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small pairs and one random pose; writes nothing")
    parser.add_argument("--only", type=named, default=list(TOOLS), metavar="TOOL,...", help="; ".join(TOOLS))
    parser.add_argument("--poses", type=int, help="random poses of rigid pairs  [default: 2, with --quick 1]")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the real pairs")
    parser.add_argument("--output", type=Path, help="result file  [default: benchmarks/results/registration.json]")
    parser.add_argument("--limit", type=float, default=20, help="seconds that one solve may take")
    parser.add_argument("--budget", type=float, default=1380, help="seconds after which no case is begun")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of every tool")
    options = parser.parse_args()
    options.poses = options.poses if options.poses is not None else 1 if options.quick else 2
    if options.output is None and not options.quick and options.only == list(TOOLS):
        options.output = HERE / "results" / "registration.json"
    return options


def named(text: str) -> list[str]:
    """The tools of a comma list."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in TOOLS:
            raise argparse.ArgumentTypeError(f"must name tools ({'; '.join(TOOLS)}), separated by commas; got {name!r}")
    return names


def measure_case(run: Run, case: Case) -> None:
    """Runs all tools that take the case, one after the other, and appends their rows."""
    print(f"{case.pair}, {case.start}, {max(case.labels['points']):,} points ({run.elapsed:.0f} s so far)", flush=True)
    problem = run.folder / "case.pickle"
    problem.write_bytes(pickle.dumps((case.source, case.target)))
    for name in run.options.only:
        tool = TOOLS[name]
        if case.kind not in tool.kinds or name in run.unavailable:
            continue
        row = case.labels | {"tool": name}
        reason = why_not(run, name, case)
        if reason is not None:
            run.rows.append(row | {"skipped": reason})
            continue
        row |= solve(run, name, case, problem)
        if "unavailable" in row:
            run.unavailable[name] = row["unavailable"]
            continue
        if "over_seconds" in row:
            run.slow.add((name, case.pair))
        if "seconds" in row and name.startswith("otreg") and case.start == AS_GIVEN:
            run.commands.append((row, case))
        run.rows.append(row)
        print(f"  {name:28} {summary(row)}", flush=True)


def why_not(run: Run, name: str, case: Case) -> str | None:
    """The reason for which a tool is not tried on a case of its kind, if there is one."""
    tool = TOOLS[name]
    if case.source.dimension not in tool.dimensions:
        return f"takes points of {' or '.join(map(str, tool.dimensions))} coordinates only"
    if tool.faces and not all(len(triangles_of(shape)) for shape in (case.source, case.target)):
        return "needs surfaces"
    if (name, case.pair) in run.slow:
        return f"took more than {run.options.limit:.0f} s as given"
    return None


def solve(run: Run, name: str, case: Case, problem: Path) -> dict[str, Any]:
    """The row of one solve: seconds, memory, errors; or why there are none."""
    if name not in run.children:
        run.children[name] = Child(name, run.folder / "moved.npy")
    child = run.children[name]
    row = child.answer(problem, run.options.limit)
    if child.process.poll() is not None or "over_seconds" in row:
        run.children.pop(name).close()
    return row | score(case, np.load(child.moved)) if "seconds" in row else row


class Child:
    """The process of one tool (see peers/child.py)."""

    def __init__(self, name: str, moved: Path) -> None:
        command = [sys.executable, "-m", "peers.child", name, str(moved)]
        self.moved = moved
        self.process = subprocess.Popen(
            command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def answer(self, problem: Path, limit: float) -> dict[str, Any]:
        """What the tool makes of a case, or what went wrong; the process is of no more use after "over_seconds"."""
        assert self.process.stdin is not None
        self.moved.unlink(missing_ok=True)
        try:
            self.process.stdin.write(f"{problem}\n".encode())
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended; its last line says why
        row = next_answer(self.process, START_LIMIT)
        if "over_seconds" in row:
            return row | {"failed": f"was not ready after {START_LIMIT} s"}
        return next_answer(self.process, limit) if "ready" in row else row

    def close(self) -> None:
        """Ends the process, whatever it is at."""
        self.process.kill()
        self.process.communicate()


def time_commands(run: Run) -> None:
    """A round with the installed command, where it has not failed before."""
    torch_alone = min(seconds_of_process([sys.executable, "-c", "import torch"])[0] for _ in range(3))
    run.imports.append(torch_alone)
    print(f"the command ({run.elapsed:.0f} s so far; import torch takes {torch_alone} s)", flush=True)
    for row, case in run.commands:
        if "command_failed" not in row:
            time_command(run, row, case)


def time_command(run: Run, row: dict[str, Any], case: Case) -> None:
    """Adds to a row the seconds of one more run of the installed command, with the interpreter's start and the imports,
    and the median of all so far; or how it failed."""
    files = [run.folder / f"{name}.{'ply' if case.source.dimension == 3 else 'csv'}" for name in ("a", "b", "moved")]
    for shape, file in zip((case.source, case.target), files, strict=False):
        write_shape(Shape(points=shape.points, cells=shape.cells), file, overwrite=True)
    command = [str(Path(sys.executable).with_name("otreg")), "register", *map(str, files[:2])]
    command += ["-m", TOOLS[row["tool"]].models, "-o", str(files[2]), "--overwrite", "-q"]
    seconds, code = seconds_of_process(command)
    if code != 0:
        row["command_failed"] = code
        return
    row.setdefault("command_runs", []).append(seconds)
    row["command_seconds"] = round(statistics.median(row["command_runs"]), 2)
    print(f"  {row['pair']}, {row['tool']}: {row['command_runs']}", flush=True)


def seconds_of_process(command: list[str]) -> tuple[float, int]:
    """How long a process takes, to the hundredth, and its exit code."""
    started = time.perf_counter()
    code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    return round(time.perf_counter() - started, 2), code


def summary(row: dict[str, Any]) -> str:
    if "seconds" not in row:
        return json.dumps({key: row[key] for key in ("over_seconds", "failed") if key in row})
    errors = {
        "rotation_degrees": "{:.3f}°",
        "translation_percent": "{:.3f} %",
        "error": "error {:.5f}",
        "inliers": "inliers {:.3f}",
        "best_affine": "(best affine {:.5f})",
    }
    parts = [words.format(row[key]) for key, words in errors.items() if key in row]
    if row["success"] is not None:
        parts.append("success" if row["success"] else "no success")
    return "  ".join([f"{row['seconds']:7.2f} s  {row['peak_mib']:5} MiB", *parts])


def peer_versions() -> dict[str, str]:
    """Version of each package of the tools that is installed."""
    found = {}
    for package in dict.fromkeys(package for tool in TOOLS.values() for package in tool.packages if package != "otreg"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
