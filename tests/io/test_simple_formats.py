"""OFF, STL, PCD, NumPy and legacy VTK files: what is read is in the file, what is written back differs in positions."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from otreg.errors import FormatError, OutputFileError
from otreg.io import read_shape, write_shape
from otreg.shapes import CellBlock, Shape

OFF = b"# cube corner\nOFF\n\n4 2 0 # counts\n0 0 0\n1 0 0 # tip\n0 1 0\n0 0 1\n3 0 1 2 255 0 0\n4 0 1 2 3\n"
STL = b"solid a\n facet normal 0 0 1\n  outer loop\n   vertex 0 0 0\n   vertex 1 0 0\n   vertex 0 1 0\n"
STL += b"  endloop\n endfacet\nendsolid a\n"
PCD_HEAD = b"# .PCD v.7\nVERSION .7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F U\nCOUNT 1 1 1 1\nWIDTH 2\nHEIGHT 1\n"
PCD_HEAD += b"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 2\n"
PCD_ROWS = [(1.0, 2.0, 3.0, 7), (4.0, 5.0, 6.0, 4294967295)]
PCD_TEXT = PCD_HEAD + b"DATA ascii\n1 2 3 7\n4 5 6 4294967295\n"
PCD_BINARY = PCD_HEAD + b"DATA binary\n" + b"".join(struct.pack("<fffI", *row) for row in PCD_ROWS)
_SOA = struct.pack("<ffffffII", 1, 4, 2, 5, 3, 6, 7, 4294967295)
# LZF of incompressible data: runs of up to 32 bytes, each behind its length minus one.
PCD_PACKED = PCD_HEAD + b"DATA binary_compressed\n" + struct.pack("<II", 33, 32) + b"\x1f" + _SOA
VTK_TEXT = b"""# vtk DataFile Version 3.0
two words
ASCII
DATASET POLYDATA
POINTS 4 float
0 0 0 1 0 0
0 1 0 0 0 1
LINES 1 4
3 0 1 2
POLYGONS 2 8
3 0 1 2 3 0
1 3
POINT_DATA 4
SCALARS heat double 1
LOOKUP_TABLE default
0.5 1 2 3
NORMALS n float
0 0 1 0 0 1 0 0 1 0 0 1
FIELD FieldData 1
id 1 4 int
1 2 3 4
"""


def save(folder: Path, data: bytes, name: str) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# ---------------------------------------------------------------- OFF


def test_off_moves_its_vertices_and_keeps_its_other_lines(tmp_path: Path) -> None:
    shape = read_shape(save(tmp_path, OFF, "a.off"))
    assert shape.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert shape.cells[0].indices.tolist() == [0, 1, 2, 0, 1, 2, 3]
    write_shape(shape.with_points(shape.points + 0.5), tmp_path / "b.off")
    assert (tmp_path / "b.off").read_bytes() == (
        OFF.replace(b"\n0 0 0\n", b"\n0.5 0.5 0.5\n").replace(b"\n1 0 0 #", b"\n1.5 0.5 0.5 #")
        .replace(b"\n0 1 0\n", b"\n0.5 1.5 0.5\n").replace(b"\n0 0 1\n", b"\n0.5 0.5 1.5\n")
    )  # fmt: skip


def test_off_colours_and_normals_are_attributes(tmp_path: Path) -> None:
    shape = read_shape(save(tmp_path, b"CNOFF\n2 0 0\n1 2 3 0 0 1 9 8 7 255\n4 5 6 1 0 0 1 2 3 255\n", "a.off"))
    assert shape.point_data["normals"].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert shape.point_data["green"].tolist() == [8, 2]
    new = {"normals": np.array([[0.0, 1, 0], [0, 1, 0]])}
    write_shape(shape.with_points(shape.points, new), tmp_path / "b.off")
    assert (tmp_path / "b.off").read_bytes().splitlines()[2] == b"1.0 2.0 3.0 0.0 1.0 0.0 9 8 7 255"


def test_off_of_any_origin_round_trips(tmp_path: Path) -> None:
    shape = Shape(np.random.default_rng(0).normal(size=(4, 3)), (CellBlock("quad", np.array([[0, 1, 2, 3]])),))
    write_shape(shape, tmp_path / "a.off")
    again = read_shape(tmp_path / "a.off")
    assert np.array_equal(again.points, shape.points) and again.cells[0].indices.tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"4OFF\n1 0 0\n1 2 3 4\n", "4 or n coordinates"),
        (b"OFF BINARY\n", "binary OFF"),
        (b"OFF\n4000000000 1 0\n1 2 3\n", "claims 4000000000 vertices and 1 faces, but only 1 lines"),
        (b"OFF\n1 4000000000 0\n1 2 3\n", "claims 1 vertices and 4000000000 faces"),
        (b"OFF\n-1 0 0\n", "numbers of vertices and faces"),
        (b"OFF\n1 0 0\n1 2\n", "line 3: a vertex needs 3 numbers; found 2"),
        (b"OFF\n1 1 0\n1 2 3\n3 0 0\n", "line 4: a face claims 3 corners; 2 numbers follow"),
        (b"OFF\n1 1 0\n1 2 3\n1 0.5\n", "line 4: a face must hold whole numbers"),
        (b"OFF\n1 1 0\n1 2 3\n1 99999999999999999999\n", "beyond 2^63"),
        (b"OFF\n1 1 0\n1 2 3\n1 7\n", "uses point 7"),
        (b"OFF\n", "ends behind its first line"),
    ],
)
def test_bad_off_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_shape(save(tmp_path, data, "a.off"))
    assert words in str(caught.value)


# ---------------------------------------------------------------- STL


def binary_stl(triangles: np.ndarray, head: bytes = b"made by hand") -> bytes:
    records = b"".join(struct.pack("<12fH", 0, 0, 0, *t.reshape(-1), 77) for t in triangles)
    return head.ljust(80, b"\0") + struct.pack("<I", len(triangles)) + records


def test_binary_stl_round_trips_bit_for_bit_even_if_it_starts_with_solid(tmp_path: Path) -> None:
    triangles = np.random.default_rng(0).normal(size=(5, 3, 3)).astype(np.float32)
    data = binary_stl(triangles, b"solid lies")
    shape = read_shape(save(tmp_path, data, "a.stl"))
    assert np.array_equal(shape.points, triangles.reshape(-1, 3)) and len(shape.cells[0]) == 5
    write_shape(shape, tmp_path / "b.stl")
    assert (tmp_path / "b.stl").read_bytes() == data


def test_moved_stl_gets_new_normals_and_keeps_its_other_bytes(tmp_path: Path) -> None:
    flat = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]]], np.float32)
    shape = read_shape(save(tmp_path, binary_stl(flat), "a.stl"))
    write_shape(shape.with_points(shape.points[:, [1, 2, 0]]), tmp_path / "b.stl")
    moved = (tmp_path / "b.stl").read_bytes()
    assert struct.unpack("<3f", moved[84:96]) == (0, 1, 0)
    assert moved[:84] == binary_stl(flat)[:84] and moved[-2:] == struct.pack("<H", 77)
    text = read_shape(save(tmp_path, STL, "c.stl"))
    assert text.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    write_shape(text.with_points(text.points * 2), tmp_path / "d.stl")
    assert (tmp_path / "d.stl").read_bytes().splitlines()[1:5] == [
        b" facet normal 0 0 1", b"  outer loop", b"   vertex 0 0 0", b"vertex 2.0 0.0 0.0"
    ]  # fmt: skip
    odd = read_shape(save(tmp_path, STL.replace(b"normal 0 0 1", b"normal 0 0 0x1"), "e.stl"))
    write_shape(odd.with_points(odd.points * 2), tmp_path / "f.stl")
    assert (tmp_path / "f.stl").read_bytes().splitlines()[1] == b"facet normal 0.0 0.0 1.0"


def test_stl_is_written_only_without_loss(tmp_path: Path) -> None:
    soup = Shape(np.arange(9.0).reshape(3, 3), (CellBlock("triangle", np.array([[0, 1, 2]])),))
    write_shape(soup, tmp_path / "a.stl")
    assert np.array_equal(read_shape(tmp_path / "a.stl").points, soup.points)
    shared = Shape(
        np.random.default_rng(0).normal(size=(4, 3)), (CellBlock("triangle", np.array([[0, 1, 2], [0, 2, 3]])),)
    )
    with pytest.raises(OutputFileError, match=r"points that triangles share.*formats that can: ply"):
        write_shape(shared, tmp_path / "b.stl")
    with pytest.raises(OutputFileError, match="coordinates as precise"):
        write_shape(soup.with_points(soup.points / 7 + 4e6), tmp_path / "b.stl")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (binary_stl(np.zeros((3, 3, 3)))[:-10], "claims 3 triangles, 234 bytes; the file has 224"),
        (bytes(80).replace(b"\0", b"x") + struct.pack("<I", 4_000_000_000) + bytes(50), "claims 4000000000 triangles"),
        (b"x" * 20, "at least 84 bytes"),
        (STL.replace(b"   vertex 1 0 0\n", b""), "line 2: every facet must have 3"),
        (STL.replace(b"vertex 1 0 0", b"vertex 1 0"), "line 5: 'vertex' needs 3 numbers"),
        (STL.replace(b"vertex 1 0 0", b"vertex 1 0 zero"), "found 'zero'"),
        (STL.replace(b"endsolid a\n", b""), "no 'endsolid'"),
        (binary_stl(np.zeros((0, 3, 3))), "holds no points"),
    ],
)
def test_bad_stl_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_shape(save(tmp_path, data, "a.stl"))
    assert words in str(caught.value)


# ---------------------------------------------------------------- PCD


@pytest.mark.parametrize("data", [PCD_TEXT, PCD_BINARY, PCD_PACKED], ids=["ascii", "binary", "compressed"])
def test_pcd_moves_its_points_and_keeps_its_fields(tmp_path: Path, data: bytes) -> None:
    shape = read_shape(save(tmp_path, data, "a.pcd"))
    assert shape.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert shape.point_data["rgb"].tolist() == [7, 4294967295]
    write_shape(shape.with_points(shape.points + 0.5), tmp_path / "b.pcd")
    again = read_shape(tmp_path / "b.pcd")
    assert again.points.tolist() == [[1.5, 2.5, 3.5], [4.5, 5.5, 6.5]]
    assert again.point_data["rgb"].tolist() == [7, 4294967295]
    if data is PCD_BINARY:
        write_shape(again.with_points(shape.points), tmp_path / "c.pcd")
        assert (tmp_path / "c.pcd").read_bytes() == data
    write_shape(shape.with_points(shape.points + 4e6 + 0.1), tmp_path / "far.pcd")
    assert np.abs(read_shape(tmp_path / "far.pcd").points - shape.points - 4e6 - 0.1).max() < 1e-6


def test_lzf_copies_may_overlap_what_they_write(tmp_path: Path) -> None:
    head = PCD_HEAD.replace(b"x y z rgb", b"x y").replace(b"4 4 4 4", b"8 8").replace(b"F F F U", b"F F")
    head = head.replace(b"COUNT 1 1 1 1", b"COUNT 1 1") + b"DATA binary_compressed\n"
    packed = b"\x00\x07" + bytes([(7 << 5), 31 - 9, 0])  # one byte 7, then 31 copies of the byte before
    shape = read_shape(save(tmp_path, head + struct.pack("<II", len(packed), 32) + packed, "a.pcd"))
    assert shape.points.tolist() == [[struct.unpack("<d", b"\x07" * 8)[0]] * 2] * 2


def test_pcd_of_any_origin_round_trips(tmp_path: Path) -> None:
    shape = Shape(np.random.default_rng(0).normal(size=(6, 2)), point_data={"v": np.arange(12.0).reshape(6, 2)})
    write_shape(shape, tmp_path / "a.pcd")
    again = read_shape(tmp_path / "a.pcd")
    assert np.array_equal(again.points, shape.points) and np.array_equal(again.point_data["v"], shape.point_data["v"])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (PCD_BINARY[:-3], "claims 2 points of 16 bytes; 29 follow"),
        (PCD_BINARY.replace(b"POINTS 2", b"POINTS 4000000000"), "claims 4000000000 points"),
        (PCD_BINARY.replace(b"POINTS 2", b"POINTS -2"), "must be >= 0"),
        (PCD_TEXT.replace(b"4 5 6 4294967295\n", b""), "claims 2 points; 1 lines"),
        (PCD_TEXT.replace(b"4 5 6 4294967295", b"4 5"), "line 13: a point needs 4 values; found 2"),
        (PCD_TEXT.replace(b"4 5 6", b"4 five 6"), "found 'five'"),
        (PCD_TEXT.replace(b"SIZE 4", b"SIZE 3"), "not valid"),
        (PCD_TEXT.replace(b"FIELDS x y z", b"FIELDS a b c"), "FIELDS must name x and y"),
        (PCD_TEXT.replace(b"DATA ascii", b"DATA zip"), "DATA must be"),
        (PCD_HEAD, "no DATA line"),
        (PCD_PACKED[:-1], "found 32 for 32"),
        (PCD_PACKED.replace(b"\x1f" + _SOA, b"\x20" + _SOA), "before their beginning"),
        (PCD_PACKED.replace(struct.pack("<II", 33, 32), struct.pack("<II", 33, 4_000_000_000)), "4000000000 unpacked"),
    ],
)
def test_bad_pcd_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_shape(save(tmp_path, data, "a.pcd"))
    assert words in str(caught.value)


# ---------------------------------------------------------------- NumPy


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
def test_npy_keeps_its_dtype_and_order(tmp_path: Path, dtype: str) -> None:
    array = np.asfortranarray(np.random.default_rng(0).normal(size=(7, 3)).astype(dtype))
    np.save(tmp_path / "a.npy", array)
    shape = read_shape(tmp_path / "a.npy")
    assert np.array_equal(shape.points, array)
    write_shape(shape, tmp_path / "b.npy")
    assert (tmp_path / "b.npy").read_bytes() == (tmp_path / "a.npy").read_bytes()


def test_structured_npy_keeps_its_fields(tmp_path: Path) -> None:
    table = np.zeros(2, [("id", "i4"), ("X", "f4"), ("Y", "f8")])
    table["id"], table["X"], table["Y"] = [7, 8], [1, 2], [3, 4]
    np.save(tmp_path / "a.npy", table)
    shape = read_shape(tmp_path / "a.npy")
    assert shape.points.tolist() == [[1, 3], [2, 4]]
    write_shape(shape.with_points(shape.points * 2), tmp_path / "b.npy")
    again = np.load(tmp_path / "b.npy")
    assert again.dtype == table.dtype and again["id"].tolist() == [7, 8] and again["X"].tolist() == [2, 4]


def test_npz_holds_any_shape(tmp_path: Path) -> None:
    cells = (
        CellBlock("tetra", np.array([[0, 1, 2, 3]])),
        CellBlock("polygon", np.array([0, 1, 2, 3]), np.array([0, 4])),
        CellBlock("line", np.array([[0, 3]])),
    )
    data = {"name": np.array(["a", "b", "ü", ""]), "file": np.arange(8.0).reshape(4, 2)}
    shape = Shape(np.random.default_rng(0).normal(size=(4, 2)), cells, data, {"part": np.arange(3)})
    write_shape(shape, tmp_path / "a.npz")
    again = read_shape(tmp_path / "a.npz")
    assert np.array_equal(again.points, shape.points)
    assert [(b.kind, b.indices.tolist()) for b in again.cells] == [(b.kind, b.indices.tolist()) for b in cells]
    assert again.point_data["name"].tolist() == data["name"].tolist()
    assert np.array_equal(again.point_data["file"], data["file"]) and again.cell_data["part"].tolist() == [0, 1, 2]
    write_shape(again.with_points(shape.points + 1), tmp_path / "b.npz")
    assert np.array_equal(read_shape(tmp_path / "b.npz").points, shape.points + 1)


def test_npz_of_others_is_read_and_its_arrays_stay(tmp_path: Path) -> None:
    arrays = {"verts": np.eye(3, dtype=np.float32), "faces": np.array([[0, 1, 2]]), "scale": np.array(3.0)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    shape = read_shape(tmp_path / "a.npz")
    assert shape.cells[0].indices.tolist() == [[0, 1, 2]]
    write_shape(shape.with_points(shape.points + 1), tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as again:
        assert again["scale"] == 3 and again["verts"].dtype == np.float32 and again["verts"][0, 0] == 2


def npy_header(shape: str, dtype: str = "'<f8'") -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (npy_header("(4000000000, 3)") + bytes(48), "claims (4000000000, 3)"),
        (npy_header("(-1, 3)"), "-1"),
        (npy_header("(1, 3)", "'|O'") + bytes(8), "pickled"),
        (npy_header("(1, 3)", "__import__('os').system('true')") + bytes(24), "not a valid npy file"),
        (npy_header("(3, 5)") + bytes(120), "points must be numbers (n, 2) or (n, 3); found float64 (3, 5) (transpose"),
        (npy_header("(1, 3)")[:50], "not a valid npy file"),
    ],
)
def test_bad_npy_is_named_and_nothing_is_allocated_or_run(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_shape(save(tmp_path, data, "a.npy"))
    assert words in str(caught.value)


def test_pickles_and_zip_bombs_in_npz_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "pickle.npz", points=np.array([{}, []], dtype=object))
    with pytest.raises(FormatError, match="pickled"):
        read_shape(tmp_path / "pickle.npz")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", npy_header("(20000000, 3)") + bytes(480_000_000))
    with pytest.raises(FormatError, match="claims to unpack"):
        read_shape(tmp_path / "bomb.npz")
    save(tmp_path, b"PK\x03\x04 not a zip", "broken.npz")
    with pytest.raises(FormatError, match=r"not a readable .npz archive"):
        read_shape(tmp_path / "broken.npz")
    np.savez(tmp_path / "none.npz", a=np.zeros(3))
    with pytest.raises(FormatError, match="must hold an array 'points'"):
        read_shape(tmp_path / "none.npz")


# ---------------------------------------------------------------- legacy VTK


def test_vtk_sections_may_break_lines_anywhere(tmp_path: Path) -> None:
    shape = read_shape(save(tmp_path, VTK_TEXT, "a.vtk"))
    assert shape.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    lines, faces = shape.cells
    assert lines.indices.tolist() == [[0, 1], [1, 2]] and faces.indices.tolist() == [[0, 1, 2], [0, 1, 3]]
    assert shape.point_data["heat"].tolist() == [0.5, 1, 2, 3] and shape.point_data["id"].tolist() == [1, 2, 3, 4]
    assert shape.point_data["normals"].tolist() == [[0, 0, 1]] * 4 and shape.comments == ("two words",)


def test_vtk_moves_its_points_and_normals_and_keeps_its_other_bytes(tmp_path: Path) -> None:
    shape = read_shape(save(tmp_path, VTK_TEXT, "a.vtk"))
    normals = np.tile([1.0, 0, 0], (4, 1))
    write_shape(shape.with_points(shape.points + 0.5, {"normals": normals}), tmp_path / "b.vtk")
    moved = (tmp_path / "b.vtk").read_bytes()
    assert moved.split(b"LINES")[1].split(b"NORMALS")[0] == VTK_TEXT.split(b"LINES")[1].split(b"NORMALS")[0]
    assert moved.endswith(VTK_TEXT[VTK_TEXT.index(b"FIELD") :])
    again = read_shape(tmp_path / "b.vtk")
    assert np.array_equal(again.points, shape.points + 0.5) and np.array_equal(again.point_data["normals"], normals)
    write_shape(shape.with_points(shape.points + 4e6), tmp_path / "far.vtk")
    assert np.array_equal(read_shape(tmp_path / "far.vtk").points, shape.points + 4e6)


def test_vtk_of_any_origin_round_trips(tmp_path: Path) -> None:
    cells = (
        CellBlock("line", np.array([[0, 3]])),
        CellBlock("polygon", np.array([0, 1, 2, 3, 1, 2, 3]), np.array([0, 4, 7])),
    )
    data = {"v": np.arange(12, dtype=np.int16).reshape(4, 3), "s": np.arange(4) / 3}
    shape = Shape(np.random.default_rng(0).normal(size=(4, 3)), cells, data, {"part": np.arange(3)})
    write_shape(shape, tmp_path / "a.vtk")
    again = read_shape(tmp_path / "a.vtk")
    assert np.array_equal(again.points, shape.points) and again.cell_data["part"].tolist() == [0, 1, 2]
    assert [b.indices.tolist() for b in again.cells] == [b.indices.tolist() for b in cells]
    assert np.array_equal(again.point_data["v"], data["v"]) and again.point_data["v"].dtype == np.int16
    assert np.array_equal(again.point_data["s"], data["s"])
    write_shape(again.with_points(shape.points / 3), tmp_path / "b.vtk")
    assert np.array_equal(read_shape(tmp_path / "b.vtk").points, shape.points / 3)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("version", [42, 51])
def test_vtk_agrees_with_vtk_itself(tmp_path: Path, binary: bool, version: int) -> None:
    pyvista = pytest.importorskip("pyvista", reason="needs the extra otreg[vtk]")
    mesh = pyvista.Sphere(theta_resolution=9, phi_resolution=7)
    mesh.point_data["heat"] = np.arange(mesh.n_points, dtype=np.float32)
    mesh.cell_data["part"] = np.arange(mesh.n_cells)
    writer = pyvista._vtk.vtkPolyDataWriter()
    writer.SetFileVersion(version)
    writer.SetFileName(str(tmp_path / "a.vtk"))
    writer.SetInputData(mesh)
    if binary:
        writer.SetFileTypeToBinary()
    writer.Write()
    shape = read_shape(tmp_path / "a.vtk")
    assert np.abs(shape.points - mesh.points).max() < 1e-6
    assert np.array_equal(shape.cells[0].indices, mesh.faces.reshape(-1, 4)[:, 1:])
    assert np.array_equal(shape.point_data["heat"], mesh.point_data["heat"])
    assert np.array_equal(shape.cell_data["part"], mesh.cell_data["part"])
    write_shape(shape.with_points(shape.points + 1), tmp_path / "b.vtk")
    back = pyvista.read(tmp_path / "b.vtk")
    assert np.abs(back.points - mesh.points - 1).max() < 1e-6 and np.array_equal(back.faces, mesh.faces)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (VTK_TEXT.replace(b"POLYDATA", b"STRUCTURED_POINTS"), "holds structured_points, not a shape"),
        (VTK_TEXT.replace(b"POINTS 4", b"POINTS 4000000000"), "POINTS: 12000000000 numbers are claimed"),
        (VTK_TEXT.replace(b"POINTS 4", b"POINTS -4"), "POINTS: a count must be a number >= 0"),
        (VTK_TEXT.replace(b"POINTS 4 float", b"POINTS 4 quaternion"), "type 'quaternion' is not supported"),
        (VTK_TEXT.replace(b"0 1 0 0 0 1", b"0 1 0 0 0 x"), "POINTS: must hold numbers"),
        (VTK_TEXT.replace(b"POLYGONS 2 8", b"POLYGONS 3 8"), "POLYGONS: cell 2 does not fit"),
        (VTK_TEXT.replace(b"POLYGONS 2 8\n3", b"POLYGONS 2 8\n4"), "POLYGONS: "),
        (VTK_TEXT[: VTK_TEXT.index(b"0 1 0 0 0 1")], "cut off"),
        (VTK_TEXT.replace(b"ASCII", b"BINARY").replace(b"POINTS 4", b"POINTS 400"), "POINTS: 4800 bytes are claimed"),
        (b"# vtk DataFile Version 3.0\n\nASCII\nDATASET POLYDATA\n", "no POINTS section"),
        (b"# vtk DataFile Version 3.0\n\nEBCDIC\n", "ASCII or BINARY"),
        (b"# vtk DataFile Version 3.0\n\nASCII\nDATASET POLYDATA\nSURPRISE 3\n", "section 'SURPRISE'"),
    ],
)
def test_bad_vtk_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_shape(save(tmp_path, data, "a.vtk"))
    assert words in str(caught.value)


def test_binary_stl_far_from_the_origin_becomes_text_or_is_refused(tmp_path: Path) -> None:
    corners = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32).astype(float)
    write_shape(Shape(corners, (CellBlock("triangle", np.arange(6).reshape(2, 3)),)), tmp_path / "a.stl")
    shape = read_shape(tmp_path / "a.stl")
    far = shape.points + np.array([512_345.678901, 5_123_456.789012, 431.256789])
    write_shape(shape.with_points(far), tmp_path / "b.stl")
    again = read_shape(tmp_path / "b.stl")
    assert np.array_equal(again.points, far) and len(again.cells[0]) == 2
    data = bytearray((tmp_path / "a.stl").read_bytes())
    data[-2:] = b"\x01\x02"  # the colour of the last triangle
    (tmp_path / "c.stl").write_bytes(data)
    with pytest.raises(OutputFileError, match="single precision, too little so far from the origin"):
        write_shape(read_shape(tmp_path / "c.stl").with_points(far), tmp_path / "d.stl")
    assert not (tmp_path / "d.stl").exists()


def test_a_damaged_header_of_npy_is_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(3))
    data = (tmp_path / "a.npy").read_bytes()
    for old, new in ((b"(3, 3)", b"(3, 3 "), (b"{", b'"""'), (b"'<f8'", b"0<f8'"), (b"False", b"F\0lse")):
        assert old in data
        (tmp_path / "b.npy").write_bytes(data.replace(old, new, 1))
        with pytest.raises(FormatError, match=r"b\.npy") as caught:
            read_shape(tmp_path / "b.npy")
        assert "\n" not in str(caught.value)


def test_an_archive_that_points_in_front_of_its_beginning_is_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", points=np.eye(3))
    data = (tmp_path / "a.npz").read_bytes()
    for cut in range(1, len(data), 7):
        (tmp_path / "b.npz").write_bytes(data[cut:])
        try:
            read_shape(tmp_path / "b.npz", format="npz")
        except FormatError as error:
            assert "\n" not in str(error)
