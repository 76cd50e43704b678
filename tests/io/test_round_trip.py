"""Every format that is written: what goes in comes out, bit for bit, and a file that did not move stays as it was."""

from pathlib import Path

import numpy as np
import pytest

from otreg.errors import OutputFileError
from otreg.io import formats, read_shape, write_shape
from otreg.shapes import Shape

from .fuzz import shapes

WRITABLE = [info for info in formats() if info.can_write]
# Without .fcsv, which is written into its own lines only. VTK's XML is read in child processes, a second each.
NAMES = [
    pytest.param(info.name, marks=pytest.mark.slow if info.name in ("vtp", "vtu") else ())
    for info in WRITABLE
    if info.name != "fcsv"
]
EXTENSION = {info.name: info.extensions[0] for info in WRITABLE}
# Formats that keep one precision for all files; far coordinates are refused there.
SINGLE = ("stl", "freesurfer")
UTM = np.array([512_345.678901, 5_123_456.789012, 431.256789])


def held(name: str, folder: Path) -> list[tuple[str, Shape, Path]]:
    """The shapes that a format holds, and the files with them."""
    found = []
    for kind, shape in shapes().items():
        if name in SINGLE:
            shape = Shape(shape.points.astype(np.float32).astype(np.float64), shape.cells, shape.point_data)
        path = folder / f"{kind}{EXTENSION[name]}"
        try:
            write_shape(shape, path)
        except OutputFileError as error:
            assert "cannot hold" in str(error) and not path.exists()
            continue
        found.append((kind, shape, path))
    assert found
    return found


def faces(shape: Shape) -> list[tuple[int, ...]]:
    """The corners of all cells, whatever kinds of blocks they are in; two corners are a line."""
    listed = []
    for block in shape.cells:
        sizes = [block.indices.shape[1]] * len(block) if block.offsets is None else np.diff(block.offsets).tolist()
        corners = iter(block.indices.reshape(-1).tolist())
        listed += [tuple(next(corners) for _ in range(size)) for size in sizes]
    return sorted(listed)


@pytest.mark.parametrize("name", NAMES)
def test_what_goes_in_comes_out_to_the_last_bit(tmp_path: Path, name: str) -> None:
    for kind, shape, path in held(name, tmp_path):
        again = read_shape(path)
        points = shape.points
        if name == "vtu" and shape.dimension == 2:
            points = np.c_[points, np.zeros(len(points))]  # VTK has no plane
        assert np.array_equal(again.points, points), kind
        assert faces(again) == faces(shape), kind
        for data, found in ((shape.point_data, again.point_data), (shape.cell_data, again.cell_data)):
            for key, values in data.items():
                columns = [key] if key in found else [f"n{axis}" for axis in "xyz"]  # PLY has columns only
                key_found = found[key] if columns == [key] else np.stack([found[c] for c in columns], axis=1)
                if name == "table" and values.dtype.kind != "U":
                    assert np.array_equal(key_found, values)  # text holds numbers, not their types
                elif name == "obj":
                    assert np.array_equal(key_found, values)
                else:
                    assert np.array_equal(key_found, values) and key_found.dtype.kind == values.dtype.kind
                    assert values.dtype.kind == "U" or key_found.dtype == values.dtype, (kind, key)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_did_not_move_is_written_as_it_was(tmp_path: Path, name: str) -> None:
    for kind, _, path in held(name, tmp_path):
        shape = read_shape(path)
        if shape.native is None:
            continue  # read by other people's parsers: written anew
        out = tmp_path / f"again_{kind}{EXTENSION[name]}"
        write_shape(shape, out)
        assert out.read_bytes() == path.read_bytes(), kind


