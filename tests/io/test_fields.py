"""Fields are what they were when they are read again, in every format and dimension."""

from pathlib import Path

import numpy as np
import pytest

from otreg.errors import FormatError, OutputFileError
from otreg.io import read_shape, write_fields
from otreg.shapes import CellBlock

POINTS = np.random.default_rng(0).normal(size=(4, 2))
FIELDS = {"displacement": POINTS * 2, "potential": np.arange(4.0)}


def test_plane_clouds_get_a_third_coordinate_and_vertex_cells_in_vtu(tmp_path: Path) -> None:
    meshio = pytest.importorskip("meshio")
    write_fields(tmp_path / "a.vtu", points=POINTS, point_data=FIELDS)
    mesh = meshio.read(tmp_path / "a.vtu")
    assert np.array_equal(mesh.points[:, :2], POINTS) and not mesh.points[:, 2].any()
    assert np.array_equal(mesh.point_data["displacement"][:, :2], POINTS * 2)
    assert mesh.cells[0].type == "vertex" and mesh.cells[0].data.reshape(-1).tolist() == [0, 1, 2, 3]


def test_cells_are_kept_and_vtk_reads_them(tmp_path: Path) -> None:
    pyvista = pytest.importorskip("pyvista", reason="needs the extra otreg[vtk]")
    cells = (
        CellBlock("polygon", np.array([0, 1, 2, 3, 0, 1, 2]), np.array([0, 4, 7])),
        CellBlock("line", np.array([[0, 3]])),
    )
    write_fields(tmp_path / "a.vtu", points=POINTS, cells=cells, point_data=FIELDS)
    mesh = pyvista.read(tmp_path / "a.vtu")
    assert sorted(mesh.celltypes.tolist()) == [3, 5, 9]  # line, triangle, quad
    assert np.array_equal(mesh.point_data["potential"], FIELDS["potential"])


@pytest.mark.parametrize("n", [1, 4095, 4096, 4097, 10_000])  # blocks of 4096 numbers are compressed together
def test_long_arrays_are_the_same_for_two_readers_of_vtu(tmp_path: Path, n: int) -> None:
    random = np.random.default_rng(n)
    data = {
        "way": random.normal(size=(n, 3)),
        'mass & "more"': random.normal(size=n),
        "single": random.normal(size=n).astype(np.float32),
        "count": random.integers(-100, 100, n),
        "flag": random.integers(0, 2, n).astype(bool),
    }
    points = random.normal(size=(n, 3))
    cells = (CellBlock("triangle", random.integers(0, n, (n, 3))), CellBlock("line", random.integers(0, n, (n, 2))))
    write_fields(tmp_path / "a.vtu", points=points, cells=cells, point_data=data)
    for package in ("meshio", "pyvista"):
        mesh = pytest.importorskip(package, reason="pyvista needs the extra otreg[vtk]").read(tmp_path / "a.vtu")
        assert np.array_equal(mesh.points, points)
        for name, values in data.items():
            found = np.asarray(mesh.point_data[name])
            assert found.dtype.itemsize == values.dtype.itemsize and np.array_equal(found, values), (package, name)
        blocks = mesh.cells_dict
        assert np.array_equal(blocks["triangle" if package == "meshio" else 5], cells[0].indices)
        assert np.array_equal(blocks["line" if package == "meshio" else 3], cells[1].indices)


@pytest.mark.parametrize("suffix", [".npz", ".ply"])
def test_other_formats_keep_the_dimension(tmp_path: Path, suffix: str) -> None:
    write_fields(tmp_path / f"a{suffix}", points=POINTS, point_data=FIELDS)
    shape = read_shape(tmp_path / f"a{suffix}")
    assert np.array_equal(shape.points, POINTS) and np.array_equal(shape.point_data["potential"], np.arange(4.0))
    columns = shape.point_data.get("displacement")
    columns = np.stack([shape.point_data[f"displacement_{k}"] for k in (0, 1)], axis=1) if columns is None else columns
    assert np.array_equal(columns, POINTS * 2)


def test_wrong_lengths_formats_and_existing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"\.vtu, \.ply, \.npz; got '\.csv'"):
        write_fields(tmp_path / "a.csv", points=POINTS, point_data=FIELDS)
    with pytest.raises(OutputFileError, match="field 'u' has 3 values for 4 points"):
        write_fields(tmp_path / "a.vtu", points=POINTS, point_data={"u": np.zeros(3)})
    write_fields(tmp_path / "a.npz", points=POINTS, point_data=FIELDS)
    with pytest.raises(OutputFileError, match="exists already"):
        write_fields(tmp_path / "a.npz", points=POINTS, point_data=FIELDS)
