"""PLY files come back bit for bit, with other positions and nothing else changed."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.errors import FormatError, InputError, OutputFileError
from otreg.io import read_shape, write_shape
from otreg.shapes import CellBlock, Shape

from .generators import ENCODINGS, PlyFile, ply_files

TRIANGLE = b"""ply
format ascii 1.0
comment by hand
element vertex 3
property float x
property float y
property float z
element face 1
property list uchar int vertex_indices
end_header
0 0 0
1 0 0
0 1 0
3 0 1 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ply")


def save(folder: Path, data: bytes, name: str = "file.ply") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=40)
@given(data=st.data())
def test_values_are_those_of_the_file(folder: Path, encoding: str, data: st.DataObject) -> None:
    file: PlyFile = data.draw(ply_files(encoding))
    shape = read_shape(save(folder, file.data))
    vertex = file.values["vertex"]
    assert np.array_equal(shape.points, np.array([vertex[axis] for axis in "xyz"]).T)
    for name, values in shape.point_data.items():
        assert values.tolist() == vertex[name]
    faces = file.values["face"]["vertex_indices"]
    if faces:
        (block,) = shape.cells
        assert block.indices.reshape(-1).tolist() == [i for face in faces for i in face]
        sizes = np.diff(block.offsets) if block.offsets is not None else [block.indices.shape[1]] * len(block)
        assert list(sizes) == [len(face) for face in faces]
        assert shape.cell_data["flag"].tolist() == file.values["face"]["flag"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=40)
@given(data=st.data())
def test_an_unmoved_file_is_written_back_bit_for_bit(folder: Path, encoding: str, data: st.DataObject) -> None:
    file: PlyFile = data.draw(ply_files(encoding))
    out = folder / "out.ply"
    write_shape(read_shape(save(folder, file.data)), out, overwrite=True)
    assert out.read_bytes() == file.data


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=40)
@given(data=st.data())
def test_a_moved_file_differs_in_its_positions_only(folder: Path, encoding: str, data: st.DataObject) -> None:
    file: PlyFile = data.draw(ply_files(encoding))
    shape = read_shape(save(folder, file.data))
    moved = np.arange(shape.points.size, dtype=np.float64).reshape(shape.points.shape) / 4
    out = folder / "out.ply"
    write_shape(shape.with_points(moved), out, overwrite=True)
    again = read_shape(out)
    assert np.array_equal(again.points, moved)
    assert {n: v.tolist() for n, v in again.point_data.items()} == {n: v.tolist() for n, v in shape.point_data.items()}
    assert {n: v.dtype for n, v in again.point_data.items()} == {n: v.dtype for n, v in shape.point_data.items()}
    write_shape(again.with_points(shape.points), out, overwrite=True)
    if encoding == "ascii":  # the digits of floats are written anew, the rest is as it was
        assert out.read_bytes().split(b"end_header")[0] == file.data.split(b"end_header")[0]
        assert np.array_equal(read_shape(out).points.astype(np.float32), shape.points.astype(np.float32))
    else:
        assert out.read_bytes() == file.data


def test_float32_files_stay_float32_where_that_is_precise_enough(tmp_path: Path) -> None:
    shape = read_shape(
        save(
            tmp_path,
            TRIANGLE.replace(b"ascii", b"binary_little_endian").split(b"0 0 0\n")[0]
            + struct.pack("<9f", *range(9))
            + struct.pack("<B3i", 3, 0, 1, 2),
        )
    )
    write_shape(shape.with_points(shape.points / 3), tmp_path / "near.ply")
    assert b"property float x" in (tmp_path / "near.ply").read_bytes()
    assert np.abs(read_shape(tmp_path / "near.ply").points - shape.points / 3).max() < 1e-6


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_map_coordinates_keep_a_millionth(tmp_path: Path, encoding: str) -> None:
    source = Shape(np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32).astype(np.float64))
    axes = "".join(f"property float {axis}\n" for axis in "xyz")
    head = f"ply\nformat {encoding} 1.0\nelement vertex 20\n{axes}end_header\n"
    dtype = ">f4" if "big" in encoding else "<f4"
    text = "".join(" ".join(map(str, row)) + "\n" for row in source.points.astype(np.float32)).encode()
    body = text if encoding == "ascii" else source.points.astype(dtype).tobytes()
    shape = read_shape(save(tmp_path, head.encode() + body))
    assert np.array_equal(shape.points.astype(np.float32), source.points.astype(np.float32))
    utm = shape.points + np.array([5e5, 4e6, 100.0])  # float32 would be off by a quarter of a metre
    write_shape(shape.with_points(utm), tmp_path / "utm.ply")
    assert np.abs(read_shape(tmp_path / "utm.ply").points - utm).max() <= 1e-6


