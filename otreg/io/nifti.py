"""NIfTI masks and label images (``.nii``, ``.nii.gz``) as volumes: a point in the centre of every voxel above 0.

Runs only in the child process of :mod:`otreg.io.guarded`. The image's affine puts the centres in millimetres, right,
anterior, superior; every voxel has the same volume, so the points of a mask weigh alike. nibabel reads the header.
"""

from __future__ import annotations

import io
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError
from otreg.shapes import Shape

Array = npt.NDArray[Any]
LARGEST = 1 << 30  # bytes of voxels
CHUNK = 1 << 20  # voxels that are placed at once
HEADER = 540  # bytes: the header of NIfTI-2, the longer one


def read_nifti(path: Path) -> Shape:
    """The centres of the voxels above 0 in file order, with their ``label``, or ``value`` where it is no whole number.

    ``voxel_volume`` is the volume of each. Raises FormatError when the image holds no mask: several volumes, colours,
    values below 0, nothing above it, or fewer bytes than its header claims.
    """
    import nibabel

    packed = path.read_bytes()
    head = _unpacked(packed, HEADER)
    image: Any
    if head[344:348] == b"n+1\0":
        image = nibabel.Nifti1Image
    elif head[4:8] == b"n+2\0":
        image = nibabel.Nifti2Image
    elif head[344:348] == b"ni1\0" or head[4:8] == b"ni2\0":
        raise FormatError("is the header of a .hdr and .img pair, whose voxels lie in another file; save it as .nii")
    else:
        raise FormatError("is not a NIfTI image: its header lacks the mark n+1 or n+2")
    header = image.header_class.from_fileobj(io.BytesIO(head), check=False)
    shape, dtype = tuple(int(size) for size in header.get_data_shape()), header.get_data_dtype()
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "iuf" or min(shape, default=0) < 1:
        raise FormatError(f"must hold one number per voxel; its header claims {shape} of {dtype}")
    if size > LARGEST:
        raise FormatError(f"claims {size} bytes of voxels; at most {LARGEST} are read. Crop or coarsen the image")
    offset = int(header.get_data_offset())
    if not 0 <= offset < LARGEST:
        raise FormatError(f"claims that its voxels begin at byte {offset}")
    data = _unpacked(packed, offset + size)
    if len(data) < offset + size:
        raise FormatError(f"claims {offset + size} bytes, but holds {len(data)}; the file is cut off")
    return _voxels(image.from_bytes(data), shape)


def _centres(places: Array, shape: tuple[int, ...], affine: Array) -> Array:
    """(n, 3) where the affine map puts the voxels at ``places`` of the flat image, a part at a time to save memory."""
    points = np.empty((len(places), 3))
    for start in range(0, len(places), CHUNK):
        rows = slice(start, start + CHUNK)
        indices = np.stack(np.unravel_index(places[rows], shape), axis=1)
        points[rows] = indices @ affine[:3, :3].T + affine[:3, 3]
    return points


def _unpacked(data: bytes, size: int) -> bytes:
    """The first ``size`` bytes, unpacked if they are compressed; never more."""
    if not data.startswith(b"\x1f\x8b"):
        return data[:size]
    try:
        return zlib.decompressobj(wbits=31).decompress(data, size)
    except zlib.error as error:
        raise FormatError(f"cannot be unpacked: {error}") from error


def _voxels(image: Any, shape: tuple[int, ...]) -> Shape:
    if len(shape) > 3 and math.prod(shape[3:]) > 1:
        raise FormatError(f"holds {math.prod(shape[3:])} volumes; give one of them")
    values: Array = np.asanyarray(image.dataobj).reshape((*shape[:3], *[1] * (3 - len(shape))))
    warnings: list[str] = []
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            warnings.append("voxels that are not finite count as 0")
            values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        if (values == np.rint(values)).all() and np.abs(values).max() < 2**31:
            values = values.astype(np.int32)
    if values.min() < 0:
        raise FormatError(f"must hold a mask or labels >= 0; found {values.min():g}. Make a mask of the image first")
    places = np.flatnonzero(values)
    if not len(places):
        raise FormatError("holds no voxel above 0, so the mask is empty")
    found = values.reshape(-1)[places]
    affine = np.asarray(image.affine, dtype=np.float64)
    volume = abs(float(np.linalg.det(affine[:3, :3])))
    if not (np.isfinite(affine).all() and volume > 0):
        raise FormatError("must place its voxels by an affine map of full rank; found another")
    placed = int(image.header["sform_code"]) > 0 or int(image.header["qform_code"]) > 0
    if not placed:
        warnings.append("the image states no coordinate system; its corner and voxel sizes are used")
    if found.dtype.kind == "f":
        warnings.append("the values are no whole numbers; pass --weights value to weigh the voxels by them")
    return Shape(
        points=_centres(places, values.shape, affine),
        point_data={
            "value" if found.dtype.kind == "f" else "label": found,
            "voxel_volume": np.full(len(places), volume),
        },
        warnings=tuple(warnings),
        space="RAS" if placed else "",
    )
