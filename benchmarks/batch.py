"""What jobs of a batch take by their size, what sharing a template would save, and whether threads share a job well.

    python benchmarks/batch.py [--output benchmarks/results/batch.json]

Jobs register a bumpy closed surface onto a bent and turned copy of it, with another sampling, file to file. Their
seconds are those of the processor, on one thread, so that other programs on the machine hardly matter; memory is the
most that the worker had. "template": share of these seconds that goes into reading the target and preparing it, which
workers do anew for every job. "seconds_two_threads": seconds of the processor of the same job on two threads. When
they are more than "seconds", two jobs at once with one thread each are done before two jobs one after the other with
two threads each, however well these share their work.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine

from otreg.io import write_shape
from otreg.shapes import CellBlock, Shape

ROOT = Path(__file__).resolve().parent.parent
SIZES = (1000, 10_000, 80_000)
MODELS = ("rigid", "rigid,spline")

# One job in a process of its own: seconds of the processor without imports and compiling, and those of the target.
ALONE = """
import json, sys, time
from pathlib import Path
from otreg.batch.memory import forget_peak_memory, peak_memory
from otreg.config import RegisterConfig
from otreg.jobs import Outputs, register_files
import otreg.jobs.pair, otreg.jobs.reading, otreg.jobs.register, otreg.registration.levels as levels

small, source, target, models, threads, folder = sys.argv[1:]
config = RegisterConfig(models=models, threads=int(threads))
register_files(Path(small), Path(small), config, Outputs(directory=Path(folder) / "warm"))
spent = 0.0
class Timed(levels.TargetLevel):
    def __init__(self, *arguments, **keys):
        global spent
        began = time.process_time()
        super().__init__(*arguments, **keys)
        spent += time.process_time() - began
sys.modules["otreg.registration.register"].TargetLevel = Timed
began = time.process_time()
shape = otreg.jobs.reading.Reading().shape(Path(target))
otreg.jobs.pair.measure_from_shape(shape, otreg.jobs.pair.Frame.of(shape.points))
spent += time.process_time() - began
forget_peak_memory()
began = time.process_time()
register_files(Path(source), Path(target), config, Outputs(directory=Path(folder) / "job"))
seconds = time.process_time() - began
print(json.dumps({"seconds": seconds, "memory": peak_memory(), "template": spent / seconds}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "batch.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs = [measure(folder, points, models) for points in SIZES for models in MODELS]
        result = {
            "machine": describe_machine(),
            "command": "python benchmarks/batch.py",
            "jobs": jobs,
        }
    options.output.write_text(json.dumps(result, indent=1) + "\n")


def surface(points: int, *, bent: bool) -> Shape:
    """A closed surface of about so many vertices; bent: the copy, turned by 40 degrees and sampled otherwise."""
    around = round((points * (1.5 if bent else 2.0)) ** 0.5)
    across = points // around
    u, v = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    big, small = u.ravel() * 2 * np.pi / around, v.ravel() * 2 * np.pi / across
    thick = 1 + 0.3 * np.sin(3 * big) * np.cos(small) + 0.2 * np.cos(big)
    radius = 3 + thick * np.cos(small)
    xyz = np.stack([radius * np.cos(big), 0.7 * radius * np.sin(big), thick * np.sin(small)], axis=1)
    if bent:
        xyz[:, 2] += 0.08 * xyz[:, 0] ** 2
        angle = np.radians(40)
        turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
        xyz = xyz @ np.array(turn).T + [1, 2, 3]
    a, b = u * across + v, (u + 1) % around * across + v
    c, d = (u + 1) % around * across + (v + 1) % across, u * across + (v + 1) % across
    triangles = np.concatenate([np.stack([x.ravel() for x in t], axis=1) for t in ((a, b, c), (a, c, d))])
    return Shape(points=xyz, cells=(CellBlock("triangle", triangles),))


def written(folder: Path, points: int) -> tuple[Path, Path]:
    """The files of a pair."""
    files = folder / f"source{points}.ply", folder / f"target{points}.ply"
    for path, bent in zip(files, (False, True), strict=True):
        if not path.exists():
            write_shape(surface(points, bent=bent), path)
    return files


def measure(folder: Path, points: int, models: str) -> dict[str, Any]:
    """Seconds of the processor, bytes, and the share of the template for one job."""
    source, target = written(folder, points)
    small, _ = written(folder, 300)

    def alone(threads: int) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            command = [sys.executable, "-c", ALONE, *map(str, (small, source, target, models, threads, out))]
            found: dict[str, Any] = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout
            )
            return found

    return {"points": points, "models": models, **alone(1), "seconds_two_threads": alone(2)["seconds"]}


if __name__ == "__main__":
    main()