def test_new_normals_replace_the_old_and_new_attributes_are_added(tmp_path: Path) -> None:
    text = TRIANGLE.replace(b"property float z\n", b"property float z\nproperty float nx\nproperty uchar red\n")
    text = text.replace(b"0 0 0\n1 0 0\n0 1 0\n", b"0 0 0 1 7\n1 0 0 1 8\n0 1 0 1 9\n")
    shape = read_shape(save(tmp_path, text))
    new = {"nx": np.array([0.5, 0.25, 0.125], np.float32), "potential": np.array([1.5, 2.5, 3.5])}
    write_shape(shape.with_points(shape.points + 1, new), tmp_path / "out.ply")
    again = read_shape(tmp_path / "out.ply")
    assert again.point_data["nx"].tolist() == [0.5, 0.25, 0.125]
    assert again.point_data["potential"].tolist() == [1.5, 2.5, 3.5]
    assert again.point_data["red"].tolist() == [7, 8, 9]
    assert again.cells[0].indices.tolist() == [[0, 1, 2]]


def test_integer_positions_become_doubles_only_when_they_must(tmp_path: Path) -> None:
    data = b"ply\nformat binary_little_endian 1.0\nelement vertex 2\nproperty int8 x\nproperty uint16 y\nend_header\n"
    shape = read_shape(save(tmp_path, data + struct.pack("<bHbH", -3, 7, 4, 65535)))
    assert shape.points.tolist() == [[-3, 7], [4, 65535]]
    write_shape(shape.with_points(shape.points[::-1].copy()), tmp_path / "same.ply")
    assert b"property int8 x" in (tmp_path / "same.ply").read_bytes()
    write_shape(shape.with_points(shape.points / 2), tmp_path / "half.ply")
    assert read_shape(tmp_path / "half.ply").points.tolist() == [[-1.5, 3.5], [2, 32767.5]]


def test_vertices_with_lists_of_changing_length_can_move(tmp_path: Path) -> None:
    head = b"ply\nformat binary_big_endian 1.0\nelement vertex 2\nproperty float x\nproperty list uchar int n\n"
    head += b"property float y\nproperty float z\nend_header\n"
    body = struct.pack(">fB2iff", 1, 2, 8, 9, 2, 3) + struct.pack(">fBff", 4, 0, 5, 6)
    shape = read_shape(save(tmp_path, head + body))
    assert shape.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    write_shape(shape.with_points(shape.points * 2), tmp_path / "out.ply")
    assert (tmp_path / "out.ply").read_bytes() == (
        head + struct.pack(">fB2iff", 2, 2, 8, 9, 4, 6) + struct.pack(">fBff", 8, 0, 10, 12)
    )


def test_triangle_strips_become_triangles_that_face_alike(tmp_path: Path) -> None:
    text = TRIANGLE.replace(b"element vertex 3", b"element vertex 4").replace(b"0 1 0\n3 0 1 2\n", b"0 1 0\n1 1 0\n")
    text = text.replace(b"element face 1", b"element tristrips 1") + b"8 0 1 2 3 -1 3 2 1\n"
    (block,) = read_shape(save(tmp_path, text)).cells
    assert block.indices.tolist() == [[0, 1, 2], [2, 1, 3], [3, 2, 1]]


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
def test_other_line_ends_are_read_and_kept(tmp_path: Path, newline: bytes) -> None:
    data = TRIANGLE.replace(b"\n", newline)
    shape = read_shape(save(tmp_path, data))
    assert len(shape.points) == 3 and shape.comments == ("by hand",)
    write_shape(shape, tmp_path / "same.ply")
    assert (tmp_path / "same.ply").read_bytes() == data
    write_shape(shape.with_points(shape.points + 1), tmp_path / "moved.ply")
    moved = (tmp_path / "moved.ply").read_bytes()
    assert moved.count(newline) == data.count(newline)
    assert read_shape(tmp_path / "moved.ply").points.tolist() == [[1, 1, 1], [2, 1, 1], [1, 2, 1]]


def test_shapes_of_any_origin_round_trip(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    cells = (
        CellBlock("triangle", np.array([[0, 1, 2]])),
        CellBlock("polygon", np.array([0, 1, 2, 3, 4, 1, 2, 3]), np.array([0, 5, 8])),
        CellBlock("line", np.array([[3, 4]])),
    )
    shape = Shape(random.normal(size=(5, 3)), cells, {"label": np.arange(5, dtype=np.int64)}, comments=("two words",))
    write_shape(shape, tmp_path / "out.ply")
    again = read_shape(tmp_path / "out.ply")
    assert np.array_equal(again.points, shape.points) and again.comments == ("two words",)
    faces, lines = again.cells
    assert faces.indices.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 1, 2, 3] and faces.offsets.tolist() == [0, 3, 8, 11]
    assert lines.indices.tolist() == [[3, 4]]
    assert again.point_data["label"].tolist() == [0, 1, 2, 3, 4]


def test_what_ply_cannot_hold_is_refused_with_the_formats_that_can(tmp_path: Path) -> None:
    shape = Shape(np.zeros((4, 3)), (CellBlock("tetra", np.array([[0, 1, 2, 3]])),))
    with pytest.raises(OutputFileError, match=r"cannot hold tetrahedra; formats that can: npz, vtu"):
        write_shape(shape, tmp_path / "out.ply")
    assert not list(tmp_path.iterdir())


def header(*lines: str) -> bytes:
    return ("\n".join(["ply", "format binary_little_endian 1.0", *lines, "end_header"]) + "\n").encode()


