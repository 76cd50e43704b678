"""Foreign parsers may crash, exit, hang or eat memory: the caller gets one error, and goes on."""

import json
import struct
import zipfile
from pathlib import Path

import h5py
import meshio
import numpy as np
import pytest

from otreg.errors import FormatError, MissingDependencyError, OutputFileError
from otreg.io import guarded, read_shape, write_shape
from otreg.io.guarded import read_guarded, require
from otreg.shapes import CellBlock, Shape

# A parser that misbehaves on purpose, found by the child as if it were one of otreg's own.
FAULTY = """
import otreg.io.foreign as foreign, sys, os
def exits(path): sys.exit(1)
def aborts(path): os.abort()
def hangs(path):
    while True: pass
def eats(path): bytearray(1 << 40)
def raises(path): raise RuntimeError("two\\nlines")
for function in (exits, aborts, hangs, eats, raises): setattr(foreign, function.__name__, function)
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file, for which every child process has the misbehaving parsers."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FAULTY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    (tmp_path / "file").write_bytes(b"x")
    return tmp_path / "file"


@pytest.mark.parametrize(
    ("parser", "words"),
    [
        ("exits", "its parser refuses the file"),
        ("aborts", "made its parser stop"),
        ("hangs", "could not be parsed within 5 seconds"),
        ("eats", "asks for more memory"),
        ("raises", "its parser refuses the file: two lines"),
    ],
)
def test_whatever_a_parser_does_becomes_one_error(file: Path, parser: str, words: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_guarded(parser, file, computing=5)
    assert words in str(caught.value)


def test_a_missing_package_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'otreg\[vtk\]'"):
        require("pyvista")


def triangle_scene(**changes: object) -> dict[str, object]:
    tree: dict[str, object] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [{"mesh": 0}, {"mesh": 0, "translation": [10, 0, 0]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "mode": 4}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 0]},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 48},
            {"buffer": 0, "byteOffset": 48, "byteLength": 6},
        ],
        "buffers": [{"byteLength": 56}],
    }
    return {**tree, **changes}


def glb(tree: dict[str, object]) -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<12f", 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0) + struct.pack("<3Hxx", 0, 1, 2)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(body), b"BIN\0") + body
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def test_glb_keeps_the_order_of_vertices_and_places_each_node(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(glb(triangle_scene()))
    shape = read_shape(tmp_path / "a.glb")
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=float)
    first, second = shape.points[:4], shape.points[4:]  # the parser chooses the order of the nodes
    if first[0, 0] == 10:
        first, second = second, first
    assert np.array_equal(first, corners) and np.array_equal(second, corners + np.array([10, 0, 0]))
    assert shape.cells[0].indices.tolist() == [[0, 1, 2], [4, 5, 6]]
    with pytest.raises(OutputFileError, match="can only be read; use one of ply"):
        write_shape(shape, tmp_path / "b.glb")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"buffers": [{"byteLength": 56, "uri": "../../etc/passwd"}]}, "another file (../../etc/passwd)"),
        ({"buffers": [{"byteLength": 56, "uri": "http://example.org/a.bin"}]}, "another file (http://"),
        ({"scenes": [{"nodes": []}], "nodes": []}, "holds no geometry"),
        ({"accessors": [{"bufferView": 0, "componentType": 5126, "count": 4_000_000_000, "type": "VEC3"}] * 2}, ""),
    ],
)
def test_bad_gltf_is_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    (tmp_path / "a.glb").write_bytes(glb(triangle_scene(**changes)))
    with pytest.raises(FormatError) as caught:
        read_shape(tmp_path / "a.glb")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_cycle_of_nodes_ends(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(glb(triangle_scene(nodes=[{"mesh": 0, "children": [1]}, {"children": [0]}])))
    try:
        points = read_shape(tmp_path / "a.glb").points
    except FormatError as error:
        assert "\n" not in str(error)
    else:
        assert len(points) == 4


def test_cut_off_glb_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(glb(triangle_scene())[:-20])
    with pytest.raises(FormatError, match="cut off"):
        read_shape(tmp_path / "a.glb")


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("suffix", [".vtu", ".xdmf"])
def test_entities_in_xml_are_refused(tmp_path: Path, suffix: str) -> None:
    root = {".vtu": '<VTKFile type="UnstructuredGrid">&b;</VTKFile>', ".xdmf": "<Xdmf>&f;</Xdmf>"}[suffix]
    (tmp_path / f"a{suffix}").write_text('<?xml version="1.0"?>' + ENTITIES + root)
    with pytest.raises(FormatError, match="declares a document type or entities"):
        read_shape(tmp_path / f"a{suffix}")


def test_zip_bombs_and_entities_in_3mf_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("lxml")
    with zipfile.ZipFile(tmp_path / "bomb.3mf", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("3D/3dmodel.model", bytes(300_000_000))
    with pytest.raises(FormatError, match="claims to unpack"):
        read_shape(tmp_path / "bomb.3mf")
    with zipfile.ZipFile(tmp_path / "entity.3mf", "w") as archive:
        archive.writestr("../../3D/3dmodel.model", '<?xml version="1.0"?>' + ENTITIES + "<model>&b;</model>")
    with pytest.raises(FormatError, match="declares a document type"):
        read_shape(tmp_path / "entity.3mf")


def test_xdmf_does_not_follow_paths(tmp_path: Path) -> None:
    (tmp_path / "a.xdmf").write_text('<Xdmf><Domain><DataItem Format="HDF">/etc/a.h5:/x</DataItem></Domain></Xdmf>')
    with pytest.raises(FormatError, match="refers to data in another file"):
        read_shape(tmp_path / "a.xdmf")


@pytest.mark.parametrize(
    "item",
    [
        '<DataItem Format="&#72;DF">/etc/a.h5:/x</DataItem>',
        "<DataItem Format = 'binary'>/etc/passwd</DataItem>",
        '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>',
    ],
)
def test_xdmf_does_not_follow_paths_in_any_spelling(tmp_path: Path, item: str) -> None:
    (tmp_path / "a.xdmf").write_text(f"<Xdmf><Domain>{item}</Domain></Xdmf>")
    with pytest.raises(FormatError, match="refers to data in another file"):
        read_shape(tmp_path / "a.xdmf")


MODEL = '<?xml version="1.0" encoding="{}"?>{}<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><model>&f;</model>'


@pytest.mark.parametrize(
    ("encoding", "padding", "words"),
    [
        ("utf-8", " " * 3_000_000, "declares a document type"),
        ("utf-8", "<!-- <VTKFile -->" * 100_000, "declares a document type"),
        ("utf-16", "", "UTF-8"),
        ("cp037", "", "is not XML in UTF-8"),
        ("utf-7", "", "is XML in utf-7"),
    ],
)
def test_entities_are_found_wherever_they_are_and_however_they_are_written(
    tmp_path: Path, encoding: str, padding: str, words: str
) -> None:
    data = MODEL.format(encoding, padding).encode(encoding)
    with zipfile.ZipFile(tmp_path / "a.3mf", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("3D/3dmodel.model", data)
    (tmp_path / "a.vtu").write_bytes(data)
    for name in ("a.3mf", "a.vtu"):
        with pytest.raises(FormatError, match=words):
            read_shape(tmp_path / name, format=name[2:])


def test_med_is_read_and_does_not_follow_paths(tmp_path: Path) -> None:
    meshio.write(tmp_path / "a.med", meshio.Mesh(np.eye(3), [("triangle", np.array([[0, 1, 2]]))]))
    shape = read_shape(tmp_path / "a.med")
    assert np.array_equal(shape.points, np.eye(3)) and shape.cells[0].indices.tolist() == [[0, 1, 2]]
    links = {
        "link.med": lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/secret.h5", "/")),
        "soft.med": lambda file: file.__setitem__("x", h5py.SoftLink("/ENS_MAA")),
        "values.med": lambda file: file.create_dataset("x", (10,), "u1", external=[("/etc/passwd", 0, 10)]),
    }
    for name, change in links.items():
        (tmp_path / name).write_bytes((tmp_path / "a.med").read_bytes())
        with h5py.File(tmp_path / name, "r+") as file:
            change(file)
        with pytest.raises(FormatError, match="other file"):
            read_shape(tmp_path / name)


def solid() -> Shape:
    cells = (
        CellBlock("tetra", np.array([[0, 1, 2, 3]])),
        CellBlock("polygon", np.array([0, 1, 2, 3, 4, 1, 2, 3]), np.array([0, 5, 8])),
        CellBlock("line", np.array([[3, 4]])),
    )
    data = {"v": np.arange(15.0).reshape(5, 3), "s": np.arange(5, dtype=np.int32)}
    return Shape(np.random.default_rng(0).normal(size=(5, 3)), cells, data, {"part": np.arange(4.0)})


def test_vtu_holds_any_shape(tmp_path: Path) -> None:
    shape = solid()
    write_shape(shape, tmp_path / "a.vtu")
    again = read_shape(tmp_path / "a.vtu")
    assert np.array_equal(again.points, shape.points)
    assert np.array_equal(again.point_data["v"], shape.point_data["v"])
    assert again.point_data["s"].tolist() == [0, 1, 2, 3, 4]
    found = {(b.kind, *b.indices.reshape(-1).tolist()) for b in again.cells}
    assert found == {("tetra", 0, 1, 2, 3), ("polygon", 0, 1, 2, 3, 4), ("triangle", 1, 2, 3), ("line", 3, 4)}
    assert sorted(again.cell_data["part"].tolist()) == [0, 1, 2, 3]


def test_vtp_round_trips(tmp_path: Path) -> None:
    pytest.importorskip("pyvista", reason="needs the extra otreg[vtk]")
    shape = solid()
    shape = Shape(shape.points, (shape.cells[2], shape.cells[1]), shape.point_data, {"part": np.arange(3.0)})
    write_shape(shape, tmp_path / "a.vtp")
    again = read_shape(tmp_path / "a.vtp")
    assert np.array_equal(again.points, shape.points) and again.cell_data["part"].tolist() == [0, 1, 2]
    assert [b.indices.tolist() for b in again.cells] == [b.indices.tolist() for b in shape.cells]
    assert np.array_equal(again.point_data["v"], shape.point_data["v"])


def test_absurd_offsets_in_vtp_are_one_error(tmp_path: Path) -> None:
    pytest.importorskip("pyvista", reason="needs the extra otreg[vtk]")
    (tmp_path / "a.vtp").write_text(
        '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64"><PolyData>'
        '<Piece NumberOfPoints="4000000000" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" NumberOfPolys="0">'
        '<Points><DataArray type="Float32" NumberOfComponents="3" format="appended" offset="4000000000"/></Points>'
        '</Piece></PolyData><AppendedData encoding="raw">_12345678</AppendedData></VTKFile>'
    )
    with pytest.raises(ValueError) as caught:
        read_shape(tmp_path / "a.vtp")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"$MeshFormat\n4.1 0 8\n", b"MeshVersionFormatted 2\n", b'<VTKFile type="UnstructuredGrid">']
)
def test_broken_finite_element_files_are_one_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.msh"
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        read_shape(path)
    assert "\n" not in str(caught.value)
