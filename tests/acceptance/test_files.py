"""What a registration of real files leaves behind: every file, well-formed, and in the unit of its inputs."""

import json

import meshio
import numpy as np
import pytest

from otreg import Shape, read_shape, write_shape

pytestmark = pytest.mark.slow

# Coarse: the files count here, not the accuracy.
FLAGS = ("--blur", "2%", "-m")
FACE = "ict_neutral_identity001"
SKULL = "skull_two_resolutions"
FIELDS = {"registration_displacement", "brenier_displacement", "potential", "matched_mass"}


@pytest.fixture(scope="module", params=[(FACE, "rigid,spline"), (SKULL, "similarity")], ids=["spline", "linear"])
def done(request, otreg, real_pair, tmp_path_factory):
    """A finished registration: the pair, the models, the folder, and the report that was printed."""
    name, models = request.param
    pair, folder = real_pair(name), tmp_path_factory.mktemp(name)
    report = json.loads(otreg("register", pair.source, pair.target, *FLAGS, models, "-d", folder, "--json"))
    return pair, models, folder, report


def test_the_folder_holds_exactly_what_is_promised(done):
    _, models, folder, report = done
    linear = {"transform.txt"} if "spline" not in models else set()
    assert {path.name for path in folder.iterdir()} == linear | {
        "registered.obj",
        "transform.json",
        "brenier.vtu",
        "report.json",
    }
    assert json.loads((folder / "report.json").read_text()) == report


def test_the_moved_shape_has_the_vertices_order_and_faces_of_the_source(done):
    pair, _, folder, _ = done
    before, after = read_shape(pair.source), read_shape(folder / "registered.obj")
    assert after.points.shape == before.points.shape
    assert [block.kind for block in after.cells] == [block.kind for block in before.cells]
    for mine, theirs in zip(after.cells, before.cells, strict=True):
        assert (mine.indices == theirs.indices).all()
    # Lines that are no vertices are the source's, byte for byte, texture coordinates and groups included.
    old, new = (path.read_bytes().splitlines() for path in (pair.source, folder / "registered.obj"))
    assert len(old) == len(new)
    kept = [(a, b) for a, b in zip(old, new, strict=True) if not a.startswith((b"v ", b"vn "))]
    assert all(a == b for a, b in kept) and len(kept) > len(before.points)


def test_apply_with_the_transform_gives_the_moved_shape(done, otreg, tmp_path):
    pair, _, folder, _ = done
    otreg("apply", folder / "transform.json", pair.source, "-o", tmp_path / "again.obj")
    assert (tmp_path / "again.obj").read_bytes() == (folder / "registered.obj").read_bytes()


def test_the_matrix_is_the_transform(done):
    pair, models, folder, _ = done
    transform = json.loads((folder / "transform.json").read_text())
    assert transform["direction"] == "source_to_target"
    if "spline" in models:
        assert "matrix" not in transform
        return
    matrix = np.loadtxt(folder / "transform.txt")
    assert matrix.shape == (4, 4) and (matrix[3] == [0, 0, 0, 1]).all()
    assert np.abs(matrix - transform["matrix"]).max() == 0
    source, moved = read_shape(pair.source).points, read_shape(folder / "registered.obj").points
    size = np.linalg.norm(np.ptp(source, axis=0))
    assert np.abs(source @ matrix[:3, :3].T + matrix[:3, 3] - moved).max() < 1e-6 * size


def test_the_fields_open_in_other_programs_and_belong_to_the_moved_points(done):
    pair, _, folder, report = done
    fields = meshio.read(folder / "brenier.vtu")
    source, moved = read_shape(pair.source), read_shape(folder / "registered.obj").points
    n = len(moved)
    assert set(fields.point_data) == FIELDS
    shapes = {name: values.shape for name, values in fields.point_data.items()}
    assert shapes["potential"] == shapes["matched_mass"] == (n,)
    assert shapes["brenier_displacement"] == shapes["registration_displacement"] == (n, 3)
    assert all(np.isfinite(values).all() for values in fields.point_data.values())
    size = report["frame"]["scale"]
    assert np.abs(fields.points - moved).max() < 1e-6 * size
    way = fields.point_data["registration_displacement"]
    assert np.abs(source.points + way - moved).max() < 1e-6 * size
    assert sum(len(block) for block in fields.cells) == sum(len(block) for block in source.cells)
    mass = fields.point_data["matched_mass"]
    assert mass.min() >= 0 and np.median(mass) > 0.5


def test_the_report_says_what_was_done(done):
    pair, models, _, report = done
    assert set(report) >= {
        "schema",
        "inputs",
        "outputs",
        "settings",
        "resolved",
        "frame",
        "stages",
        "divergence",
        "converged",
        "status",
        "warnings",
        "seconds",
        "versions",
        "platform",
    }
    assert [stage["name"] for stage in report["stages"]] == models.split(",")
    assert report["inputs"]["source"]["points"] == len(read_shape(pair.source).points)
    assert len(report["inputs"]["target"]["sha256"]) == 64
    divergence = report["divergence"]
    assert divergence["lower"] <= divergence["value"] <= divergence["upper"]
    for stage in report["stages"]:
        assert all(step["marginal_error"] is not None and step["divergence"] >= 0 for step in stage["steps"])


def test_millimetres_and_metres_give_the_same_answer(otreg, real_pair, tmp_path):
    pair = real_pair(SKULL)
    found = {}
    for unit in (1.0, 1000.0):
        folder = tmp_path / f"{unit:g}"
        for path in (pair.source, pair.target):
            shape = read_shape(path)
            # Coordinates in float64 in both, so that the files differ in the unit alone.
            scaled = Shape(points=shape.points * unit, cells=shape.cells)
            write_shape(scaled, folder / path.with_suffix(".ply").name)
        names = (folder / path.with_suffix(".ply").name for path in (pair.source, pair.target))
        otreg("register", *names, *FLAGS, "rigid", "-d", folder / "out")
        found[unit] = np.loadtxt(folder / "out" / "transform.txt"), read_shape(folder / "out" / "registered.ply").points
    (small, few), (large, many) = found[1.0], found[1000.0]
    size = np.linalg.norm(np.ptp(few, axis=0))
    matrix, translation = np.abs(small - large)[:3, :3].max(), np.abs(1000 * small - large)[:3, 3].max() / 1000 / size
    points = np.abs(1000 * few - many).max() / 1000 / size
    print(f"\nunits: matrices differ by {matrix:.1e}, translations by {translation:.1e}, points by {points:.1e}")
    assert max(matrix, translation, points) < 1e-5
