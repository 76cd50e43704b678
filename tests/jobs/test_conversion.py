"""The moved shape keeps the source's format where that can be written, and gets one that can hold it all where not."""

import json

import meshio
import numpy as np
import pytest
import trimesh

from otreg.config import RegisterConfig, load_settings
from otreg.errors import OutputFileError
from otreg.io import read_shape, write_shape
from otreg.jobs import Outputs, register_files
from otreg.jobs.conversion import check_conversion, extension_for
from otreg.shapes import CellBlock, Shape

COARSE = load_settings(RegisterConfig, {"blur": "10%", "iterations": 2})


def blob(seed=0):
    """An icosphere with bumps: 162 vertices, 320 faces."""
    mesh = trimesh.creation.icosphere(subdivisions=2)
    bumps = np.random.default_rng(seed).uniform(0.9, 1.1, (len(mesh.vertices), 1))
    return mesh.vertices * bumps * [3, 2, 1], mesh.faces


def glb(path):
    points, faces = blob()
    trimesh.Trimesh(points, faces, process=False).export(path)
    return path


def ply(path):
    write_shape(Shape(points=blob()[0] + [0.5, 0, 0]), path)
    return path


def tetra_mesh(path):
    points = np.random.default_rng(0).standard_normal((12, 3))
    cells = [("triangle", np.array([[0, 1, 2]])), ("tetra", np.arange(12).reshape(3, 4))]
    meshio.Mesh(points, cells).write(path, file_format="medit")
    return path


@pytest.mark.parametrize("name", ["a.ply", "a.PLY", "a.stl", "scan", "scan.v2"])
def test_what_a_file_holds_names_the_extension_not_what_it_is_called(tmp_path, name):
    source = ply(tmp_path / "b.ply").rename(tmp_path / name)
    assert extension_for(read_shape(source), source) == (".ply", None)


def test_an_extension_of_the_format_is_kept(tmp_path):
    for name in ("a.xyz", "a.csv"):
        (tmp_path / name).write_text("0 0 0\n1 0 0\n0 1 1\n")
        extension, _ = extension_for(read_shape(tmp_path / name), tmp_path / name)
        assert extension == (tmp_path / name).suffix
    points, faces = blob()
    write_shape(Shape(points=points, cells=(CellBlock("triangle", faces),)), tmp_path / "a.surf.gii")
    assert extension_for(read_shape(tmp_path / "a.surf.gii"), tmp_path / "a.surf.gii") == (".surf.gii", None)


@pytest.mark.parametrize("name", ["lh.white", "coloured.stl"])
def test_a_surface_of_single_precision_is_not_registered_to_where_its_file_cannot_say_it_is(tmp_path, name):
    points, faces = blob()
    if name == "coloured.stl":
        points, faces = points[faces].reshape(-1, 3), np.arange(faces.size).reshape(-1, 3)
    write_shape(Shape(points=points, cells=(CellBlock("triangle", faces),)), tmp_path / name)
    if name == "coloured.stl":
        data = bytearray((tmp_path / name).read_bytes())
        data[84 + 48] = 7  # the attribute of the first triangle, which a text file has no place for
        (tmp_path / name).write_bytes(data)
    write_shape(Shape(points=points + np.array([500_000.0, 4_000_000.0, 0.0])), tmp_path / "far.ply")
    steps = []
    with pytest.raises(OutputFileError, match=r"registered\.\w+: .* single precision") as caught:
        register_files(
            tmp_path / name, tmp_path / "far.ply", COARSE, Outputs(directory=tmp_path / "out"), on_step=steps.append
        )
    assert str(caught.value).startswith(str(tmp_path / "out"))
    assert steps == []
    assert not (tmp_path / "out").exists()


def test_a_surface_in_a_format_that_is_only_read_becomes_ply_and_a_warning_says_so(tmp_path):
    source = glb(tmp_path / "a.glb")
    report = register_files(source, ply(tmp_path / "b.ply"), COARSE, Outputs(directory=tmp_path / "out"))
    assert report.files["shape"].name == "registered.ply"
    [warning] = [sentence for sentence in report.warnings if "only be read" in sentence]
    assert warning == f"{source}: format gltf can only be read; the moved shape is written as ply"
    assert warning in json.loads(report.files["report"].read_text())["warnings"]
    before, after = read_shape(source), read_shape(report.files["shape"])
    assert (after.cells[0].indices == before.cells[0].indices).all()
    matrix = np.loadtxt(report.files["matrix"])
    assert np.abs(after.points - (before.points @ matrix[:3, :3].T + matrix[:3, 3])).max() < 1e-6


def test_a_volume_in_a_format_that_is_only_read_becomes_vtu(tmp_path):
    source = tetra_mesh(tmp_path / "a.mesh")
    target = ply(tmp_path / "b.ply")
    report = register_files(source, target, COARSE, Outputs(directory=tmp_path / "out"))
    assert report.files["shape"].name == "registered.vtu"
    before, after = read_shape(source), read_shape(report.files["shape"])
    assert {block.kind: len(block) for block in after.cells} == {"triangle": 1, "tetra": 3}
    assert len(after.points) == len(before.points)


def test_the_substitute_is_not_written_over_an_existing_file(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "registered.ply").write_text("precious")
    steps = []
    with pytest.raises(OutputFileError, match=r"registered\.ply: exists already"):
        register_files(
            glb(tmp_path / "a.glb"),
            ply(tmp_path / "b.ply"),
            COARSE,
            Outputs(directory=tmp_path / "out"),
            on_step=steps.append,
        )
    assert (tmp_path / "out" / "registered.ply").read_text() == "precious"
    assert steps == []


def test_a_ply_named_like_another_format_is_no_conversion_and_another_name_is(tmp_path):
    points, _ = blob()
    shape = Shape(points=points, point_data={"heat": np.arange(len(points), dtype=np.float32)})
    write_shape(shape, tmp_path / "a.ply")
    source = read_shape((tmp_path / "a.ply").rename(tmp_path / "a.obj"))
    # Both are called .obj, but writing a PLY's attribute to OBJ would lose it.
    with pytest.raises(OutputFileError, match=r"out\.obj: format obj cannot hold"):
        check_conversion(source, tmp_path / "out.obj")
    check_conversion(source, tmp_path / "out.ply")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.obj"]
