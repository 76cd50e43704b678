"""Whatever happens while a file is written, its name stands for a whole file or for none."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from otreg.io import read_shape, write_shape
from otreg.shapes import CellBlock, Shape

EXTENSIONS = (".ply", ".npz", ".vtk", ".vtp", ".obj", ".surf.gii", ".vtu", ".csv", ".json")


def shapes(n: int = 20_000) -> list[Shape]:
    """Two shapes of one size."""
    corners = np.random.default_rng(0).integers(0, n, (2 * n, 3))
    points = [np.random.default_rng(seed).normal(size=(n, 3)) for seed in (1, 2)]
    return [Shape(p, (CellBlock("triangle", corners),)) for p in points]


WRITER = """
import itertools, sys
from otreg.io import write_json, write_shape
from otreg.shapes import Shape
from tests.io.test_crash_safety import shapes
out = sys.argv[1]
first, second = shapes()
if out.endswith(".csv"):
    first, second = Shape(first.points), Shape(second.points)
print("ready", flush=True)
for shape in itertools.cycle((first, second)):
    if out.endswith(".json"):
        write_json(out, shape.points.tolist(), overwrite=True)
    else:
        write_shape(shape, out, overwrite=True)
    print("written", flush=True)
"""


@pytest.mark.slow
def test_a_process_killed_a_hundred_times_leaves_whole_files(tmp_path: Path) -> None:
    choose = random.Random(0)
    root = str(Path(__file__).parents[2])
    goals = [shape.points for shape in shapes()]
    torn, seen = [], 0
    for k in range(100):
        out = tmp_path / f"{k}{EXTENSIONS[k % len(EXTENSIONS)]}"
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(out)], cwd=root, stdout=subprocess.PIPE, start_new_session=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(choose.uniform(0, 0.25))
            child.send_signal(signal.SIGKILL)
            written = child.stdout.read().count(b"written")
        assert child.returncode == -signal.SIGKILL
        assert out.exists() or not written
        seen += out.exists()
        if out.exists():
            try:
                points = np.array(json.loads(out.read_text())) if out.suffix == ".json" else read_shape(out).points
            except ValueError as error:
                torn.append((out.name, str(error)))
                continue
            if not any(np.array_equal(points, goal) for goal in goals):
                torn.append((out.name, "other points"))
        visible = [name for name in os.listdir(tmp_path) if not name.startswith(".") and name != out.name]
        assert visible == []
        for name in os.listdir(tmp_path):
            (tmp_path / name).unlink()
    assert torn == []
    assert seen > 30, "the kills must come while files are written, not only before"


FULL = """
import resource, sys
from pathlib import Path
from otreg.io import write_fields, write_json, write_matrix, write_shape
from otreg.errors import OutputFileError
from otreg.shapes import Shape
from tests.io.test_crash_safety import shapes
import numpy as np
shape = shapes(3000)[0]
single = Shape(shape.points.astype("f4").astype("f8"), shape.cells)
cloud = Shape(shape.points)
soup = Shape(single.points, (type(shape.cells[0])("triangle", np.arange(3000).reshape(-1, 3)),))
landmarks = Shape(shape.points, space="RAS")
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
meshes = (".ply", ".obj", ".off", ".npz", ".vtk", ".vtp", ".vtu", ".surf.gii")
jobs = {e: lambda p: write_shape(shape, p) for e in meshes}
jobs |= {e: lambda p: write_shape(cloud, p) for e in (".pcd", ".csv", ".xyz", ".npy")}
jobs |= {".white": lambda p: write_shape(single, p), ".stl": lambda p: write_shape(soup, p)}
jobs |= {".mrk.json": lambda p: write_shape(landmarks, p), ".x.json": lambda p: write_json(p, shape.points.tolist())}
jobs |= {".f.vtu": lambda p: write_fields(p, points=shape.points, cells=(), point_data={"v": shape.points})}
for extension, job in jobs.items():
    path = folder / ("full" + extension)
    try:
        job(path)
    except OutputFileError as error:
        print(error)
    else:
        print(extension, "was written")
"""


def test_on_a_full_disk_every_writer_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = ended.stdout.splitlines()
    assert ended.returncode == 0 and len(lines) == 17, ended.stderr
    assert all("could not be written: File too large" in line and str(tmp_path) in line for line in lines), lines
    assert list(tmp_path.iterdir()) == []


def test_a_small_disk_that_fills_up_is_one_line(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small disk")
    try:
        with pytest.raises(OSError, match="could not be written: No space left on device"):
            write_shape(shapes(5000)[0], mount / "a.ply")
        assert list(mount.iterdir()) == []
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_read_only_folder_is_one_line(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc, a folder in which nobody can write")
    with pytest.raises(OSError, match=r"^/proc/self/a\.ply: could not be written: "):
        write_shape(shapes(10)[0], "/proc/self/a.ply")
