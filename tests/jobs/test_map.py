"""The map in the file is the map of the engine, in file units, in every layout, at every place, in both directions."""

import json

import numpy as np
import pytest
import torch

from otreg.config import DistanceConfig, MapConfig, load_settings
from otreg.errors import ArgumentError, InputError, OutputFileError
from otreg.io import read_shape, write_shape
from otreg.jobs import MapOutputs, Reading, distance_files, map_files
from otreg.jobs.grid import RegularGrid
from otreg.measures import Frame
from otreg.measures.from_shape import measure_from_shape
from otreg.shapes import CellBlock, Shape
from otreg.transport import Sinkhorn

SHIFT = np.array([30.0, -10.0, 5.0])
STRETCH = np.array([[1.3, 0.2, 0.0], [0.2, 0.8, 0.1], [0.0, 0.1, 1.1]])  # symmetric, positive definite
FIELDS = ("displacement", "potential", "matched_mass", "overlap")


def ball(n=600, *, seed=0, d=3):
    """Points that fill a box of 6 x 4 x 2 file units, far from the origin."""
    points = np.random.default_rng(seed).uniform(-1, 1, (n, d)) * np.array([3.0, 2.0, 1.0])[:d]
    return points + np.array([100.0, 50.0, -20.0])[:d]


def moved(points, matrix=None):
    centre = points.mean(0)
    return (points - centre) @ (np.eye(3) if matrix is None else matrix) + centre + SHIFT


def write(path, points, cells=()):
    write_shape(Shape(points=points, cells=cells), path)
    return path


@pytest.fixture
def pair(tmp_path):
    points = ball()
    return write(tmp_path / "a.ply", points), write(tmp_path / "b.ply", moved(points, STRETCH))


def settings(**values):
    return load_settings(MapConfig, {"blur": "5%", **values})


def engine(source, target, *, sampling="vertices", reach=None):
    """The transport and its frame, without the job."""
    shapes = read_shape(source), read_shape(target)
    frame = Frame.of(shapes[1].points)
    measures = [measure_from_shape(shape, frame, sampling=sampling) for shape in shapes]
    return Sinkhorn(blur=0.05, reach=reach, map_tolerance=0)(*measures), frame


def expected_fields(found, frame):
    return {
        "displacement": found.displacement.numpy() * frame.scale,
        "potential": found.potential.numpy() * frame.scale**2,
        "matched_mass": found.matched_mass.numpy(),
        "overlap": found.overlap.numpy(),
    }


def assert_same_fields(data, expected, *, rtol=1e-9):
    for name, values in expected.items():
        assert data[name] == pytest.approx(values, rel=rtol, abs=rtol * np.abs(values).max()), name


def test_a_translation_is_the_map_everywhere(tmp_path):
    source, target = write(tmp_path / "a.ply", ball()), write(tmp_path / "b.ply", ball() + SHIFT)
    map_files(source, target, settings(), MapOutputs(tmp_path / "m.npz"))
    found = read_shape(tmp_path / "m.npz")
    assert np.array_equal(found.points, ball())
    assert found.point_data["displacement"] == pytest.approx(np.tile(SHIFT, (600, 1)), abs=1e-3 * np.linalg.norm(SHIFT))
    # grad F = -displacement, so that F falls by <x - y, shift> from y to x.
    rise = -(found.points - found.points[0]) @ SHIFT
    potential = found.point_data["potential"]
    assert potential - potential[0] == pytest.approx(rise, abs=1e-3 * np.ptp(rise))


def test_an_affine_map_is_found_up_to_the_blur(tmp_path):
    points = ball(4000)
    source, target = write(tmp_path / "a.ply", points), write(tmp_path / "b.ply", moved(points, STRETCH))
    map_files(source, target, settings(blur="2%", tolerance=1e-4), MapOutputs(tmp_path / "m.npz"))
    data = read_shape(tmp_path / "m.npz").point_data
    error = data["displacement"] - (moved(points, STRETCH) - points)
    assert np.sqrt((error**2).sum(1).mean()) < 0.02 * np.linalg.norm(SHIFT)
    assert data["matched_mass"] == pytest.approx(np.ones(4000))


@pytest.mark.parametrize("suffix", [".vtu", ".ply", ".npz"])
def test_every_layout_holds_the_fields_of_the_engine(tmp_path, pair, suffix):
    report = map_files(*pair, settings(), MapOutputs(tmp_path / f"m{suffix}"))
    transport, frame = engine(*pair)
    shape = read_shape(report.files["map"])
    assert np.array_equal(shape.points, read_shape(pair[0]).points)
    data = dict(shape.point_data)
    if suffix == ".ply":  # it has no vectors, only columns
        data["displacement"] = np.stack([data[f"displacement_{k}"] for k in range(3)], axis=1)
    assert_same_fields(data, expected_fields(transport.source_map, frame))


