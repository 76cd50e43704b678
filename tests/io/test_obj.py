"""OBJ files keep their vertices, their order and every line that is not a vertex."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.errors import FormatError, InputError, OutputFileError
from otreg.io import read_shape, write_shape
from otreg.shapes import CellBlock, Shape

CUBE_CORNER = b"""# two words
mtllib ../../etc/passwd.mtl
v 0 0 0
v 1 0 0\t
v 0 1 0
v 0 0 1
vt 0.5 0.5
usemtl gold
f 1/1 2/1 3/1
f -4 -3 -1 # seen from below
l 1 2 3
l 3 4
p 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("obj")


def save(folder: Path, data: bytes) -> Path:
    path = folder / "file.obj"
    path.write_bytes(data)
    return path


def test_faces_lines_and_relative_indices_are_read(tmp_path: Path) -> None:
    shape = read_shape(save(tmp_path, CUBE_CORNER))
    assert shape.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    lines, faces = shape.cells
    assert lines.indices.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert faces.kind == "triangle" and faces.indices.tolist() == [[0, 1, 2], [0, 1, 3]]
    assert shape.comments == ("two words",)


OTHER_LINES = st.sampled_from(
    [
        *(b"# comment", b"", b"  ", b"o thing", b"g a b", b"s off", b"usemtl x\\y", b"vt 0.5  0.25", b"vn 0 0  1"),
        *(b"f 1 2 1", b"f 1/1/1 2//1 -1", b"l 1 2", b"p 1", b"vp 0.5", b"mtllib ..\\..\\a.mtl", b"curv 0 1 1 2"),
    ]
)
NUMBERS = st.floats(-1e20, 1e20)


@settings(max_examples=60)
@given(
    head=st.lists(OTHER_LINES, max_size=4),
    vertices=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=2, max_size=5),
    tail=st.lists(OTHER_LINES, max_size=6),
    newline=st.sampled_from([b"\n", b"\r\n"]),
    moved=st.integers(0, 1000),
)
def test_all_other_lines_survive(folder: Path, head, vertices, tail, newline, moved) -> None:  # type: ignore[no-untyped-def]
    head = [line for line in head if line[:1] not in b"flpcv" or line[:2] in (b"vt", b"vp")]
    rows = [b"v %r %r %r" % vertex for vertex in vertices]
    shape = read_shape(save(folder, newline.join([*head, *rows, *tail]) + newline))
    assert shape.points.tolist() == [list(vertex) for vertex in vertices]
    new = np.arange(3.0 * len(rows)).reshape(-1, 3) + moved / 7
    write_shape(shape.with_points(new), folder / "out.obj", overwrite=True)
    lines = (folder / "out.obj").read_bytes().split(newline)
    assert lines[: len(head)] == head
    assert lines[len(head) + len(rows) :] == [*tail, b""]
    assert np.array_equal(read_shape(folder / "out.obj").points, new)


def test_colours_and_weights_behind_the_vertex_stay(tmp_path: Path) -> None:
    shape = read_shape(save(tmp_path, b"v 1 2 3 0.5 0.25 1\nv 4 5 6 0 0 0.125\n"))
    assert shape.point_data["red"].tolist() == [0.5, 0] and shape.point_data["blue"].tolist() == [1, 0.125]
    write_shape(shape.with_points(shape.points * 2), tmp_path / "out.obj")
    assert (tmp_path / "out.obj").read_bytes() == b"v 2.0 4.0 6.0 0.5 0.25 1\nv 8.0 10.0 12.0 0 0 0.125\n"
    weighted = read_shape(save(tmp_path, b"v 1 2 3 1.0\nv 4 5 6 1.0\n"))
    assert not weighted.point_data and weighted.points.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_normals_per_vertex_turn_and_others_stay(tmp_path: Path) -> None:
    body = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\nvn 0 0 1\nvn 0 0 1\nf 1//1 2//2 3//3\n"
    shape = read_shape(save(tmp_path, body))
    new = np.tile([1.0, 0, 0], (3, 1))
    write_shape(shape.with_points(shape.points, {"normals": new}), tmp_path / "out.obj")
    assert (tmp_path / "out.obj").read_bytes().count(b"vn 1.0 0.0 0.0\n") == 3
    corners = read_shape(save(tmp_path, body.replace(b"3//3", b"3//1")))
    assert "normals" not in corners.point_data and "per corner" in corners.warnings[0]


