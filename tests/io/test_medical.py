"""Surfaces and masks from medical programs, against nibabel, which wrote or reads them."""

import base64
import gzip
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.freesurfer import read_geometry, write_geometry
from nibabel.gifti import GiftiDataArray, GiftiImage

from otreg.errors import FormatError, OutputFileError
from otreg.io import read_shape, write_shape
from otreg.shapes import CellBlock, Shape

POINTS = np.array([[0, 0, 0], [1.5, 0, 0], [0, 2.25, 0], [0, 0, -3.125]], dtype=np.float32)
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1]], dtype=np.int32)
ENCODINGS = ("ASCII", "B64BIN", "B64GZ")


def gifti(path: Path, *, encoding: str = "B64GZ", space: str = "NIFTI_XFORM_SCANNER_ANAT", extra: bool = True) -> Path:
    """A surface with a thickness per point, a table that is no attribute, and metadata, written by nibabel."""
    system = nibabel.gifti.GiftiCoordSystem(space, space)
    arrays = [
        GiftiDataArray(POINTS, "NIFTI_INTENT_POINTSET", encoding=encoding, coordsys=system),
        GiftiDataArray(TRIANGLES, "NIFTI_INTENT_TRIANGLE", encoding=encoding),
    ]
    if extra:
        thickness = np.array([1, 2, 3, 4.5], dtype=np.float32)
        arrays.append(GiftiDataArray(thickness, "NIFTI_INTENT_SHAPE", encoding=encoding, meta={"Name": "thickness"}))
        arrays.append(GiftiDataArray(np.arange(7, dtype=np.int32), "NIFTI_INTENT_LABEL", encoding=encoding))
    image = GiftiImage(darrays=arrays, meta=nibabel.gifti.GiftiMetaData({"UserName": "somebody <& co>"}))
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_gifti_keeps_everything_but_the_points_that_moved(tmp_path: Path, encoding: str) -> None:
    source = gifti(tmp_path / "a.surf.gii", encoding=encoding)
    shape = read_shape(source)
    assert (shape.format, shape.space) == ("gifti", "RAS")
    assert np.array_equal(shape.points, POINTS) and np.array_equal(shape.cells[0].indices, TRIANGLES)
    assert shape.point_data["thickness"].tolist() == [1, 2, 3, 4.5]
    assert shape.point_data["thickness"].dtype == np.float32
    assert any("'label' has no row for each point" in warning for warning in shape.warnings)
    write_shape(shape, tmp_path / "same.surf.gii")
    assert (tmp_path / "same.surf.gii").read_bytes() == source.read_bytes()
    write_shape(shape.with_points(shape.points + 1), tmp_path / "b.surf.gii")
    before, after = nibabel.load(source), nibabel.load(tmp_path / "b.surf.gii")
    assert np.array_equal(after.darrays[0].data, POINTS + 1) and after.darrays[0].data.dtype == np.float32
    for old, new in zip(before.darrays[1:], after.darrays[1:], strict=True):
        assert np.array_equal(old.data, new.data) and dict(old.meta) == dict(new.meta)
    assert dict(after.meta) == {"UserName": "somebody <& co>"}


def test_gifti_far_from_the_origin_becomes_double_and_says_so(tmp_path: Path) -> None:
    shape = read_shape(gifti(tmp_path / "a.surf.gii"))
    far = shape.points + np.array([4e5, 5e6, 0]) + 1e-7
    write_shape(shape.with_points(far), tmp_path / "b.surf.gii")
    assert np.array_equal(read_shape(tmp_path / "b.surf.gii").points, far)
    assert np.array_equal(nibabel.load(tmp_path / "b.surf.gii").darrays[0].data, far)


def test_gifti_in_column_order_and_big_endian_is_read(tmp_path: Path) -> None:
    system = '<?xml version="1.0"?><GIFTI Version="1.0">'
    arrays = ""
    for intent, kind, values in (("POINTSET", "FLOAT32", POINTS.astype(">f4")), ("TRIANGLE", "INT32", TRIANGLES)):
        raw = values.astype(values.dtype.newbyteorder(">")).tobytes(order="F")
        text = base64.b64encode(zlib.compress(raw)).decode()
        arrays += (
            f'<DataArray Intent="NIFTI_INTENT_{intent}" DataType="NIFTI_TYPE_{kind}" Dimensionality="2" '
            f'ArrayIndexingOrder="ColumnMajorOrder" Dim0="{len(values)}" Dim1="3" Endian="BigEndian" '
            f'Encoding="GZipBase64Binary"><Data>{text}</Data></DataArray>'
        )
    (tmp_path / "a.gii").write_text(system + arrays + "</GIFTI>")
    shape = read_shape(tmp_path / "a.gii")
    assert np.array_equal(shape.points, POINTS) and np.array_equal(shape.cells[0].indices, TRIANGLES)
    assert shape.space == ""
    write_shape(shape.with_points(shape.points * 2), tmp_path / "b.gii")
    assert np.array_equal(read_shape(tmp_path / "b.gii").points, POINTS * 2)


