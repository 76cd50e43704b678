"""The child process of :mod:`otreg.io.guarded`: limits itself, parses one file, leaves the shape as .npz and an answer.

Run as ``python -m otreg.io.guarded_child PARSER FILE FOLDER MEMORY SECONDS``. Whatever a parser raises is written down
as one line; when it kills the process, there is no answer, and the parent draws the conclusion.
"""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

from otreg.errors import FormatError
from otreg.io import foreign
from otreg.io.numpy_files import npz_cannot_hold, write_npz
from otreg.io.read import one_line
from otreg.shapes import Shape


def main(parser: str, file: str, folder: str, memory: str, seconds: str) -> None:
    """Parses ``file`` with ``otreg.io.foreign.PARSER`` and leaves answer.json, and shape.npz if it went well."""
    _limit(memory=int(memory), seconds=int(seconds))
    warnings.simplefilter("ignore")
    answer: dict[str, object]
    try:
        name, *options = parser.split(":")
        shape = _holdable(getattr(foreign, name)(Path(file), *options))
        write_npz(shape, Path(folder) / "shape.npz")
        answer = {"comments": shape.comments, "warnings": shape.warnings, "space": shape.space}
    except FormatError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "asks for more memory than its size can need; the file is damaged"}
    except SystemExit:  # meshio's way of saying that it cannot read a file
        answer = {"error": "its parser refuses the file; it is not valid in its format"}
    except Exception as error:  # other people's code raises anything
        answer = {"error": f"its parser refuses the file: {one_line(error)}"}
    (Path(folder) / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def _limit(*, memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # only Unix has it; the parent's time limit remains
        return
    limits = ((resource.RLIMIT_AS, memory, memory), (resource.RLIMIT_CPU, seconds, seconds + 1))
    for kind, soft, hard in (*limits, (resource.RLIMIT_CORE, 0, 0)):
        before = resource.getrlimit(kind)[1]  # which may be lowered, but not raised
        if before != resource.RLIM_INFINITY:
            soft, hard = min(soft, before), min(hard, before)
        resource.setrlimit(kind, (soft, hard))


def _holdable(shape: Shape) -> Shape:
    """The shape without attributes that .npz cannot carry, each named in a warning."""
    lost: list[str] = []
    point_data, cell_data = dict(shape.point_data), dict(shape.cell_data)
    for data in (point_data, cell_data):
        for name in list(data):
            trial = replace(shape, point_data={}, cell_data={})
            key = {"point_data": {name: data[name]}} if data is point_data else {"cell_data": {name: data[name]}}
            if npz_cannot_hold(replace(trial, **key)) is not None:  # type: ignore[arg-type]
                lost.append(name)
                del data[name]
    dropped = tuple(f"attribute '{name}' is left out; it cannot be carried" for name in lost)
    return replace(shape, point_data=point_data, cell_data=cell_data, warnings=(*shape.warnings, *dropped))


if __name__ == "__main__":
    main(*sys.argv[1:6])
