"""Registers real pairs with known truth by the installed command, file to file, and writes errors, times and memory.

    python benchmarks/registration.py [--data ../shared/data] [--output benchmarks/results/registration.json]

Every pair runs in a process of its own with the same settings (the defaults, but for the model and, for partial scans,
the reach and blur that the table names). Errors are mean distances between a moved source vertex and the target vertex
of the same index, over the target's diameter, beside the best rigid and affine maps *fitted on the truth itself*. The
compiled kernels are cached by a first run that is not counted.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine

from otreg.io import read_shape, write_shape
from otreg.shapes import CellBlock, Shape

ROOT = Path(__file__).resolve().parent.parent
NONRIGID = ("-m", "similarity,spline")
RIGID_SCANS = ("-m", "rigid", "--reach", "1%", "--blur", "0.5%")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "registration.json")
    options = parser.parse_args()
    if not (options.data / "pairs.json").exists():
        print(f"no pairs at {options.data}: nothing to measure")
        return
    pairs = json.loads((options.data / "pairs.json").read_text())["pairs"]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        warm_up(Path(folder))
        for pair in pairs:
            files = shape_files(pair, options.data, Path(folder))
            if files is None:
                continue
            row = measure(pair, *files, Path(folder))
            rows.append(row)
            print(json.dumps(row), flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    result = {"machine": describe_machine(), "command": "python benchmarks/registration.py", "rows": rows}
    options.output.write_text(json.dumps(result, indent=1) + "\n")


def warm_up(folder: Path) -> None:
    """Compiles and caches the kernels."""
    sample = ROOT / "sample_data"
    run([str(sample / "scan_source.ply"), str(sample / "scan_target.ply"), "-m", "rigid"], folder)


def shape_files(pair: dict[str, Any], data: Path, folder: Path) -> tuple[Path, Path] | None:
    """The pair as files; MakeHuman shapes are made from the base mesh. None for a pair without truth to measure by."""
    if pair["kind"] not in ("rigid", "nonrigid"):
        return None
    if pair["family"] != "makehuman":
        return data / pair["source"], data / pair["target"]
    made = []
    for side in ("source", "target"):
        made.append(folder / f"{side}.ply")
        write_shape(makehuman_body(data, pair[side].split(" + ")[1]), made[-1], overwrite=True)
    return made[0], made[1]


def makehuman_body(data: Path, displacement: str) -> Shape:
    """The body group of base.obj, with the sparse displacements of a target file added."""
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    group = ""
    for line in (data / "nonrigid/makehuman_base/makehuman/data/3dobjs/base.obj").read_text().splitlines():
        key, *words = line.split() or [""]
        if key == "v":
            vertices.append([float(word) for word in words[:3]])
        elif key == "g":
            group = words[0]
        elif key == "f" and group == "body":
            faces.append([int(word.split("/")[0]) - 1 for word in words])
    points = np.array(vertices)
    with gzip.open(next(data.rglob(displacement)), "rt") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                index, *move = line.split()
                points[int(index)] += [float(word) for word in move[:3]]
    used, cells = np.unique(np.array(faces), return_inverse=True)
    return Shape(points[used], (CellBlock("quad", cells.reshape(-1, 4)),))


def measure(pair: dict[str, Any], source: Path, target: Path, folder: Path) -> dict[str, Any]:
    """One registration: its settings, error against the truth, seconds file to file, and peak memory."""
    flags = NONRIGID if pair["kind"] == "nonrigid" else ("-m", "rigid")
    if "rotation_deg" in pair or pair["family"] == "lidar_car":
        flags = RIGID_SCANS
    output = folder / f"moved{source.suffix}"
    seconds, memory, answer = run([str(source), str(target), *flags, "-o", str(output), "--json"], folder)
    moved, start, goal = (read_shape(path).points for path in (output, source, target))
    diameter = pair.get("target_diameter") or float(np.linalg.norm(goal.max(0) - goal.min(0)))
    row: dict[str, Any] = {"id": pair["id"], "flags": " ".join(flags), "points": [len(start), len(goal)]}
    if "T_source_to_target" in pair:
        truth = np.array(pair["T_source_to_target"])
        expected = start @ truth[:3, :3].T + truth[:3, 3]
        row["rotation_error_degrees"] = rotation_angle(start, moved, expected)
        row["translation_error_percent"] = 100 * float(np.linalg.norm((moved - expected).mean(0))) / diameter
    elif "baseline_mean_error_over_diameter" in pair:
        row["error"] = float(np.linalg.norm(moved - goal, axis=1).mean()) / diameter
        row["best_rigid"] = pair["baseline_mean_error_over_diameter"]["best_rigid"]
        row["best_affine"] = pair["baseline_mean_error_over_diameter"]["best_affine"]
    else:
        row["displacement_percent"] = 100 * float(np.linalg.norm(moved - start, axis=1).mean()) / diameter
    return row | {"seconds": round(seconds, 2), "peak_mib": round(memory), "converged": answer["converged"]}


def rotation_angle(start: np.ndarray, moved: np.ndarray, expected: np.ndarray) -> float:
    """Angle in degrees between two rotations of the same points."""
    maps = [np.linalg.lstsq(start - start.mean(0), goal - goal.mean(0), rcond=None)[0] for goal in (moved, expected)]
    return float(np.degrees(np.arccos(np.clip((np.trace(maps[0] @ maps[1].T) - 1) / 2, -1, 1))))


def run(arguments: list[str], folder: Path) -> tuple[float, float, dict[str, Any]]:
    """Seconds, peak MiB and JSON answer of one call of the command."""
    command = [str(Path(sys.executable).with_name("otreg")), "register", *arguments, "--overwrite", "-q"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")
    memory = usage.ru_maxrss / 1024
    return seconds, memory, json.loads(out) if out.strip().startswith("{") else {}


if __name__ == "__main__":
    main()