@pytest.mark.parametrize("name", NAMES)
def test_a_moved_file_differs_in_its_points_only(tmp_path: Path, name: str) -> None:
    for kind, _, path in held(name, tmp_path):
        shape = read_shape(path)
        out = tmp_path / f"moved_{kind}{EXTENSION[name]}"
        write_shape(shape.with_points(shape.points * 2 - 1), out)
        again = read_shape(out)
        assert np.abs(again.points - shape.points * 2 + 1).max() < 1e-6
        assert faces(again) == faces(shape)
        assert list(again.point_data) == list(shape.point_data)
        for key, values in shape.point_data.items():
            assert again.point_data[key].dtype == values.dtype and np.array_equal(again.point_data[key], values)


@pytest.mark.parametrize("name", NAMES)
def test_map_coordinates_keep_a_micrometre_or_are_refused(tmp_path: Path, name: str) -> None:
    for kind, _, path in held(name, tmp_path):
        shape = read_shape(path)
        moved = shape.with_points(shape.points * 30 + UTM[: shape.dimension])
        out = tmp_path / f"far_{kind}{EXTENSION[name]}"
        try:
            write_shape(moved, out)
        except OutputFileError as error:
            assert name in SINGLE and "precis" in str(error)
            assert not out.exists()
            continue
        assert np.abs(read_shape(out).points - moved.points).max() < 1e-6, kind


def test_single_precision_files_become_double_far_from_the_origin(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(9, 3)).astype("<f4")
    axes = "".join(f"property float {axis}\n" for axis in "xyz")
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex 9\n{axes}end_header\n".encode()
    (tmp_path / "a.ply").write_bytes(head + points.tobytes())
    shape = read_shape(tmp_path / "a.ply")
    write_shape(shape.with_points(shape.points + UTM), tmp_path / "b.ply")
    assert b"property double x" in (tmp_path / "b.ply").read_bytes()
    assert np.array_equal(read_shape(tmp_path / "b.ply").points, shape.points + UTM)
    write_shape(shape.with_points(shape.points + 1), tmp_path / "c.ply")
    assert b"property float x" in (tmp_path / "c.ply").read_bytes()


@pytest.mark.parametrize(
    ("name", "before", "spelled", "after"),
    [
        ("a.obj", "# by hand\n", "v  1.50 -.25\t+3e0  \r\n", "v 0 0 1\nv 1 0 1.0\nf 1 2 3\n"),
        ("a.off", "OFF # by hand\n3 1 0\n", "1.50 -.25\t+3e0  \r\n", "0 0 1\n1 0 1.0\n3 0 1 2\n"),
        ("a.csv", "x;y;z;note\n", "1,50;-,25;+3e0;hä\r\n", "0;0;1,0;'\n1;0;1,00;\n"),
        ("a.xyz", "# by hand\n", "  1.50 -.25\t+3e0  \r\n", "0 0 1\n1 0 1.0\n"),
        (
            "a.fcsv",
            "# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n",
            "1,1.50,-.25,+3e0,0,0,0,1,1,1,0,F-1,,\r\n",
            "2,0,0,1.0,0,0,0,1,1,1,0,F-2,,\n",
        ),
        (
            "a.pcd",
            "VERSION .7\nFIELDS x y z\nSIZE 8 8 8\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 3\nHEIGHT 1\nPOINTS 3\nDATA ascii\n",
            "1.50 -.25\t+3e0  \r\n",
            "0 0 1\n1 0 1.0\n",
        ),
    ],
)
def test_text_is_kept_as_it_was_spelled_where_points_stay(
    tmp_path: Path, name: str, before: str, spelled: str, after: str
) -> None:
    path, out = tmp_path / name, tmp_path / f"out_{name}"
    path.write_bytes((before + spelled + after).encode())
    shape = read_shape(path)
    assert shape.points[0].tolist() == [1.5, -0.25, 3.0]
    write_shape(shape, out)
    assert out.read_bytes() == path.read_bytes()
    points = shape.points.copy()
    points[0, 1] = 7.5
    write_shape(shape.with_points(points), out, overwrite=True)
    assert np.array_equal(read_shape(out).points, points)
    data = out.read_bytes()
    assert data.startswith(before.encode()) and data.endswith(after.encode())
    assert spelled.encode() not in data
