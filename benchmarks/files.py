"""Reads and writes large meshes in every format that holds them, and writes seconds and rates.

    python benchmarks/files.py [--output benchmarks/results/files.json]

A torus of 1,000,000 vertices and 2,000,000 triangles as binary PLY, in single and in double precision; one of 100,000
and 200,000 in the other formats, text ones included. Each file is written and read seven times, in one process, by
``otreg.io``: as a new file, and as what is left of a registration, the same file with other coordinates. Files are
flushed to the disk; reading finds them in the system's cache.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine

from otreg.io import read_shape, write_shape
from otreg.shapes import CellBlock, Shape

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 7
OTHERS = (".vtk", ".vtp", ".surf.gii", ".white", ".npz", ".stl", ".off", ".obj", ".vtu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "files.json")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        large, small = torus(1000, 1000), torus(250, 400)
        for name, shape in (("float", single(large)), ("double", large)):
            path = Path(folder) / f"{name}.ply"
            rows.append(measure(shape, path, write_ply_float if name == "float" else write_new))
        rows.append(measure(small, Path(folder) / "text.ply", write_ply_text))
        for extension in OTHERS:
            shape = single(small) if extension in (".white", ".stl") else small
            rows.append(
                measure(soup(shape) if extension == ".stl" else shape, Path(folder) / f"mesh{extension}", write_new)
            )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    result = {"machine": describe_machine(), "command": "python benchmarks/files.py", "rows": rows}
    options.output.write_text(json.dumps(result, indent=1) + "\n")


def torus(around: int, across: int) -> Shape:
    """A closed surface of ``around * across`` vertices and twice as many triangles."""
    u, v = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    big, small = u.ravel() * 2 * np.pi / around, v.ravel() * 2 * np.pi / across
    radius = 3 + np.cos(small)
    points = np.stack([radius * np.cos(big), radius * np.sin(big), np.sin(small)], axis=1)
    a, b = u * across + v, (u + 1) % around * across + v
    c, d = (u + 1) % around * across + (v + 1) % across, u * across + (v + 1) % across
    corners = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)
    return Shape(points, (CellBlock("triangle", corners),))


def single(shape: Shape) -> Shape:
    """The shape with coordinates that single precision holds."""
    return Shape(shape.points.astype(np.float32).astype(np.float64), shape.cells)


def soup(shape: Shape) -> Shape:
    """The shape with corners that no triangles share, as STL has them."""
    corners = shape.cells[0].indices.reshape(-1)
    return Shape(shape.points[corners], (CellBlock("triangle", np.arange(len(corners)).reshape(-1, 3)),))


def write_new(shape: Shape, path: Path) -> None:
    write_shape(shape, path, overwrite=True)


def write_ply_float(shape: Shape, path: Path) -> None:
    """Binary PLY as scanners write it: floats, and faces with a count of one byte."""
    faces = np.empty(len(shape.cells[0]), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, shape.cells[0].indices
    path.write_bytes(
        ply_header(shape, "binary_little_endian", "float") + shape.points.astype("<f4").tobytes() + faces.tobytes()
    )


def write_ply_text(shape: Shape, path: Path) -> None:
    lines = [" ".join(map(repr, row)) for row in shape.points.tolist()]
    lines += [f"3 {a} {b} {c}" for a, b, c in shape.cells[0].indices.tolist()]
    path.write_bytes(ply_header(shape, "ascii", "double") + ("\n".join(lines) + "\n").encode())


def ply_header(shape: Shape, encoding: str, kind: str) -> bytes:
    axes = "".join(f"property {kind} {axis}\n" for axis in "xyz")
    counts = f"element vertex {len(shape.points)}\n{axes}element face {len(shape.cells[0])}\n"
    return f"ply\nformat {encoding} 1.0\n{counts}property list uchar int vertex_indices\nend_header\n".encode()


def measure(shape: Shape, path: Path, make: Callable[[Shape, Path], None]) -> dict[str, Any]:
    """Seconds to read the file, to write it with other coordinates, and to write it anew."""
    make(shape, path)
    read, moved, new = [], [], []
    for _ in range(REPEATS):
        started = time.perf_counter()
        found = read_shape(path)
        read.append(time.perf_counter() - started)
        elsewhere = found.with_points(found.points * 0.5 + 1.0)
        if found.native is not None:
            started = time.perf_counter()
            write_shape(elsewhere, path.with_name(f"moved{path.name}"), overwrite=True)
            moved.append(time.perf_counter() - started)
        started = time.perf_counter()
        write_new(shape, path.with_name(f"new{path.name}"))
        new.append(time.perf_counter() - started)
    assert np.abs(found.points - shape.points).max() == 0
    row = {
        "file": path.name,
        "points": len(shape.points),
        "faces": len(shape.cells[0]),
        "bytes": path.stat().st_size,
        "read_seconds": summary(read),
        "write_moved_seconds": summary(moved),
        "write_new_seconds": summary(new),
    }
    print(json.dumps(row), flush=True)
    return row


def summary(seconds: list[float]) -> dict[str, float] | None:
    """The median and the extremes; None where there was nothing to measure."""
    if not seconds:
        return None
    values = {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}
    return {name: round(value, 4) for name, value in values.items()}


if __name__ == "__main__":
    main()
