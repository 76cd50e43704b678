"""Laser scans: every dimension of a point is read, in double precision, and what cannot be true is refused."""

from pathlib import Path

import laspy
import numpy as np
import pytest

from otreg.errors import FormatError, OutputFileError
from otreg.io import guarded, read_shape, write_shape


def scan(path: Path, *, n: int = 50) -> np.ndarray:
    """Writes a scan in map coordinates, in steps of 0.1 mm; returns the points as they are stored."""
    header = laspy.LasHeader(point_format=3, version="1.2")
    header.offsets, header.scales = [500_000, 4_000_000, 0], [1e-4, 1e-4, 1e-4]
    header.add_extra_dim(laspy.ExtraBytesParams(name="height", type=np.float32))
    points = np.random.default_rng(0).uniform(0, 100, (n, 3)) + np.array([500_000, 4_000_000, 0])
    las = laspy.LasData(header)
    las.x, las.y, las.z = points.T
    las.intensity = np.arange(n, dtype=np.uint16)
    las.classification = np.arange(n) % 3
    las["height"] = np.linspace(0, 1, n, dtype=np.float32)
    las.write(path)
    return np.rint((points - np.array(header.offsets)) / 1e-4) * 1e-4 + np.array(header.offsets)


@pytest.mark.parametrize("name", ["a.las", "a.laz"])
def test_points_and_every_dimension_are_read(tmp_path: Path, name: str) -> None:
    points = scan(tmp_path / name)
    shape = read_shape(tmp_path / name)
    assert np.abs(shape.points - points).max() < 1e-8
    assert shape.point_data["intensity"].dtype == np.uint16
    assert shape.point_data["intensity"].tolist() == list(range(50))
    assert shape.point_data["classification"].tolist() == [k % 3 for k in range(50)]
    assert np.array_equal(shape.point_data["height"], np.linspace(0, 1, 50, dtype=np.float32))
    with pytest.raises(OutputFileError, match="las can only be read; use one of ply"):
        write_shape(shape, tmp_path / "b.las")
    write_shape(shape, tmp_path / "b.ply")
    again = read_shape(tmp_path / "b.ply")
    assert np.array_equal(again.points, shape.points) and list(again.point_data) == list(shape.point_data)


@pytest.mark.parametrize("name", ["a.las", "a.laz"])
@pytest.mark.parametrize("cut", [4, 90, 200, 300, -1])
def test_cut_off_scans_are_one_line(tmp_path: Path, name: str, cut: int) -> None:
    scan(tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:cut])
    with pytest.raises(FormatError) as caught:
        read_shape(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize("name", ["a.las", "a.laz"])
@pytest.mark.parametrize("place", [100, 107])
def test_absurd_counts_in_the_header_are_one_line_or_a_warning(tmp_path: Path, name: str, place: int) -> None:
    scan(tmp_path / name)
    data = bytearray((tmp_path / name).read_bytes())
    data[place : place + 4] = b"\xff\xff\xff\x7f"  # of variable length records, of points
    (tmp_path / name).write_bytes(data)
    if (name, place) == ("a.las", 100):
        shape = read_shape(tmp_path / name)
        assert len(shape.points) == 50 and "records" in shape.warnings[0]
        return
    with pytest.raises(FormatError) as caught:
        read_shape(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_real_scans_are_read(shared_data: Path) -> None:
    shape = read_shape(shared_data / "large/pdal_lidar/laz/autzen_trim.laz")
    assert shape.points.shape == (110_000, 3) and np.abs(shape.points).max() > 8e5


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("a.las", "laspy", "lidar"),
        ("a.nii", "nibabel", "medical"),
        ("a.vtp", "pyvista", "vtk"),
        ("a.med", "h5py", "med"),
    ],
)
def test_without_its_package_a_format_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str
) -> None:
    find = guarded.importlib.util.find_spec
    monkeypatch.setattr(guarded.importlib.util, "find_spec", lambda n: None if n == package else find(n))
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ImportError) as caught:
        read_shape(tmp_path / name)
    text = str(caught.value)
    assert f"needs the package {package}" in text and f"pip install 'otreg[{extra}]'" in text and "\n" not in text
