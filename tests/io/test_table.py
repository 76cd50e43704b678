"""Text tables are read as they mean, refused where that is not clear, and written back with all other columns."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.errors import FormatError, OutputFileError
from otreg.io import read_shape, write_shape
from otreg.shapes import CellBlock, Shape


def save(folder: Path, data: str, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(data.encode())
    return path


ROWS = [[1, 2.5, -3], [4, 5, 6e3]]


@pytest.mark.parametrize(
    "text",
    [
        "1,2.5,-3\n4,5,6e3\n",
        "1 , 2.5 , -3\n4,5,6e3",
        "x,y,z\n1,2.5,-3\n4,5,6e3\n",
        "\ufeffX;Y;Z\n1;2.5;-3\n4;5;6e3\n",
        "x;y;z\n1;2,5;-3\n4;5;6e3\n",
        "1;2,5;-3,0\n4;5;6e3\n",
        "1,0 2,5 -3,0\n4,0 5,0 6e3\n",
        "1\t2.5\t-3\n4\t5\t6e3\n",
        "1\t2,5\t-3\n4\t5\t6e3\n",
        "  1.0   2.5\t-3\n\n  4.0  5 6e3\n",
        "# x y z\n1 2.5 -3\n4 5 6e3\n",
        "//X,Y,Z\n1,2.5,-3\n4,5,6e3\n",
        '"X","Y","Z"\n1 2.5 -3\n4 5 6e3\n',
        "x [mm],y [mm],z [mm]\r\n1,2.5,-3\r\n4,5,6e3\r\n",
        "z,x,y\n-3,1,2.5\n6e3,4,5\n",
        "2\n1 2.5 -3\n4 5 6e3\n",
        "1,2.5,-3\r4,5,6e3\r",
        "version: 1\nn_points: 2\n{\n1 2.5 -3\n4 5 6e3\n}\n",
        "A,1,2.5,-3\nB,4,5,6e3\n",
        '"A, first",1,2.5,-3\nB,4,5,6e3\n',
    ],
)
def test_the_ways_to_write_two_points_mean_the_same(tmp_path: Path, text: str) -> None:
    assert read_shape(save(tmp_path, text)).points.tolist() == ROWS


def test_two_columns_are_points_of_the_plane(tmp_path: Path) -> None:
    assert read_shape(save(tmp_path, "1 2\n3 4\n", "file.txt")).points.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3\n4,5\n", "line 2: every row must have 3 values; found 2"),
        ("x,y,z\n1,2,3\n\n4,5,6,7\n", "line 4: every row must have 3 values; found 4"),
        ("x,y,z\n1,5,2,5,3,5\n", "decimal commas?"),
        ("1,2,3,4\n1,2,3,4\n", "must have 2 or 3 numeric columns; found 4"),
        ("1\n2\n", "must have 2 or 3 numeric columns; found 1"),
        ("lon,lat\n1,2\n", "the header names no columns x and y; found: lon, lat"),
        ("x,y,x\n1,2,3\n", "more than one column 'x'"),
        ("1,2,3\n1,two,3\n", "line 2: a coordinate must be a number; found 'two'"),
        ("x,y,z\n", "no rows"),
        ("# only a comment\n", "no rows"),
    ],
)
def test_what_is_not_clear_is_refused_with_the_reason(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_shape(save(tmp_path, text))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_further_columns_are_attributes_and_come_back_as_they_were(tmp_path: Path) -> None:
    text = '# landmarks\nname,x,y,z,score\n"tip, left",1,2,3,0.50\nheel,4,5,6,1e-3\n'
    shape = read_shape(save(tmp_path, text))
    assert shape.point_data["name"].tolist() == ["tip, left", "heel"]
    assert shape.point_data["score"].tolist() == [0.5, 1e-3]
    write_shape(shape.with_points(shape.points + 0.5), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == (
        '# landmarks\nname,x,y,z,score\n"tip, left",1.5,2.5,3.5,0.50\nheel,4.5,5.5,6.5,1e-3\n'
    )


def test_decimal_commas_are_written_back_as_such(tmp_path: Path) -> None:
    shape = read_shape(save(tmp_path, "x;y\n1,5;2\n0,25;3\n"))
    write_shape(shape.with_points(shape.points * 2), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "x;y\n3,0;4,0\n0,5;6,0\n"


def test_normals_given_anew_are_written(tmp_path: Path) -> None:
    shape = read_shape(save(tmp_path, "x,y,z,nx,ny,nz,id\n1,2,3,0,0,1,007\n4,5,6,0,0,1,008\n"))
    write_shape(shape.with_points(shape.points, {"nx": np.array([1.0, 1.0])}), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == "1.0,2.0,3.0,1.0,0,1,007"


def test_clouds_with_colours_are_read_where_the_extension_says_xyz(tmp_path: Path) -> None:
    shape = read_shape(save(tmp_path, "1 2 3 255 0 9\n4 5 6 1 2 3\n", "file.xyz"))
    assert shape.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert shape.point_data["column_4"].tolist() == [255, 1]


def test_a_wrong_count_in_the_first_line_is_a_warning(tmp_path: Path) -> None:
    assert "claims 3 points; found 2" in read_shape(save(tmp_path, "3\n1 2 3\n4 5 6\n", "f.pts")).warnings[0]


def test_nan_in_a_coordinate_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="point 1"):
        read_shape(save(tmp_path, "1,2\n3,nan\n"))


@settings(max_examples=50)
@given(
    points=st.lists(st.tuples(*[st.floats(-1e99, 1e99)] * 3), min_size=2, max_size=5),
    words=st.lists(st.text("ab ,;\t#é", max_size=5), min_size=5, max_size=5),
    suffix=st.sampled_from([".csv", ".tsv", ".txt", ".xyz"]),
)
def test_shapes_of_any_origin_round_trip(tmp_path_factory, points, words, suffix) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("table") / f"out{suffix}"
    # A text column reads back as text unless all of it are numbers or nothing; an x makes sure.
    names = np.array(["x" + word.strip() for word in words[: len(points)]])
    shape = Shape(np.array(points), point_data={"name": names, "k": np.arange(len(points))})
    write_shape(shape, path)
    again = read_shape(path)
    assert np.array_equal(again.points, shape.points)
    assert again.point_data["name"].tolist() == names.tolist()
    assert again.point_data["k"].tolist() == list(range(len(points)))


def test_tables_refuse_cells(tmp_path: Path) -> None:
    with pytest.raises(OutputFileError, match="cannot hold faces"):
        write_shape(Shape(np.eye(3), (CellBlock("triangle", np.array([[0, 1, 2]])),)), tmp_path / "out.csv")


@pytest.mark.parametrize("blank", ["\u00a0", "\x1c", "\u2003"])
def test_blanks_of_other_alphabets_do_not_separate(tmp_path: Path, blank: str) -> None:
    with pytest.raises(FormatError, match="line 2: every row must have 3 values; found 2"):
        read_shape(save(tmp_path, f"1 2 3\n4{blank}5 6\n"))
