"""The table of file formats: which names, extensions, reader and writer each has, and what it cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from otreg.errors import FormatError
from otreg.io.freesurfer import freesurfer_cannot_hold, read_freesurfer, write_freesurfer
from otreg.io.gifti import gifti_cannot_hold, read_gifti, write_gifti
from otreg.io.guarded import guarded
from otreg.io.markups import (
    fcsv_cannot_hold,
    markups_cannot_hold,
    read_fcsv,
    read_markups,
    write_fcsv,
    write_markups,
)
from otreg.io.numpy_files import npy_cannot_hold, npz_cannot_hold, read_npy, read_npz, write_npy, write_npz
from otreg.io.obj import obj_cannot_hold, read_obj, write_obj
from otreg.io.off import off_cannot_hold, read_off, write_off
from otreg.io.pcd import pcd_cannot_hold, read_pcd, write_pcd
from otreg.io.ply import ply_cannot_hold, read_ply, write_ply
from otreg.io.stl import read_stl, stl_cannot_hold, write_stl
from otreg.io.table import read_table, table_cannot_hold, write_table
from otreg.io.vtk_legacy import read_vtk, vtk_cannot_hold, write_vtk
from otreg.io.vtp import write_vtp
from otreg.io.vtu import vtu_cannot_hold, write_vtu
from otreg.shapes import Shape


@dataclass(frozen=True)
class FormatInfo:
    """What a format is called, and what can be done with it; ``extra`` names the optional packages that it needs.

    says_space: whether its files say where their axes point.
    only_single: whether some of its files must have single precision, too little far from the origin.
    """

    name: str
    extensions: tuple[str, ...]
    can_read: bool
    can_write: bool
    extra: str = ""
    says_space: bool = False
    only_single: bool = False


@dataclass(frozen=True)
class Codec:
    """A format with its functions. ``cannot_hold`` says in words what of a shape would be lost, or None."""

    name: str
    extensions: tuple[str, ...]
    read: Callable[[Path], Shape] | None = None
    write: Callable[[Shape, Path], None] | None = None
    cannot_hold: Callable[[Shape], str | None] = lambda shape: None
    extra: str = ""
    says_space: bool = False
    only_single: bool = False

    @property
    def info(self) -> FormatInfo:
        return FormatInfo(
            name=self.name,
            extensions=self.extensions,
            can_read=self.read is not None,
            can_write=self.write is not None,
            extra=self.extra,
            says_space=self.says_space,
            only_single=self.only_single,
        )


CODECS: tuple[Codec, ...] = (
    Codec("ply", (".ply",), read_ply, write_ply, ply_cannot_hold),
    Codec("obj", (".obj",), read_obj, write_obj, obj_cannot_hold),
    Codec("off", (".off",), read_off, write_off, off_cannot_hold),
    Codec("stl", (".stl",), read_stl, write_stl, stl_cannot_hold, only_single=True),
    Codec("pcd", (".pcd",), read_pcd, write_pcd, pcd_cannot_hold),
    Codec("table", (".csv", ".txt", ".xyz", ".pts", ".asc", ".tsv"), read_table, write_table, table_cannot_hold),
    Codec("markups", (".mrk.json", ".json"), read_markups, write_markups, markups_cannot_hold, says_space=True),
    Codec("fcsv", (".fcsv",), read_fcsv, write_fcsv, fcsv_cannot_hold, says_space=True),
    Codec("npy", (".npy",), read_npy, write_npy, npy_cannot_hold),
    Codec("npz", (".npz",), read_npz, write_npz, npz_cannot_hold),
    Codec("vtk", (".vtk",), read_vtk, write_vtk, vtk_cannot_hold),
    Codec("vtp", (".vtp",), guarded("read_pyvista", "pyvista"), write_vtp, vtk_cannot_hold, extra="vtk"),
    Codec("vtu", (".vtu",), guarded("read_meshio:vtu", "meshio"), write_vtu, vtu_cannot_hold),
    Codec("gifti", (".surf.gii", ".gii"), read_gifti, write_gifti, gifti_cannot_hold, says_space=True),
    Codec(
        "freesurfer",
        (".white", ".pial", ".inflated", ".sphere", ".smoothwm"),
        read_freesurfer,
        write_freesurfer,
        freesurfer_cannot_hold,
        only_single=True,
    ),
    # A small file may well hold a mask of hundreds of millions of voxels; the reader itself checks what it claims.
    Codec(
        "nifti",
        (".nii", ".nii.gz"),
        guarded("read_nifti", "nibabel", computing=60.0, memory=8 << 30),
        extra="medical",
        says_space=True,
    ),
    Codec("las", (".las", ".laz"), guarded("read_las", "laspy", "lazrs"), extra="lidar"),
    Codec("gltf", (".glb", ".gltf"), guarded("read_scene", "trimesh")),
    Codec("3mf", (".3mf",), guarded("read_scene", "trimesh", "lxml", "networkx")),
    Codec("gmsh", (".msh",), guarded("read_meshio:gmsh", "meshio")),
    Codec("medit", (".mesh",), guarded("read_meshio:medit", "meshio")),
    Codec("med", (".med",), guarded("read_meshio:med", "meshio", "h5py"), extra="med"),
    Codec("xdmf", (".xdmf", ".xmf"), guarded("read_meshio:xdmf", "meshio")),
)
BY_NAME: dict[str, Codec] = {codec.name: codec for codec in CODECS}
BY_EXTENSION: dict[str, Codec] = {extension: codec for codec in CODECS for extension in codec.extensions}


def format_for(path: Path, name: str | None = None) -> FormatInfo | None:
    """The format that a file called ``path`` is written in: that called ``name``, or that of its extension, if any.

    Raises FormatError when ``name`` is unknown.
    """
    codec = codec_named(name) if name is not None else BY_EXTENSION.get(extension_of(path))
    return None if codec is None else codec.info


def formats() -> tuple[FormatInfo, ...]:
    """All formats that files are read from or written to."""
    return tuple(codec.info for codec in CODECS)


def extension_of(path: Path) -> str:
    """The extension of a file, in lower case: the longest known one (".surf.gii"), else what its last dot begins."""
    name = path.name.lower()
    known = [e for e in BY_EXTENSION if e.count(".") > 1 and name.endswith(e) and len(name) > len(e)]
    return max(known, key=len, default=path.suffix.lower())


def codec_named(name: str) -> Codec:
    """The codec of a format given by name or extension. Raises FormatError that lists the names."""
    key = name.lower()
    codec = BY_NAME.get(key) or BY_EXTENSION.get("." + key.removeprefix("."))
    if codec is None:
        raise FormatError(f"format '{name}' is unknown; known are {', '.join(BY_NAME)}")
    return codec
