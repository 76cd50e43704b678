"""Damaged files for every reader: a corpus of valid ones, ways to damage them, and what must hold whatever comes out.

``python -m tests.io.fuzz --minutes 10`` runs it by hand and prints one JSON object with what happened;
``--atheris FORMAT`` lets libFuzzer look for new paths through one reader (needs the package atheris).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from otreg.errors import OtregError, OutputFileError
from otreg.io import read_shape, write_shape
from otreg.shapes import CellBlock, Shape

MEMORY = 2 << 30
SECONDS = 5.0
# Read by other people's parsers in a child process each: half a second, not a millisecond.
GUARDED = ("vtp", "vtu", "gltf", "3mf", "gmsh", "medit", "xdmf", "nifti", "las", "med")
NUMBERS = (b"-1", b"0", b"1", b"255", b"256", b"65536", b"2147483648", b"4294967295", b"9223372036854775807")
NUMBERS += (b"18446744073709551616", b"1e308", b"-1e400", b"nan", b"inf", b"0x10", b"1_000", b"1,5", b"", b"\xc3\xa9")
BYTES = (b"\0", b"\xff", b"\x7f", b"\x80", b"\n", b"\r", b" ", b"\t", b'"', b"<", b"#", b",", b"/", b"\\")


# ---------------------------------------------------------------- valid files


def shapes() -> dict[str, Shape]:
    """A cloud, a surface of mixed faces, curves, and a volume, with attributes of several types."""
    points = np.random.default_rng(0).normal(size=(9, 3))
    attributes = {
        "normals": np.random.default_rng(1).normal(size=(9, 3)),
        "id": np.arange(9, dtype=np.int32),
        "red": np.arange(9, dtype=np.uint8),
    }
    polygons = CellBlock("polygon", np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, 2, 4]), np.array([0, 3, 7, 11]))
    triangles = CellBlock("triangle", np.array([[0, 1, 2], [2, 3, 4], [6, 7, 8]]))
    lines = CellBlock("line", np.array([[0, 1], [1, 2]]))
    return {
        "cloud": Shape(points),
        "plane": Shape(points[:, :2].copy()),
        "columns": Shape(points, point_data={"id": attributes["id"], "w": points[:, 0].copy()}),
        "surface": Shape(points, (triangles,)),
        "soup": Shape(points.astype(np.float32).astype(float), (CellBlock("triangle", np.arange(9).reshape(3, 3)),)),
        "full": Shape(points, (polygons,), attributes, comments=("made by a test",)),
        "curve": Shape(points, (lines, triangles)),
        "volume": Shape(points, (CellBlock("tetra", np.array([[0, 1, 2, 3], [4, 5, 6, 7]])),), attributes),
        "landmarks": Shape(points, point_data={"label": np.array([f"p{k}" for k in range(9)])}, space="RAS"),
    }


WRITTEN = {
    **{"ply": ".ply", "obj": ".obj", "off": ".off", "stl": ".stl", "pcd": ".pcd", "npy": ".npy", "npz": ".npz"},
    **{
        "vtk": ".vtk",
        "gifti": ".surf.gii",
        "freesurfer": ".white",
        "markups": ".mrk.json",
        "vtp": ".vtp",
        "vtu": ".vtu",
    },
}
TEXTS: dict[str, tuple[str, ...]] = {
    "ply": (
        "ply\nformat ascii 1.0\ncomment a\nelement vertex 3\nproperty double x\nproperty float y\nproperty float z\n"
        "property list uchar int tags\nelement face 2\nproperty list uchar int vertex_indices\nproperty int flag\n"
        "end_header\n0 0 0 0\n1 0 0 2 7 8\n0 1 0 1 9\n3 0 1 2 5\n3 2 1 0 6\n",
    ),
    "obj": ("o a\nv 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 1\nvn 0 0 1\nvt 0 0\nf 1/1/1 2/1/1 3/1/1\nl -3 -2\n",),
    "off": ("NOFF\n3 1 0\n0 0 0 0 0 1\n1 0 0 0 0 1\n0 1 0 0 0 1\n3 0 1 2 255 0 0\n",),
    "stl": (
        "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\n"
        "endsolid\n",
    ),
    "pcd": (
        "# .PCD v.7\nVERSION .7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F U\nCOUNT 1 1 1 1\nWIDTH 2\nHEIGHT 1\n"
        "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 2\nDATA ascii\n0 0 0 5\n1 2 3 6\n",
    ),
    "table": ('name,x,y,z\n"a, b",1,2,3\nc,4,5,6\n', "1 2 3\n4 5 6\n", "3\n1 2\n3 4\n5 6\n", "x;y\n1,5;2\n3;4,5\n"),
    "vtk": (
        "# vtk DataFile Version 3.0\nt\nASCII\nDATASET POLYDATA\nPOINTS 3 float\n0 0 0 1 0 0\n0 1 0\nPOLYGONS 1 4\n"
        "3 0 1 2\nLINES 1 3\n2 0 1\nPOINT_DATA 3\nSCALARS s float 1\nLOOKUP_TABLE default\n1 2 3\nNORMALS n float\n"
        "0 0 1 0 0 1 0 0 1\nFIELD f 1\ng 2 3 int\n1 2 3 4 5 6\n",
        "# vtk DataFile Version 5.1\nt\nASCII\nDATASET POLYDATA\nPOINTS 3 float\n0 0 0 1 0 0 0 1 0\nMETADATA\n"
        "INFORMATION 0\n\nPOLYGONS 2 3\nOFFSETS vtktypeint64\n0 3\nCONNECTIVITY vtktypeint64\n0 1 2\n",
    ),
    "fcsv": (
        "# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n# columns = id,x,y,z,label\n"
        'a,1,2,3,"F, 1"\nb,4,5,6,F-2\n',
    ),
    "gltf": (
        '{"asset":{"version":"2.0"},"scenes":[{"nodes":[0]}],"nodes":[{"mesh":0,"translation":[1,2,3]}],"meshes":'
        '[{"primitives":[{"attributes":{"POSITION":0}}]}],"accessors":[{"bufferView":0,"componentType":5126,"count":3,'
        '"type":"VEC3"}],"bufferViews":[{"buffer":0,"byteLength":36}],"buffers":[{"byteLength":36,"uri":'
        '"data:application/octet-stream;base64,AAAAAAAAAAAAAAAAAACAPwAAAAAAAAAAAAAAAAAAgD8AAAAA"}]}',
    ),
    "gmsh": (
        "$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$Nodes\n4\n1 0 0 0\n2 1 0 0\n3 0 1 0\n4 0 0 1\n$EndNodes\n$Elements\n"
        "2\n1 2 2 0 1 1 2 3\n2 4 2 0 1 1 2 3 4\n$EndElements\n",
    ),
    "medit": (
        "MeshVersionFormatted 2\nDimension 3\nVertices\n3\n0 0 0 1\n1 0 0 1\n0 1 0 1\nTriangles\n1\n1 2 3 1\nEnd\n",
    ),
    "xdmf": (
        '<Xdmf Version="3.0"><Domain><Grid Name="G"><Geometry GeometryType="XYZ"><DataItem DataType="Float" '
        'Dimensions="3 3" Format="XML" Precision="8">0 0 0\n1 0 0\n0 1 0\n</DataItem></Geometry><Topology '
        'TopologyType="Triangle" NumberOfElements="1"><DataItem DataType="Int" Dimensions="1 3" Format="XML" '
        'Precision="8">0 1 2</DataItem></Topology></Grid></Domain></Xdmf>',
    ),
}
EXTENSIONS = {"table": ".csv", "fcsv": ".fcsv", "gltf": ".gltf", "gmsh": ".msh", "medit": ".mesh", "xdmf": ".xdmf"}
EXTENSIONS |= {"med": ".med", "nifti": ".nii", "las": ".laz", "3mf": ".3mf", **WRITTEN}


def corpus(folder: Path) -> dict[str, list[bytes]]:
    """Valid files by format: what otreg writes, what is written here by hand, and what other programs write."""
    found: dict[str, list[bytes]] = {name: [text.encode() for text in texts] for name, texts in TEXTS.items()}
    for name, extension in WRITTEN.items():
        for kind, shape in shapes().items():
            path = folder / f"{kind}{extension}"
            try:
                write_shape(shape, path)
            except OutputFileError:
                continue  # this format does not hold this shape
            found.setdefault(name, []).append(path.read_bytes())
    found.update(_of_others(folder))
    return found


def _of_others(folder: Path) -> dict[str, list[bytes]]:
    import laspy
    import meshio
    import nibabel
    import trimesh

    values = np.zeros((3, 4, 5), np.uint8)
    values[1:, 2:, 3:] = 2
    nibabel.Nifti1Image(values, np.diag([2.0, 3, 4, 1])).to_filename(folder / "mask.nii")
    nibabel.Nifti1Image(values, np.diag([2.0, 3, 4, 1])).to_filename(folder / "mask.nii.gz")
    header = laspy.LasHeader(point_format=3, version="1.2")
    header.scales = [1e-3] * 3
    las = laspy.LasData(header)
    las.x, las.y, las.z = np.random.default_rng(0).uniform(0, 9, (3, 20))
    for name in ("scan.las", "scan.laz"):
        las.write(folder / name)
    box = trimesh.creation.box()
    (folder / "box.3mf").write_bytes(box.export(file_type="3mf"))
    (folder / "box.glb").write_bytes(box.export(file_type="glb"))
    meshio.write(folder / "mesh.med", meshio.Mesh(np.eye(3), [("triangle", np.array([[0, 1, 2]]))]))
    names = {
        "med": ("mesh.med",),
        "nifti": ("mask.nii", "mask.nii.gz"),
        "las": ("scan.las", "scan.laz"),
        "3mf": ("box.3mf",),
    }
    files = {kind: [(folder / name).read_bytes() for name in listed] for kind, listed in names.items()}
    files["gltf"] = [(folder / "box.glb").read_bytes(), TEXTS["gltf"][0].encode()]
    return files


# ---------------------------------------------------------------- damage


def damaged(data: bytes, choose: random.Random) -> bytes:
    """The file after one to four accidents."""
    for _ in range(choose.choice((1, 1, 2, 4))):
        data = choose.choice(ACCIDENTS)(data, choose)
    return data


def _cut(data: bytes, choose: random.Random) -> bytes:
    return data[: choose.randrange(len(data) + 1)]


def _flip(data: bytes, choose: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(choose.choice((1, 1, 3, 10)) if data else 0):
        changed[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, choose: random.Random) -> bytes:
    place = choose.randrange(len(data) + 1)
    size = choose.choice((1, 2, 4, 8))
    return data[:place] + choose.choice((b"\xff", b"\0", b"\x7f", b"\x80")) * size + data[place + size :]


def _insert(data: bytes, choose: random.Random) -> bytes:
    place = choose.randrange(len(data) + 1)
    return data[:place] + choose.choice(BYTES) * choose.choice((1, 1, 2, 100)) + data[place:]


def _remove(data: bytes, choose: random.Random) -> bytes:
    place = choose.randrange(len(data) + 1)
    return data[:place] + data[place + choose.choice((1, 2, 8, 50)) :]


def _repeat(data: bytes, choose: random.Random) -> bytes:
    begin, end = sorted(choose.randrange(len(data) + 1) for _ in range(2))
    return data[:end] + data[begin:end] * choose.choice((1, 3)) + data[end:]


def _number(data: bytes, choose: random.Random) -> bytes:
    words = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", data[: 1 << 16]))
    if not words:
        return data
    word = choose.choice(words)
    return data[: word.start()] + choose.choice(NUMBERS) + data[word.end() :]


def _line(data: bytes, choose: random.Random) -> bytes:
    lines = data.split(b"\n")
    k = choose.randrange(len(lines))
    if choose.random() < 0.5:
        del lines[k]
    else:
        lines.insert(k, choose.choice(lines))
    return b"\n".join(lines)


def _noise(data: bytes, choose: random.Random) -> bytes:
    return data[: choose.choice((0, 4, 16, 100))] + choose.randbytes(choose.choice((10, 100, 1000)))


ACCIDENTS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_cut, _flip, _flip, _overwrite, _insert, _remove, _repeat, _number, _number, _line, _noise),
)


# ---------------------------------------------------------------- what must hold


def check(path: Path, data: bytes, *, format: str | None) -> str:
    """The word shape or error, after checking all that must hold of the answer to ``data``; AssertionError if not.

    A shape is finite, indexes its own points, and comes back when it is written in the layout that it came in.
    """
    path.write_bytes(data)
    started = sum(os.times()[:4])
    try:
        shape = read_shape(path, format=format)
    except OtregError as error:
        text = str(error)
        assert "\n" not in text and str(path) in text and len(text) < 2000, text
        return "error"
    finally:
        spent = sum(os.times()[:4]) - started
        assert spent < SECONDS, f"{spent:.1f} seconds"
    n = len(shape.points)
    assert n >= 1 and np.isfinite(shape.points).all()
    assert all(len(values) == n for values in shape.point_data.values())
    for block in shape.cells:
        assert not block.indices.size or (0 <= block.indices.min() and block.indices.max() < n)
    if shape.native is not None:
        _check_written(shape, path)
    return "shape"


def _check_written(shape: Shape, path: Path) -> None:
    out = path.with_name(f"out{path.name}")
    moved = shape.with_points(shape.points * 0.5 + 1.0)
    try:
        write_shape(moved, out, format=shape.format, overwrite=True)
    except OtregError as error:
        assert "\n" not in str(error)
        return
    again = read_shape(out, format=shape.format)
    allowed = 1e-5 * (1 + float(np.abs(moved.points).max()))
    assert again.points.shape == moved.points.shape and np.abs(again.points - moved.points).max() <= allowed
    assert [len(block) for block in again.cells] == [len(block) for block in shape.cells]
    assert list(again.point_data) == list(shape.point_data)


# ---------------------------------------------------------------- by hand


def run(minutes: float, *, seed: int, only: str | None) -> dict[str, Any]:
    """Damages files until the time is over; what happened, by format."""
    choose = random.Random(seed)
    outcomes: dict[str, Counter[str]] = {}
    failures: list[dict[str, str]] = []
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {kind: listed for kind, listed in corpus(folder).items() if only in (None, kind)}
        kinds = [kind for kind in files for _ in range(1 if kind in GUARDED and only is None else 60)]
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            kind = choose.choice(kinds)
            data = damaged(choose.choice(files[kind]), choose)
            started = time.monotonic()
            try:
                outcome = check(folder / f"damaged{EXTENSIONS[kind]}", data, format=choose.choice((None, kind)))
            except Exception as error:
                outcome = "failure"
                failures.append(
                    {"format": kind, "error": f"{type(error).__name__}: {error}", "data": data.hex()[:20000]}
                )
            slowest = max(slowest, (time.monotonic() - started, kind))
            outcomes.setdefault(kind, Counter())[outcome] += 1
    return {
        "minutes": minutes,
        "seed": seed,
        "files": sum(sum(counter.values()) for counter in outcomes.values()),
        "outcomes": {kind: dict(outcomes[kind]) for kind in sorted(outcomes)},
        "slowest": {"seconds": round(slowest[0], 2), "format": slowest[1]},
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "failures": failures,
    }


def run_atheris(format: str, arguments: list[str]) -> None:
    """Hands one reader to libFuzzer, which stops at the first failure and keeps the file that made it."""
    import atheris

    # The readers once more, instrumented; everything else, NumPy above all, would take minutes.
    for name in [name for name in sys.modules if name.split(".")[:2] == ["otreg", "io"]]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["otreg.io"]):
        import otreg.io as instrumented
    globals().update(read_shape=instrumented.read_shape, write_shape=instrumented.write_shape)
    folder = Path(tempfile.mkdtemp())
    seeds = folder / "seeds"
    seeds.mkdir()
    for k, data in enumerate(corpus(folder)[format]):
        (seeds / str(k)).write_bytes(data)

    def one(data: bytes) -> None:
        if data:
            check(folder / f"damaged{EXTENSIONS[format]}", data, format=format)

    atheris.Setup([sys.argv[0], *arguments, str(seeds)], one)
    atheris.Fuzz()


def main(arguments: Mapping[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2 * MEMORY, 2 * MEMORY))
    if arguments["atheris"]:
        run_atheris(arguments["atheris"], [f"-max_total_time={60 * arguments['minutes']:.0f}"])
    print(json.dumps(run(arguments["minutes"], seed=arguments["seed"], only=arguments["format"]), indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Damaged files for every reader.")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", help="only this one")
    parser.add_argument("--atheris", metavar="FORMAT", help="coverage-guided, this one")
    main(vars(parser.parse_args()))