def test_a_new_gifti_is_read_by_nibabel(tmp_path: Path) -> None:
    data = {"curv": np.linspace(0, 1, 4), "id": np.arange(4, dtype=np.int32)}
    shape = Shape(POINTS + 1 / 3, (CellBlock("triangle", TRIANGLES.astype(np.int64)),), data, space="RAS")
    write_shape(shape, tmp_path / "a.surf.gii")
    found = nibabel.load(tmp_path / "a.surf.gii")
    assert np.array_equal(found.agg_data("pointset"), shape.points)
    assert np.array_equal(found.agg_data("triangle"), TRIANGLES)
    assert found.darrays[0].coordsys.dataspace in (1, "NIFTI_XFORM_SCANNER_ANAT")
    again = read_shape(tmp_path / "a.surf.gii")
    assert again.space == "RAS" and np.array_equal(again.points, shape.points)
    assert {k: v.dtype.name for k, v in again.point_data.items()} == {"curv": "float64", "id": "int32"}


BOMB = base64.b64encode(zlib.compress(bytes(10**7))).decode()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('Dim0="4" Dim1="3"', 'Dim0="4000000000" Dim1="3"', "bytes are claimed, more than"),
        ('Dim0="4" Dim1="3"', 'Dim0="3" Dim1="3"', "claimed"),
        ('Dim0="4" Dim1="3"', 'Dim0="-4" Dim1="3"', "numbers >= 0"),
        ('ExternalFileName=""', 'ExternalFileName="../../etc/passwd"', "another file"),
        ("NIFTI_TYPE_FLOAT32", "NIFTI_TYPE_COMPLEX64", "not supported"),
        ("NIFTI_INTENT_POINTSET", "NIFTI_INTENT_SHAPE", "must hold one NIFTI_INTENT_POINTSET"),
        ("GZipBase64Binary", "Rot13", "encoding 'Rot13'"),
        ('gifti.dtd">', 'gifti.dtd" [<!ENTITY a "aaaa">]>', "declares entities"),
        ("</GIFTI>", "", "is not valid XML"),
        ("<Data>", f"<Data>{BOMB}", "claimed"),
        ("UTF-8", "UTF-16", "XML"),
    ],
)
def test_bad_gifti_is_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = gifti(tmp_path / "a.surf.gii", extra=False).read_text()
    assert old in text
    (tmp_path / "a.surf.gii").write_text(text.replace(old, new, 1))
    with pytest.raises(FormatError) as caught:
        read_shape(tmp_path / "a.surf.gii")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_gifti_does_not_hold_what_it_has_no_place_for(tmp_path: Path) -> None:
    line = Shape(POINTS.astype(float), (CellBlock("line", np.array([[0, 1]])),))
    with pytest.raises(OutputFileError, match=r"gifti cannot hold anything but .*; formats that can: ply"):
        write_shape(line, tmp_path / "a.surf.gii")


def freesurfer(path: Path) -> Path:
    volume = {"head": [2, 0, 20], "valid": "1  # volume info valid", "filename": "orig.mgz"}
    volume |= {"volume": [256, 256, 256], "voxelsize": [1, 1, 1]}
    volume |= {"xras": [-1, 0, 0], "yras": [0, 0, -1], "zras": [0, 1, 0], "cras": [1.0, 2.5, -3.0]}
    write_geometry(path, POINTS, TRIANGLES, create_stamp="created by a test", volume_info=volume)
    return path


@pytest.mark.parametrize("name", ["lh.white", "rh.sphere.reg", "surface"])
def test_freesurfer_keeps_comment_and_footer(tmp_path: Path, name: str) -> None:
    source = freesurfer(tmp_path / name)
    shape = read_shape(source)
    assert shape.format == "freesurfer" and shape.comments == ("created by a test",) and not shape.warnings
    assert np.array_equal(shape.points, POINTS) and np.array_equal(shape.cells[0].indices, TRIANGLES)
    write_shape(shape, tmp_path / "same.white")
    assert (tmp_path / "same.white").read_bytes() == source.read_bytes()
    write_shape(shape.with_points(shape.points * 2), tmp_path / "b.pial")
    points, triangles, volume = read_geometry(tmp_path / "b.pial", read_metadata=True)
    assert np.array_equal(points, POINTS * 2) and np.array_equal(triangles, TRIANGLES)
    assert volume["cras"].tolist() == [1.0, 2.5, -3.0]


def test_freesurfer_refuses_what_single_precision_loses(tmp_path: Path) -> None:
    shape = read_shape(freesurfer(tmp_path / "lh.white"))
    with pytest.raises(OutputFileError, match="single precision"):
        write_shape(shape.with_points(shape.points + 5e6), tmp_path / "b.white")
    with pytest.raises(OutputFileError, match="coordinates as precise as these; formats that can: ply"):
        write_shape(Shape(shape.points + 5e6, shape.cells), tmp_path / "c.white")
    assert not (tmp_path / "b.white").exists() and not (tmp_path / "c.white").exists()
    near = Shape(shape.points + 1 / 3, shape.cells)
    write_shape(near, tmp_path / "d.white")
    size = np.linalg.norm(np.ptp(near.points, axis=0))
    assert np.abs(read_shape(tmp_path / "d.white").points - near.points).max() < 1e-6 * size