XYZ = ("property float x", "property float y", "property float z")
FACE = "property list uchar int vertex_indices"
BAD = {
    "no end_header": (b"ply\nformat ascii 1.0\nelement vertex 1\n", "end_header"),
    "magic only": (b"ply\n", "end_header"),
    "no format": (b"ply\nend_header\n", "'format'"),
    "unknown format": (b"ply\nformat ebcdic 1.0\nend_header\n", "line 2: format"),
    "four thousand million vertices": (header("element vertex 4000000000", *XYZ) + bytes(100), "cut off"),
    "four thousand million faces": (
        header("element vertex 1", *XYZ, "element face 4000000000", FACE) + bytes(30),
        "'face' claims 4000000000",
    ),
    "four thousand million text faces": (TRIANGLE.replace(b"face 1", b"face 4000000000"), "claims 4000000000 lines"),
    "negative count": (header("element vertex -1", *XYZ), "line 3: an element's count"),
    "truncated binary": (header("element vertex 4", *XYZ) + bytes(40), "cut off"),
    "truncated text": (TRIANGLE[: TRIANGLE.index(b"0 1 0\n3")], "lines"),
    "truncated line": (TRIANGLE.replace(b"1 0 0", b"1 0"), "line 12: element 'vertex' has too few"),
    "surplus number": (TRIANGLE.replace(b"1 0 0", b"1 0 0 0"), "line 12: element 'vertex' has 4 numbers instead of 3"),
    "a word": (TRIANGLE.replace(b"1 0 0", b"1 x 0"), "line 12: element 'vertex' must hold numbers"),
    "unknown type": (header("element vertex 1", "property half x"), "line 4: property type 'half'"),
    "no x": (header("element vertex 1", "property float y") + bytes(4), "x and y"),
    "no vertices": (header("element face 0", FACE), "no element 'vertex'"),
    "long list on a short body": (
        header("element vertex 1", *XYZ, "element face 1", FACE) + bytes(12) + b"\xff" + bytes(10),
        "'face' ends in record 0",
    ),
    "long list in a text line": (TRIANGLE.replace(b"3 0 1 2", b"255 0 1 2"), "line 14: a list of 'vertex_indices'"),
    "negative list": (
        header("element vertex 1", *XYZ, "element face 1", FACE.replace("uchar", "char")) + bytes(12) + b"\xff",
        "negative length",
    ),
    "float list count": (header("element vertex 1", *XYZ, "element face 1", FACE.replace("uchar", "float")), "line 8"),
    "duplicate property": (header("element vertex 1", *XYZ, "property int x"), "line 7: property 'x'"),
    "duplicate element": (header("element vertex 1", *XYZ, "element vertex 1", *XYZ), "line 7: element 'vertex'"),
    "property first": (header(*XYZ), "line 3: a property must follow"),
    "byte order mark": (b"\xef\xbb\xbf" + TRIANGLE, "byte order mark"),
    "fractional index": (TRIANGLE.replace(b"int vertex", b"float vertex").replace(b"3 0 1 2", b"3 0 1.5 2"), "whole"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_headers_and_bodies_are_named(tmp_path: Path, name: str) -> None:
    data, words = BAD[name]
    path = save(tmp_path, data)
    with pytest.raises(FormatError) as caught:
        read_shape(path)
    assert words in str(caught.value) and str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("old", "new", "words"), [
    (b"3 0 1 2", b"3 0 1 3", "triangle 0 (counted from 0) uses point 3, but points are 0 to 2"),
    (b"3 0 1 2", b"3 0 1 -1", "uses point -1"),
    (b"1 0 0", b"1 nan 0", "point 1 (counted from 0) is (1, nan, 0)"),
    (b"1 0 0", b"inf 0 0", "point 1 (counted from 0) is (inf, 0, 0)"),
    (b"1 0 0", b"1e308 0 0", "point 1 (counted from 0) is (1e+308, 0, 0)"),
    (b"1 0 0", b"1e999 0 0", "point 1 (counted from 0) is (inf, 0, 0)"),
])  # fmt: skip
def test_unusable_values_are_named(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_shape(save(tmp_path, TRIANGLE.replace(old, new)))
    assert words in str(caught.value)


def test_two_million_comments_are_read(tmp_path: Path) -> None:
    data = TRIANGLE.replace(b"comment by hand\n", b"comment by hand\n" * 2_000_000)
    assert len(read_shape(save(tmp_path, data)).comments) == 2_000_000


def test_a_header_line_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="line 3: a header line must be shorter"):
        read_shape(save(tmp_path, b"ply\nformat ascii 1.0\ncomment " + b"x" * 5_000_000))


def test_latin_1_comments_survive(tmp_path: Path) -> None:
    data = TRIANGLE.replace(b"by hand", b"caf\xe9")
    shape = read_shape(save(tmp_path, data))
    assert shape.comments == ("caf\xe9",)
    write_shape(shape.with_points(shape.points + 1), tmp_path / "out.ply")
    assert b"comment caf\xe9\n" in (tmp_path / "out.ply").read_bytes()