def test_cells_and_dimension_of_the_source_stay(tmp_path):
    corners = np.array([[0, 1, 2], [1, 2, 3]])
    source = write(tmp_path / "a.npz", ball(50, d=2), (CellBlock("triangle", corners),))
    target = write(tmp_path / "b.npz", ball(50, seed=1, d=2), (CellBlock("triangle", corners + 4),))
    map_files(source, target, settings(), MapOutputs(tmp_path / "m.npz", both=True))
    found = read_shape(tmp_path / "m.npz")
    assert found.dimension == 2 and np.array_equal(found.cells[0].indices, corners)
    with np.load(tmp_path / "m.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["target_cells_0_triangle"], corners + 4)
        assert arrays["target_displacement"].shape == (50, 2)


def test_both_directions_are_one_archive_or_two_files(tmp_path, pair):
    one = map_files(*pair, settings(), MapOutputs(tmp_path / "m.npz", both=True))
    two = map_files(*pair, settings(), MapOutputs(tmp_path / "m.vtu", both=True))
    assert one.files == {"map": tmp_path / "m.npz"}
    assert two.files == {"map": tmp_path / "m.vtu", "target_map": tmp_path / "m_target.vtu"}
    assert one.points == two.points == {"map": 600, "target_map": 600}
    transport, frame = engine(*pair)
    back = read_shape(two.files["target_map"])
    assert np.array_equal(back.points, read_shape(pair[1]).points)
    assert_same_fields(back.point_data, expected_fields(transport.target_map, frame))
    with np.load(tmp_path / "m.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["target_points"], back.points)
        for name in FIELDS:
            assert np.array_equal(arrays[f"target_{name}"], back.point_data[name]), name
            assert np.array_equal(arrays[name], read_shape(two.files["map"]).point_data[name]), name


@pytest.mark.parametrize(("text", "reach"), [("none", None), ("30%", 0.3), ("30%,none", (0.3, None))])
def test_the_map_at_other_points_is_that_of_the_engine_in_both_directions(tmp_path, pair, text, reach):
    places = write(tmp_path / "places.csv", ball(40, seed=7) + SHIFT / 2)
    map_files(*pair, settings(reach=text), MapOutputs(tmp_path / "m.npz", both=True), at=places)
    transport, frame = engine(*pair, reach=reach)
    points = read_shape(places).points
    at = torch.from_numpy(frame.to_frame(points))
    found = read_shape(tmp_path / "m.npz")
    assert np.array_equal(found.points, points)
    assert_same_fields(found.point_data, expected_fields(transport.at(at), frame))
    # The exchanged problem, solved from the start: the two agree as well as both have converged.
    measures = [measure_from_shape(read_shape(path), frame) for path in reversed(pair)]
    exchanged = reach[::-1] if isinstance(reach, tuple) else reach
    expected = Sinkhorn(blur=0.05, reach=exchanged, tolerance=1e-5, map_tolerance=0)(*measures).at(at)
    with np.load(tmp_path / "m.npz", allow_pickle=False) as arrays:
        fields = {name: arrays[f"target_{name}"] for name in ("displacement", "matched_mass")}
    wanted = expected_fields(expected, frame)
    assert_same_fields(fields, {name: wanted[name] for name in fields}, rtol=0.01)


def test_the_map_on_a_grid_is_that_of_the_engine_and_can_be_reshaped(tmp_path, pair):
    report = map_files(*pair, settings(grid=9), MapOutputs(tmp_path / "m.npz"))
    transport, frame = engine(*pair)
    grid = RegularGrid.around(read_shape(pair[0]).points, 9, max_points=10**6)
    found = read_shape(tmp_path / "m.npz")
    assert np.array_equal(found.points, grid.points())
    assert_same_fields(
        found.point_data, expected_fields(transport.at(torch.from_numpy(frame.to_frame(grid.points()))), frame)
    )
    record = report.record["grid"]
    lattice = found.points.reshape(*record["counts"], 3)
    assert lattice[1, 2, 1] == pytest.approx(np.array(record["origin"]) + record["spacing"] * np.array([1, 2, 1]))


def test_samples_stand_for_the_shapes_and_the_map_is_still_at_their_points(tmp_path, pair):
    report = map_files(*pair, settings(sampling="300"), MapOutputs(tmp_path / "m.npz", both=True))
    assert report.points == {"map": 600, "target_map": 600}
    transport, frame = engine(*pair, sampling=300)
    points = read_shape(pair[0]).points
    found = read_shape(tmp_path / "m.npz").point_data
    assert_same_fields(found, expected_fields(transport.at(torch.from_numpy(frame.to_frame(points))), frame))
    with np.load(tmp_path / "m.npz", allow_pickle=False) as arrays:
        back = arrays["target_displacement"]
    error = np.sqrt(((back + moved(points, STRETCH) - points) ** 2).sum(1).mean())
    assert error < 0.1 * np.linalg.norm(SHIFT)


def test_the_potentials_of_both_sides_give_the_divergence_in_squared_file_units(tmp_path, pair):
    report = map_files(*pair, settings(tolerance=1e-6), MapOutputs(tmp_path / "m.npz", both=True))
    with np.load(tmp_path / "m.npz", allow_pickle=False) as arrays:
        dual = arrays["potential"].mean() + arrays["target_potential"].mean()  # points of equal weight
    assert dual == pytest.approx(report.divergence.value, rel=1e-3)


def test_with_p_1_there_are_directions_and_potentials_in_file_units(tmp_path):
    source, target = write(tmp_path / "a.ply", ball(200)), write(tmp_path / "b.ply", ball(200) + SHIFT)
    report = map_files(source, target, settings(p="1", blur="0.5%"), MapOutputs(tmp_path / "m.npz", both=True))
    far = np.linalg.norm(SHIFT)
    assert report.divergence.value == pytest.approx(far, rel=0.02)
    assert report.record["divergence"]["unit"] == "file units; distance: file units"
    with np.load(tmp_path / "m.npz", allow_pickle=False) as arrays:
        assert not any("displacement" in name for name in arrays)
        for name, sign in (("direction", 1), ("target_direction", -1)):
            assert np.linalg.norm(arrays[name], axis=1).max() <= 2
            assert arrays[name].mean(0) @ SHIFT / far == pytest.approx(sign, abs=0.02)
        dual = arrays["potential"].mean() + arrays["target_potential"].mean()
    assert dual == pytest.approx(report.divergence.value, rel=1e-2)


def test_the_report_is_json_and_says_what_a_distance_says(tmp_path, pair):
    report = map_files(*pair, settings(), MapOutputs(tmp_path / "m.ply"))
    record = report.record
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    distance = distance_files(*pair, load_settings(DistanceConfig, {"blur": "5%"}))
    assert record["divergence"] == distance.record["divergence"]
    assert record["outputs"] == {"map": str(tmp_path / "m.ply")}
    assert list(record["inputs"]) == ["source", "target"]


def test_a_layout_that_is_named_wins_over_the_extension(tmp_path, pair):
    report = map_files(*pair, settings(), MapOutputs(tmp_path / "m.dat", both=True, format="ply"))
    assert report.files["target_map"] == tmp_path / "m_target.dat"
    for path in report.files.values():
        assert "overlap" in read_shape(path, format="ply").point_data


@pytest.mark.parametrize("name", ["m.obj", "m", "m.vtu.gz"])
def test_an_extension_that_holds_no_map_is_refused_with_those_that_do(tmp_path, name):
    with pytest.raises(ArgumentError, match=r"\.vtu, \.ply, \.npz"):
        MapOutputs(tmp_path / name)
    with pytest.raises(ArgumentError, match="'stl'"):
        MapOutputs(tmp_path / "m.ply", format="stl")


def test_inputs_and_existing_files_are_never_written_over(tmp_path, pair):
    before = [path.read_bytes() for path in pair]
    places = write(tmp_path / "places.npz", ball(5))
    (tmp_path / "m_target.ply").write_text("precious")
    for path in (*pair, places):
        with pytest.raises(OutputFileError, match="also an input"):
            map_files(*pair, settings(), MapOutputs(path, overwrite=True), at=places)
    with pytest.raises(OutputFileError, match=r"m_target\.ply: exists already"):
        map_files(*pair, settings(), MapOutputs(tmp_path / "m.ply", both=True))
    # The second output may be an input, even where the first is not.
    target = pair[1].rename(tmp_path / "n_target.ply")
    with pytest.raises(OutputFileError, match="also an input"):
        map_files(pair[0], target, settings(), MapOutputs(tmp_path / "n.ply", both=True, overwrite=True))
    assert [pair[0].read_bytes(), target.read_bytes()] == before
    assert not (tmp_path / "m.ply").exists() and not (tmp_path / "n.ply").exists()


def test_one_place_only_of_the_right_dimension_and_size(tmp_path, pair):
    places = write(tmp_path / "places.csv", ball(5, d=2))
    with pytest.raises(ArgumentError, match="at and grid exclude each other"):
        map_files(*pair, settings(grid=5), MapOutputs(tmp_path / "m.ply"), at=places)
    with pytest.raises(InputError, match=r"places\.csv: has 2 coordinates.*points of 3"):
        map_files(*pair, settings(), MapOutputs(tmp_path / "m.ply"), at=places)
    with pytest.raises(ArgumentError, match="at most 1000 points"):
        map_files(*pair, settings(grid=99), MapOutputs(tmp_path / "m.ply"), reading=Reading(max_points=1000))
    assert not (tmp_path / "m.ply").exists()


def test_cells_that_the_layout_cannot_hold_are_refused_before_the_work(tmp_path, monkeypatch):
    tetra = (CellBlock("tetra", np.array([[0, 1, 2, 3]])),)
    source, target = (write(tmp_path / name, ball(9), tetra) for name in ("a.npz", "b.npz"))
    monkeypatch.setattr(Sinkhorn, "__call__", lambda *_: pytest.fail("the work began"))
    with pytest.raises(OutputFileError, match="cannot hold tetrahedra"):
        map_files(source, target, settings(), MapOutputs(tmp_path / "m.ply"))


def test_a_source_without_extent_is_refused_before_its_grid(tmp_path, pair):
    source = write(tmp_path / "one.csv", np.ones((4, 3)))
    with pytest.raises(InputError, match="equal"):
        map_files(source, pair[1], settings(grid=5), MapOutputs(tmp_path / "m.ply"))