@pytest.mark.parametrize("cut", [3, 10, 25, 40, -40])
def test_cut_off_freesurfer_is_one_line(tmp_path: Path, cut: int) -> None:
    write_geometry(tmp_path / "a.white", POINTS, TRIANGLES, create_stamp="x")
    (tmp_path / "a.white").write_bytes((tmp_path / "a.white").read_bytes()[:cut])
    with pytest.raises(FormatError, match=r"a\.white: .*cut off"):
        read_shape(tmp_path / "a.white")


def mask(path: Path, values: np.ndarray, *, affine: np.ndarray | None = None, kind: type = nibabel.Nifti1Image) -> Path:
    if affine is None:
        affine = np.array([[-2.0, 0.1, 0, 90], [0, 3, 0, -126], [0, 0, 4, -72], [0, 0, 0, 1]])
    kind(values, affine).to_filename(path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_mask_is_a_point_in_the_centre_of_every_voxel(tmp_path: Path, name: str, kind: type) -> None:
    values = np.zeros((5, 6, 7), np.uint8)
    values[1, 2, 3], values[4, 5, 6], values[0, 0, 1] = 1, 1, 7
    shape = read_shape(mask(tmp_path / name, values, kind=kind))
    affine = nibabel.load(tmp_path / name).affine
    assert np.allclose(shape.points[1], (affine @ [1, 2, 3, 1])[:3]) and len(shape.points) == 3
    assert shape.point_data["label"].tolist() == [7, 1, 1]
    assert np.allclose(shape.point_data["voxel_volume"], 24)
    assert (shape.format, shape.space) == ("nifti", "RAS")
    with pytest.raises(OutputFileError, match="nifti can only be read; use one of ply"):
        write_shape(shape, tmp_path / "b.nii")


def test_values_that_are_no_labels_are_kept_with_a_warning(tmp_path: Path) -> None:
    shape = read_shape(mask(tmp_path / "a.nii", np.array([[[0.0, 0.25], [0.5, np.nan]]])))
    assert shape.point_data["value"].tolist() == [0.25, 0.5]
    assert any("--weights value" in warning for warning in shape.warnings)
    whole = read_shape(mask(tmp_path / "b.nii", np.array([[[0.0, 2.0]]])))
    assert whole.point_data["label"].tolist() == [2]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((3, 3, 3), np.uint8), "no voxel above 0"),
        (np.full((3, 3, 3), -1000, np.int16), "mask or labels >= 0; found -1000"),
        (np.ones((3, 3, 3, 2), np.uint8), "holds 2 volumes"),
        (np.ones((3, 3, 3), np.complex64), "one number per voxel"),
    ],
)
def test_images_that_are_no_mask_are_refused(tmp_path: Path, values: np.ndarray, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        read_shape(mask(tmp_path / "a.nii.gz", values))


def test_nifti_that_claims_more_than_it_holds_is_one_line(tmp_path: Path) -> None:
    data = bytearray(gzip.decompress(mask(tmp_path / "a.nii.gz", np.ones((9, 9, 9), np.uint8)).read_bytes()))
    (tmp_path / "cut.nii").write_bytes(data[:-1])
    with pytest.raises(FormatError, match="cut off"):
        read_shape(tmp_path / "cut.nii")
    data[42:48] = np.array([32767] * 3, "<i2").tobytes()
    (tmp_path / "huge.nii.gz").write_bytes(gzip.compress(data))
    with pytest.raises(FormatError, match="bytes of voxels; at most"):
        read_shape(tmp_path / "huge.nii.gz")
    (tmp_path / "pair.nii").write_bytes(data[:344] + b"ni1\0" + data[348:])
    with pytest.raises(FormatError, match="lie in another file"):
        read_shape(tmp_path / "pair.nii", format="nifti")


def test_the_format_can_be_named_for_a_mask_of_any_name(tmp_path: Path) -> None:
    source = mask(tmp_path / "a.nii.gz", np.ones((2, 2, 2), np.uint8)).rename(tmp_path / "mask.bin")
    with pytest.raises(FormatError, match="gzip-compressed"):
        read_shape(source)
    assert len(read_shape(source, format="nifti").points) == 8


def test_real_surfaces_and_masks_are_read(shared_data: Path) -> None:
    for name in ("example_mesh.gii", "example_mesh_2.gii"):
        path = shared_data / "medical" / "brain_slam" / name
        shape, reference = read_shape(path), nibabel.load(path)
        assert np.array_equal(shape.points, reference.darrays[0].data)
        assert np.array_equal(shape.cells[0].indices, reference.darrays[1].data)
    path = shared_data / "curves/geomloss_2d/optimal_transport/data/OAI_a.nii.gz"
    shape, image = read_shape(path), nibabel.load(path)
    values = np.asarray(image.dataobj)
    assert len(shape.points) == (values > 0).sum()
    volume = shape.point_data["voxel_volume"].sum()
    assert volume == pytest.approx((values > 0).sum() * np.prod(image.header.get_zooms()[:3]), rel=1e-5)