def test_seams_do_not_split_vertices(tmp_path: Path) -> None:
    shape = read_shape(
        save(tmp_path, b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nvt 0 0\nvt 1 1\nf 1/1 2/1 3/1\nf 2/2 4/2 3/2\n")
    )
    assert len(shape.points) == 4


def test_a_backslash_continues_a_line_but_not_a_comment(tmp_path: Path) -> None:
    data = b"# C:\\temp\\\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 \\\n3\n"
    shape = read_shape(save(tmp_path, data))
    assert len(shape.points) == 3 and shape.cells[0].indices.tolist() == [[0, 1, 2]]
    write_shape(shape.with_points(shape.points + 1), tmp_path / "out.obj")
    assert (tmp_path / "out.obj").read_bytes().endswith(b"f 1 2 \\\n3\n")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_vertex_over_several_lines_is_moved_whole(tmp_path: Path, end: bytes) -> None:
    data = end.join(
        [b"v 0 0 \\", b"0 0.5 # weight", b"v\\", b"1 \\", b"0 0", b"vp 1 \\", b"2", b"v 0 1 0", b"f 1 2 3", b""]
    )
    shape = read_shape(save(tmp_path, data))
    assert shape.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    write_shape(shape.with_points(shape.points + 2), tmp_path / "out.obj")
    moved = (tmp_path / "out.obj").read_bytes()
    assert read_shape(tmp_path / "out.obj").points.tolist() == [[2, 2, 2], [3, 2, 2], [2, 3, 2]]
    assert b"v 2.0 2.0 2.0 0.5 # weight" in moved and end.join([b"vp 1 \\", b"2"]) in moved


def test_keywords_are_whole_words_behind_blanks_or_not(tmp_path: Path) -> None:
    data = (
        b"#one\nv 0 0 0\n\t v 1 0 0\nvt 5 5\n\nv\t0 1 0\n #two\nvp 9 9 9\nfo 1 2\n f 1 2 3\nl 1 2\nv\x0b0 0 1\nf 1 3 4"
    )
    shape = read_shape(save(tmp_path, data))
    assert shape.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert [(block.kind, block.indices.tolist()) for block in shape.cells] == [
        ("line", [[0, 1]]),
        ("triangle", [[0, 1, 2], [0, 2, 3]]),
    ]
    assert shape.comments == ("one",)


def test_map_coordinates_keep_a_millionth(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)) + np.array([5e5, 4e6, 100.0])
    write_shape(Shape(points), tmp_path / "out.obj")
    shape = read_shape(tmp_path / "out.obj")
    assert np.array_equal(shape.points, points)
    write_shape(shape.with_points(points + 1e-6), tmp_path / "moved.obj")
    assert np.array_equal(read_shape(tmp_path / "moved.obj").points, points + 1e-6)


def test_shapes_of_any_origin_round_trip(tmp_path: Path) -> None:
    cells = (
        CellBlock("line", np.array([[3, 0]])),
        CellBlock("polygon", np.array([0, 1, 2, 3, 1, 2, 3]), np.array([0, 4, 7])),
    )
    normals = np.tile([0.0, 0, 1], (4, 1))
    shape = Shape(np.random.default_rng(0).normal(size=(4, 3)), cells, {"normals": normals}, comments=("note",))
    write_shape(shape, tmp_path / "out.obj")
    again = read_shape(tmp_path / "out.obj")
    assert np.array_equal(again.points, shape.points) and np.array_equal(again.point_data["normals"], normals)
    assert again.cells[0].indices.tolist() == [[3, 0]]
    assert again.cells[1].indices.tolist() == cells[1].indices.tolist()
    assert again.comments == ("note",)
    with pytest.raises(OutputFileError, match="cannot hold the attribute 'heat'"):
        write_shape(Shape(shape.points, point_data={"heat": np.ones(4)}), tmp_path / "no.obj")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"v 0 0 0\nf 0 1 1\n", "line 2: index 0 is out of range"),
        (b"v 0 0 0\nf 1 1 2\n", "line 2: index 2 is out of range; the file has 1 points"),
        (b"v 0 0 0\nf 1 1 -2\n", "line 2: index -2"),
        (b"v 0 0 0\nf -1 -1 -1\nv 1 1 1\nf 9223372036854775808 1 1\n", "line 4: an index must be a whole number"),
        (b"v 0 0 0\nf 1 1 x\n", "line 2: an index must be a whole number; found 'x'"),
        (b"v 0 0\n", "line 1: 'v' needs 3 numbers; found 2"),
        (b"v 0 0 0\nv 0 1,5 0\n", "line 2: a coordinate of 'v' must be a number; found '1,5'"),
        (b"# nothing\n", "no 'v' lines"),
        (b"v 0 0 0\n\0", "binary data"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_shape(save(tmp_path, data))
    assert words in str(caught.value)


def test_nan_is_an_error_of_the_content(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="point 1"):
        read_shape(save(tmp_path, b"v 0 0 0\nv nan 0 0\n"))
