"""Readers that trust another package's parser. They run only in the child process of :mod:`otreg.io.guarded`.

Before a parser sees a file, what could make it follow a path or unpack without end is refused here; after it, the
arrays are taken as they are, in the order of the file.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError
from otreg.io.cells import blocks_of_lists, segments_of_lists, triangles_of_strips
from otreg.io.las import read_las
from otreg.io.nifti import read_nifti
from otreg.io.numpy_files import LARGEST_RATIO, SMALL
from otreg.shapes import CELL_SIZES, CellBlock, Shape

__all__ = ["read_las", "read_meshio", "read_nifti", "read_pyvista", "read_scene"]

Array = npt.NDArray[Any]
ENCODING = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"']*)")
DECLARATION = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
# Cells of higher order, as the corners that come first in them, and what remains of them.
LINEAR = {"line3": "line", "triangle6": "triangle", "triangle7": "triangle", "quad8": "quad", "quad9": "quad"}
LINEAR.update({"tetra10": "tetra", "line4": "line", "triangle10": "triangle", "quad16": "quad", "tetra20": "tetra"})


def read_scene(path: Path) -> Shape:
    """The meshes, lines and points of a glTF, GLB or 3MF scene, one after the other, each where the scene puts it.

    The order of vertices and faces within a mesh is the file's; that of the meshes is the order of the parser's visit.
    """
    import trimesh

    data = path.read_bytes()
    kind = "3mf" if data.startswith(b"PK") else "glb" if data.startswith(b"glTF") else "gltf"
    if kind == "3mf":
        _check_archive(data)
    else:
        _check_gltf(data)
    # Without a path the parser has no folder in which it could follow a reference.
    scene: Any = trimesh.load_scene(io.BytesIO(data), file_type=kind, process=False)
    points: list[Array] = []
    blocks: list[CellBlock] = []
    colours: list[Array | None] = []
    start = 0
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        geometry = scene.geometry[name]
        vertices = np.asarray(geometry.vertices, dtype=np.float64)
        if vertices.ndim != 2 or not len(vertices):
            continue
        points.append(vertices @ np.asarray(matrix)[:3, :3].T + np.asarray(matrix)[:3, 3])
        faces = getattr(geometry, "faces", None)
        if faces is not None and len(faces):
            blocks.append(CellBlock("triangle", np.asarray(faces, dtype=np.int64) + start))
        for entity in getattr(geometry, "entities", ()):
            nodes = np.asarray(entity.points, dtype=np.int64) + start
            blocks += segments_of_lists(np.array([len(nodes)]), nodes)
        visual = getattr(geometry, "visual", None)
        coloured = getattr(visual, "kind", None) == "vertex"
        colours.append(np.asarray(visual.vertex_colors) if visual is not None and coloured else None)
        start += len(vertices)
    if not points:
        raise FormatError("holds no geometry")
    order = sorted(blocks, key=lambda block: block.kind != "line")
    merged = [_merged([b for b in order if b.kind == kind]) for kind in ("line", "triangle")]
    rgba = [c for c in colours if c is not None]
    attributes = {}
    if len(rgba) == len(points):
        table = np.concatenate(rgba)
        attributes = {
            name: table[:, k].copy() for k, name in enumerate(("red", "green", "blue", "alpha")[: table.shape[1]])
        }
    return Shape(np.concatenate(points), tuple(b for b in merged if b is not None), attributes)


def read_meshio(path: Path, format: str) -> Shape:
    """The points, lines, faces and tetrahedra of a file in meshio's format vtu, gmsh, medit, med or xdmf."""
    import meshio

    if format in ("vtu", "xdmf"):
        _check_xml(path.read_bytes())
    elif format == "med":
        _check_hdf(path)
    mesh = meshio.read(path, file_format=format)
    blocks: list[CellBlock] = []
    kept: list[int] = []
    notes: set[str] = set()
    for k, block in enumerate(mesh.cells):
        kind = LINEAR.get(block.type, block.type)
        indices = np.asarray(block.data)
        if kind == "vertex":
            continue
        if kind == "polygon":
            m, size = indices.shape
            blocks.append(CellBlock("polygon", indices.reshape(-1).astype(np.int64), np.arange(m + 1) * size))
        elif kind in CELL_SIZES:
            blocks.append(CellBlock(kind, indices[:, : CELL_SIZES[kind]].astype(np.int64)))
        else:
            raise FormatError(f"cells of kind {block.type} are not supported; convert them to tetrahedra or faces")
        if kind != block.type:
            notes.add(f"cells of kind {block.type} are used by their corners")
        kept.append(k)
    cell_data = {
        name: np.concatenate([np.asarray(parts[k]) for k in kept]) for name, parts in mesh.cell_data.items() if kept
    }
    return Shape(
        points=np.ascontiguousarray(mesh.points, dtype=np.float64),
        cells=tuple(blocks),
        point_data={name: np.asarray(values) for name, values in mesh.point_data.items()},
        cell_data=cell_data,
        warnings=tuple(sorted(notes)),
    )


