"""Other people's parsers, each run in a child process with limits on time and memory.

They exit the interpreter on bad files, hang on short ones, or abort on absurd counts. Here a crash, an exit, a hang or
an explosion of memory becomes one FormatError, and this process never loads them.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from otreg.errors import FormatError, MissingDependencyError
from otreg.io.numpy_files import read_npz
from otreg.io.plain import read_json
from otreg.io.source import regular_file
from otreg.shapes import Shape

SECONDS = 60.0  # until the child is given up, however busy the machine is
CPU_SECONDS = 4.0  # of computing, for the imports of the child and small files
SECONDS_PER_BYTE = 1e-6
MEMORY = 2 << 30  # bytes of address space, of which the imports need a fifth
MEMORY_PER_BYTE = 60
OUT_OF_TIME = -signal.SIGXCPU if hasattr(signal, "SIGXCPU") else None  # a return code; only Unix has it
EXTRAS = {"pyvista": "vtk", "nibabel": "medical", "laspy": "lidar", "lazrs": "lidar", "h5py": "med"}


def guarded(
    parser: str, *packages: str, computing: float = CPU_SECONDS, memory: int = MEMORY
) -> Callable[[Path], Shape]:
    """A reader that runs ``otreg.io.foreign.PARSER`` in a child process; ``packages`` must be installed for it.

    parser: the function's name; what follows a colon is its second argument.
    computing, memory: seconds and bytes that it may take for any file; more is allowed in proportion to its size.
    """

    def read(path: Path) -> Shape:
        require(*packages)
        size = regular_file(path)
        more = SECONDS_PER_BYTE * size
        return read_guarded(
            parser,
            path,
            seconds=max(SECONDS, computing) + more,
            computing=computing + more,
            memory=memory + MEMORY_PER_BYTE * size,
        )

    return read


def require(*packages: str) -> None:
    """Nothing, if the packages are installed; MissingDependencyError that names what to install if not."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            what = f"'otreg[{EXTRAS[package]}]'" if package in EXTRAS else package
            raise MissingDependencyError(f"this format needs the package {package}; install it: pip install {what}")


def read_guarded(
    parser: str, path: Path, *, seconds: float = SECONDS, computing: float = CPU_SECONDS, memory: int = MEMORY
) -> Shape:
    """The shape that a foreign parser finds in a file, or FormatError, whatever the parser does.

    seconds: until the child is given up; computing: of them, those that it may use itself, fewer, so that a busy
    machine fails no file; memory: in bytes.
    """
    with tempfile.TemporaryDirectory(prefix="otreg-") as folder:
        answer = Path(folder) / "answer.json"
        limits = [str(memory), str(max(1, int(computing)))]
        _run_child([parser, str(path.absolute()), folder, *limits], Path(folder), seconds)
        if not answer.exists():
            raise FormatError("made its parser stop without an answer; the file is damaged or asks for too much memory")
        said = read_json(answer)
        if "error" in said:
            raise FormatError(said["error"])
        shape = read_npz(Path(folder) / "shape.npz")
    comments, warnings = tuple(said["comments"]), tuple(said["warnings"])
    return replace(shape, comments=comments, warnings=warnings, space=said["space"], native=None)


def _run_child(arguments: list[str], folder: Path, seconds: float) -> None:
    root = str(Path(__file__).parents[2])  # otreg must be found there, too, however it was found here
    search = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "otreg.io.guarded_child", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": search, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(seconds) from error
    if ended.returncode == OUT_OF_TIME:
        raise _too_slow(float(arguments[-1]))


def _too_slow(seconds: float) -> FormatError:
    return FormatError(f"could not be parsed within {seconds:.0f} seconds; the file is damaged or far too large")
