"""Everything that can be wrong with a file: each case makes one, and says what the reader must answer."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

AXES = "property float x\nproperty float y\nproperty float z\n"
FACE = "property list uchar int vertex_indices\n"
POINTS = "0 0 0\n1 0 0\n0 1 0\n"
BINARY = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
ENTITIES = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 30))
LAUGHS = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{ENTITIES}]>'
XXE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'


@dataclass(frozen=True)
class Case:
    """A file and the answer to it: ``words`` of the error, or "" where there is a shape of ``points`` points."""

    name: str
    data: bytes
    words: str = ""
    points: int = 0


def ply(
    body: str | bytes = POINTS, *, elements: str = "", vertices: object = 3, axes: str = AXES, binary: bool = False
):
    """A PLY file with its header as it is claimed, and any body."""
    kind = "binary_little_endian" if binary else "ascii"
    head = f"ply\nformat {kind} 1.0\nelement vertex {vertices}\n{axes}{elements}end_header\n"
    return head.encode("latin-1") + (body.encode("latin-1") if isinstance(body, str) else body)


def faces(rows: str, *, count: object = 1) -> bytes:
    return ply(POINTS + rows, elements=f"element face {count}\n{FACE}")


def stl(count: int, *, claimed: int | None = None, head: bytes = b"made by a test") -> bytes:
    record = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)
    return head.ljust(80, b"\0") + struct.pack("<I", count if claimed is None else claimed) + record * count


def glb(**changes: object) -> bytes:
    """A triangle as GLB, with changes to its JSON."""
    tree = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "buffers": [{"byteLength": 36}],
        **changes,
    }
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", 36, b"BIN\0") + BINARY
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def archive(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(name, data)
    return buffer.getvalue()


def npz_of_objects() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, points=np.array([{"a": 1}, None], dtype=object))
    return buffer.getvalue()


def npy_that_claims(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + bytes(24)


VTP = (
    '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64"><PolyData>'
    '<Piece NumberOfPoints="{n}" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" NumberOfPolys="0">'
    '<Points><DataArray type="Float32" NumberOfComponents="3" format="appended" offset="{offset}"/></Points>'
    '</Piece></PolyData><AppendedData encoding="raw">_12345678</AppendedData></VTKFile>'
)
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
RANDOM = random.Random(0)


def cases() -> list[Case]:
    """The files."""
    pipe = ply("", elements="element face 4000000000\n" + FACE, vertices=0)
    return [
        Case("empty.ply", b"", "the file is empty"),
        Case("magic.ply", b"ply\n", "end_header"),
        Case("no_end_header.ply", ply().split(b"end_header")[0], "end_header"),
        Case("4e9_faces.ply", faces("3 0 1 2\n", count=4_000_000_000), "claims 4000000000"),
        Case("4e9_faces_no_points.ply", pipe, "claims 4000000000"),
        Case(
            "4e9_faces_binary.ply",
            ply(BINARY + b"\3", elements="element face 4000000000\n" + FACE, binary=True),
            "claims 4000000000",
        ),
        Case("4e9_vertices.ply", ply(vertices=4_000_000_000), "claims 4000000000"),
        Case("4e9_vertices_binary.ply", ply(BINARY, vertices=4_000_000_000, binary=True), "claims 4000000000"),
        Case("1e30_vertices.ply", ply(vertices="1" + "0" * 30), "count must be a number"),
        Case("negative_count.ply", ply(vertices=-3), "count must be a number >= 0"),
        Case("cut_binary.ply", ply(BINARY[:-1], binary=True), "cut off"),
        Case("cut_text.ply", ply(POINTS[:-6]), "cut off"),
        Case("index_n.ply", faces("3 0 1 3\n"), "uses point 3, but points are 0 to 2"),
        Case("index_minus_1.ply", faces("3 0 1 -1\n"), "uses point -1"),
        Case("nan.ply", ply("0 0 0\nnan 0 0\n0 1 inf\n"), "point 1 (counted from 0) is (nan, 0, 0); 2 of 3"),
        Case("1e308.ply", ply("0 0 0\n1e308 0 0\n-1e308 1 0\n", axes=AXES.replace("float", "double")), "beyond 1e+100"),
        Case("odd_type.ply", ply(axes=AXES + "property quaternion q\n"), "type 'quaternion' is unknown"),
        Case("no_xyz.ply", ply(axes=AXES.replace(" x", " u")), "must have the numeric properties x and y"),
        Case(
            "list_of_255.ply",
            ply(BINARY + b"\xff" * 10, elements="element face 1\n" + FACE, binary=True),
            "cut off",
        ),
        Case(
            "mixed.ply",
            ply(POINTS + "1 1 0\n3 0 1 2\n4 0 1 3 2\n", elements="element face 2\n" + FACE, vertices=4),
            points=4,
        ),
        Case("duplicate_property.ply", ply(axes=AXES + "property float x\n"), "'x' of 'vertex' appears twice"),
        Case("latin1.ply", ply(axes="comment caf\xe9\n" + AXES), points=3),
        Case("bom.ply", b"\xef\xbb\xbf" + ply(), "byte order mark"),
        Case("2e6_comments.ply", ply(axes="comment x\n" * 2_000_000 + AXES), points=3),
        Case("50_MB_line.ply", ply("0 " * 25_000_000), "cut off"),
        Case("50_MB_line.obj", b"v 0 0 0\n# " + b"x" * 50_000_000, points=1),
        Case("50_MB_line.csv", b"0," * 25_000_000, "line 1: must be at most 1048576 bytes long"),
        Case("404.ply", b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>", "web page"),
        Case("pointer.ply", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        Case("wrong_count.stl", stl(2, claimed=3), "claims 3 triangles, 234 bytes; the file has 184"),
        Case("zero_count.stl", stl(2, claimed=0), "claims 0 triangles"),
        Case("absurd_count.stl", stl(2, claimed=2**32 - 1), "claims 4294967295 triangles"),
        Case("no_triangles.stl", stl(0), "holds no points"),
        Case("solid_binary.stl", stl(2, head=b"solid in name only"), points=6),
        Case("renamed_ply.stl", ply(), points=3),
        Case("index_0.obj", f"{OBJ}f 0 1 2\n".encode(), "line 4: index 0 is out of range"),
        Case("index_n.obj", f"{OBJ}f 1 2 4\n".encode(), "line 4: index 4 is out of range"),
        Case("index_2e63.obj", f"{OBJ}f 1 2 {2**63}\n".encode(), "line 4: an index must be a whole number"),
        Case("relative.obj", f"{OBJ}f -3 -2 -1\n".encode(), points=3),
        Case("tabs.obj", OBJ.replace(" ", "\t").encode(), points=3),
        Case("mtllib.obj", f"mtllib ../../etc/passwd\n{OBJ}usemtl /dev/zero\nf 1 2 3\n".encode(), points=3),
        Case("decimal_commas.csv", b"1,5;2,5;3,5\n4,5;5,5;6,5\n", points=2),
        Case("decimal_commas.txt", b"1,5 2,5 3,5\n4,5 5,5 6,5\n", points=2),
        Case("commas_both.csv", b"1,5,2,5,3,5\n", "2 or 3 numeric columns"),
        Case("random.bin", RANDOM.randbytes(1000), "its format is unknown"),
        *(
            Case(f"random.{kind}", RANDOM.randbytes(5000), "random")
            for kind in ("ply", "obj", "off", "stl", "pcd", "vtk")
        ),
        *(
            Case(f"random.{kind}", RANDOM.randbytes(5000), "random")
            for kind in ("npy", "npz", "xyz", "csv", "gii", "las")
        ),
        *(
            Case(f"random.{kind}", RANDOM.randbytes(5000), "random")
            for kind in ("glb", "3mf", "vtp", "vtu", "msh", "mesh")
        ),
        *(
            Case(f"random.{kind}", RANDOM.randbytes(5000), "random")
            for kind in ("xdmf", "nii", "white", "mrk.json", "fcsv")
        ),
        Case("ragged.xyz", b"0 0 0\n1 1\n2 2 2\n", "line 2: every row must have 3 values; found 2"),
        Case("one_column.csv", b"1\n2\n3\n", "2 or 3 numeric columns"),
        Case("4e9.off", b"OFF\n4000000000 4000000000 0\n0 0 0\n", "claims 4000000000 vertices"),
        Case("4OFF.off", b"4OFF\n1 0 0\n0 0 0 1\n", "4 or n coordinates"),
        Case(
            "accessor.glb",
            glb(accessors=[{"bufferView": 0, "componentType": 5126, "count": 2**40, "type": "VEC3"}]),
            "glb",
        ),
        Case("traversal.glb", glb(buffers=[{"byteLength": 36, "uri": "../../etc/passwd"}]), "another file"),
        Case("cycle.glb", glb(nodes=[{"mesh": 0, "children": [1]}, {"children": [0]}]), points=3),
        Case("triangle.glb", glb(), points=3),
        Case("offset.vtp", VTP.format(n=4, offset=4_000_000_000).encode(), "offset.vtp"),
        Case("count.vtp", VTP.format(n=4_000_000_000, offset=0).encode(), "count.vtp"),
        *(
            Case(f"{name}.{kind}", (text + body).encode(), "declares")
            for name, text in (("laughs", LAUGHS), ("xxe", XXE))
            for kind, body in (
                ("vtp", '<VTKFile type="PolyData">&a29;&f;</VTKFile>'),
                ("vtu", '<VTKFile type="UnstructuredGrid">&a29;&f;</VTKFile>'),
                ("xdmf", "<Xdmf>&a29;&f;</Xdmf>"),
                ("gii", "<GIFTI>&a29;&f;</GIFTI>"),
            )
        ),
        Case("bomb.3mf", archive("3D/3dmodel.model", bytes(300_000_000)), "claims to unpack"),
        Case("bomb.npz", archive("points.npy", npy_that_claims((10**7, 3)) + bytes(300_000_000)), "claims to unpack"),
        Case("slip.3mf", archive("../../3D/3dmodel.model", b"<model/>"), "slip.3mf"),
        Case("slip.npz", archive("../../points.npy", b"x"), "slip.npz"),
        Case("laughs.3mf", archive("3D/3dmodel.model", f"{LAUGHS}<model>&a29;</model>".encode()), "declares"),
        Case("pickled.npz", npz_of_objects(), "never read"),
        Case("claims.npy", npy_that_claims((4_000_000_000, 3)), "the file has"),
        Case("claims_nothing.npy", npy_that_claims((4_000_000_000, 0)), "claims_nothing.npy"),
        Case("torch.ply", pickle.dumps({"points": [1, 2]}, protocol=2), "pickle"),
        Case("torch.pt", archive("archive/data.pkl", pickle.dumps([1])), "archive"),
        Case("zeros.ply", bytes(5000), "zero bytes"),
        Case("utf16.csv", "1,2,3\n".encode("utf-16"), "UTF-16"),
        Case("packed.ply", b"\x1f\x8b\x08" + bytes(40), "gzip"),
        Case("nested.mrk.json", b'{"markups": ' + b"[" * 200_000, "nested too deeply"),
        Case("hangs_meshio.msh", b"ply\n", "end_header"),
    ]


def odd_paths(folder: Path) -> dict[str, tuple[Path | str, str]]:
    """What is no file: path and words of the answer, by name."""
    (folder / "folder.ply").mkdir()
    (folder / "loop.ply").symlink_to(folder / "loop.ply")
    os.mkfifo(folder / "pipe.ply")
    return {
        "missing": (folder / "missing.ply", "no such file"),
        "folder": (folder / "folder.ply", "is a folder"),
        "loop": (folder / "loop.ply", "cannot be opened"),
        "pipe": (folder / "pipe.ply", "is a pipe"),
        "device": (Path("/dev/zero"), "is a pipe or a device"),
        "url": ("https://example.org/a.ply", "https://example.org/a.ply: is a URL"),
        "ftp": ("ftp://example.org/a.ply", "is a URL"),
        "long": ("x" * 5000 + ".ply", "cannot be opened"),
    }