def read_pyvista(path: Path) -> Shape:
    """The points, lines, faces and attributes of an XML PolyData file (.vtp)."""
    import pyvista
    from pyvista import _vtk

    _check_xml(path.read_bytes())
    mesh: Any = pyvista.get_reader(path, force_ext=".vtp").read()
    if not isinstance(mesh, pyvista.PolyData):
        raise FormatError(f"holds {type(mesh).__name__}, not PolyData")
    blocks: list[CellBlock] = []
    for cells, convert in (
        (mesh.GetLines(), segments_of_lists),
        (mesh.GetPolys(), blocks_of_lists),
        (mesh.GetStrips(), triangles_of_strips),
    ):
        if cells.GetNumberOfCells():
            offsets = _vtk.vtk_to_numpy(cells.GetOffsetsArray()).astype(np.int64)
            corners = _vtk.vtk_to_numpy(cells.GetConnectivityArray()).astype(np.int64)
            blocks += convert(np.diff(offsets), corners)
    count = sum(len(block) for block in blocks)
    return Shape(
        points=np.array(mesh.points, dtype=np.float64),
        cells=tuple(blocks),
        point_data={name: np.array(mesh.point_data[name]) for name in mesh.point_data},
        cell_data={name: np.array(v) for name, v in mesh.cell_data.items() if len(v) == count},
    )


def _merged(blocks: list[CellBlock]) -> CellBlock | None:
    return CellBlock(blocks[0].kind, np.concatenate([block.indices for block in blocks])) if blocks else None


def _check_archive(data: bytes) -> None:
    """Raises FormatError for a zip archive that unpacks to absurd size, or whose XML is not safe to parse."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        claimed = sum(member.file_size for member in archive.infolist())
        if claimed > max(SMALL, LARGEST_RATIO * len(data)):
            raise FormatError(f"claims to unpack {len(data)} bytes to {claimed}; this is not a shape")
        for member in archive.infolist():
            if member.filename.lower().endswith((".model", ".xml", ".rels")):
                _check_declarations(archive.read(member))


def _check_xml(data: bytes) -> None:
    """Raises FormatError for XML that is not a VTK or XDMF file, not safe to parse, or refers to other files."""
    _check_declarations(data)
    if b"<Xdmf" in data[: 1 << 16]:
        # Parsed, because an attribute can be spelt in many ways; without entities that is safe.
        for item in ElementTree.fromstring(data).iter():
            if item.get("Format", "XML").strip().upper() != "XML" or item.tag.lower().endswith("include"):
                raise FormatError("refers to data in another file, which is not followed; save it as .vtu")
    elif b"<VTKFile" not in data[: 1 << 16]:
        raise FormatError("is not a VTK or XDMF file")


def _check_hdf(path: Path) -> None:
    """Raises FormatError for an HDF5 file that refers to other files: by links, or for the values of a dataset."""
    import h5py

    with h5py.File(path, "r") as file:
        groups, seen = [file["/"]], set()
        while groups:
            group = groups.pop()
            address = h5py.h5o.get_info(group.id).addr
            if address in seen:
                continue
            seen.add(address)
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise FormatError("holds links, which may lead to other files and are not followed; copy the data")
                item = group[name]
                if isinstance(item, h5py.Group):
                    groups.append(item)
                elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                    raise FormatError("refers to data in another file, which is not followed; copy the data into it")


def _check_declarations(data: bytes) -> None:
    """Raises FormatError for XML that declares entities: they grow without end, or stand for other files.

    Looked for as bytes, which only finds them in encodings that agree with ASCII; others are refused.
    """
    if not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<") or b"\0" in data[:64]:
        raise FormatError("is not XML in UTF-8")
    encoding = ENCODING.match(data.removeprefix(b"\xef\xbb\xbf").lstrip())
    if encoding is not None and encoding.group(1).lower() not in (b"utf-8", b"us-ascii", b"ascii", b"iso-8859-1"):
        raise FormatError(f"is XML in {encoding.group(1)[:40].decode('latin-1')}; save it as UTF-8")
    if DECLARATION.search(data):
        raise FormatError("declares a document type or entities, which a shape does not need; it is not read")


def _check_gltf(data: bytes) -> None:
    """Raises FormatError for glTF that is not JSON, or whose buffers lie in other files."""
    if data.startswith(b"glTF"):
        length = int.from_bytes(data[12:16], "little")
        if int.from_bytes(data[8:12], "little") > len(data) or length > len(data) - 20:
            raise FormatError(f"claims more than its {len(data)} bytes; the file is cut off")
        text = data[20 : 20 + length]
    else:
        text = data
    try:
        tree = json.loads(text)
        buffers = tree.get("buffers", [])
        uris = [str(buffer.get("uri", "data:")) for buffer in buffers]
    except (ValueError, AttributeError, RecursionError) as error:
        raise FormatError(f"is not valid glTF: {error}") from error
    outside = [uri for uri in uris if not uri.startswith("data:")]
    if outside:
        raise FormatError(f"refers to data in another file ({outside[0][:60]}), which is not followed; save it as .glb")
