"""What is no shape is named as what it is; what is one is found by its content."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.errors import FormatError, InputError, InputFileError, OtregError
from otreg.io import formats, read_shape, write_shape
from otreg.shapes import CellBlock, Shape

AXES = b"property float x\nproperty float y\nproperty float z\n"
PLY = b"ply\nformat ascii 1.0\nelement vertex 2\n" + AXES + b"end_header\n0 0 0\n1 1 1\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html>\n<html>404</html>", "web page"),
        (b"<html><body>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\x1f\x8b\x08" + bytes(20), "gzip"),
        (b"PK\x03\x04" + bytes(40), "archive"),
        (b"\x89PNG\r\n", "picture"),
        (pickle.dumps([1, 2, 3]), "pickle"),
        (pickle.dumps({"a": 1}, protocol=2), "pickle"),
        (bytes(1000), "zero bytes"),
        (b"\xff\xfe1\x00", "UTF-16"),
    ],
)
@pytest.mark.parametrize("name", ["file.ply", "file.stl", "file.csv", "file"])
def test_what_is_no_shape_is_named_as_what_it_is(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_shape(path)
    assert words in str(caught.value) and str(caught.value).startswith(str(path))


def test_what_is_no_file_is_refused_without_opening_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ply")
    (tmp_path / "loop.ply").symlink_to(tmp_path / "loop.ply")
    (tmp_path / "folder.ply").mkdir()
    for name, words in {
        "pipe.ply": "is a pipe",
        "loop.ply": "cannot be opened",
        "folder.ply": "is a folder",
        "missing.ply": "no such file",
        "a\0b.ply": "cannot be opened",
    }.items():
        with pytest.raises(InputFileError, match=words):
            read_shape(tmp_path / name)
    with pytest.raises(InputFileError, match="is a URL; download"):
        read_shape("https://example.org/bunny.ply")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret.ply").write_bytes(PLY)
    (tmp_path / "secret.ply").chmod(0)
    with pytest.raises(InputFileError, match="Permission"):
        read_shape(tmp_path / "secret.ply")


def test_content_wins_over_the_extension_with_a_warning(tmp_path: Path) -> None:
    for name in ("file.stl", "file.PLY", "file.txt", "file"):
        (tmp_path / name).write_bytes(PLY)
        shape = read_shape(tmp_path / name)
        assert shape.format == "ply" and shape.path == tmp_path / name
        assert bool(shape.warnings) == (name in ("file.stl", "file.txt"))


def test_an_unknown_extension_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "file.blend").write_bytes(b"BLENDER")
    with pytest.raises(FormatError, match=r"unknown \(extension '.blend'\); .* \.ply \.obj"):
        read_shape(tmp_path / "file.blend")
    with pytest.raises(FormatError, match="format 'blend' is unknown; known are ply"):
        read_shape(tmp_path / "file.blend", format="blend")


def test_the_format_can_be_forced(tmp_path: Path) -> None:
    (tmp_path / "file.dat").write_text("1 2\n3 4\n")
    assert read_shape(tmp_path / "file.dat", format="txt").points.tolist() == [[1, 2], [3, 4]]


def test_invalid_points_are_dropped_on_request_with_their_cells(tmp_path: Path) -> None:
    points = np.arange(15.0).reshape(5, 3)
    points[1, 2] = np.nan
    points[3, 0] = 1e200
    cells = (
        CellBlock("triangle", np.array([[0, 2, 4], [0, 1, 2]])),
        CellBlock("polygon", np.array([0, 2, 4, 0, 2, 4, 3]), np.array([0, 3, 7])),
    )
    shape = Shape(points, cells, {"id": np.arange(5)}, {"part": np.arange(4)})
    write_shape(shape, tmp_path / "file.npz")
    with pytest.raises(InputError, match="2 of 5 points are not finite"):
        read_shape(tmp_path / "file.npz")
    kept = read_shape(tmp_path / "file.npz", drop_invalid=True)
    assert kept.point_data["id"].tolist() == [0, 2, 4]
    assert [block.indices.tolist() for block in kept.cells] == [[[0, 1, 2]], [0, 1, 2]]
    assert kept.cell_data["part"].tolist() == [0, 2]
    assert "2 points" in kept.warnings[0]
    write_shape(kept, tmp_path / "kept.npz")
    assert len(read_shape(tmp_path / "kept.npz").points) == 3


def test_the_number_of_points_is_limited(tmp_path: Path) -> None:
    (tmp_path / "file.ply").write_bytes(PLY)
    with pytest.raises(InputError, match="holds 2 points, more than the limit of 1"):
        read_shape(tmp_path / "file.ply", max_points=1)


def test_every_format_has_one_name_and_its_own_extensions() -> None:
    names = [info.name for info in formats()]
    extensions = [extension for info in formats() for extension in info.extensions]
    assert len(set(names)) == len(names) and len(set(extensions)) == len(extensions)
    assert all(info.can_read or info.can_write for info in formats())


MAGIC = st.sampled_from(
    [
        *(b"ply\nformat ascii 1.0\n", b"ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\n"),
        *(
            b"OFF\n3 1 0\n",
            b"solid x\nfacet normal 0 0 1\n",
            b"\x93NUMPY\x01\x00",
            b"v 1 2 3\n",
            b"",
            b"x,y,z\n1,2,3\n",
        ),
        *(b"# vtk DataFile Version 3.0\nt\nASCII\nDATASET POLYDATA\nPOINTS 1 float\n", b"VERSION .7\nFIELDS x y\n"),
        *(
            b"# vtk DataFile Version 3.0\nt\nBINARY\nDATASET POLYDATA\nPOINTS 1 float\n",
            bytes(80) + struct.pack("<I", 1),
        ),
    ]
)
OWN = [".ply", ".obj", ".off", ".stl", ".pcd", ".csv", ".txt", ".xyz", ".npy", ".npz", ".vtk"]
TAIL = st.one_of(st.binary(max_size=120), st.text("0123456789 .-\nefvE,", max_size=120).map(str.encode))


@settings(max_examples=400)
@given(magic=MAGIC, tail=TAIL, suffix=st.sampled_from(OWN))
def test_random_bytes_give_a_shape_or_one_named_error(tmp_path_factory, magic, tail, suffix) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.getbasetemp() / f"random{suffix}"
    path.write_bytes(magic + tail)
    try:
        shape = read_shape(path)
    except OtregError as error:
        assert "\n" not in str(error) and str(path) in str(error)
    else:
        assert np.isfinite(shape.points).all() and len(shape.points) >= 1
