"""Jobs as library functions: units, threads, refusals, and what is left behind when something fails."""

import json
import os
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from otreg.config import DistanceConfig, Length, MapConfig, RegisterConfig, load_settings
from otreg.errors import ArgumentError, FormatError, InputError, OutputFileError
from otreg.io import read_shape, write_json, write_shape
from otreg.jobs import (
    MapOutputs,
    Outputs,
    Reading,
    apply_transform,
    describe_file,
    distance_files,
    map_files,
    register_files,
)
from otreg.jobs.pair import thread_limit
from otreg.jobs.register import registration_settings
from otreg.measures import Frame
from otreg.models import Rigid, Transform
from otreg.shapes import Shape


def cloud(path, *, shift=(0.0, 0.0, 0.0), scale=1.0, n=200, d=3):
    points = np.random.default_rng(0).standard_normal((n, d)) * np.array([3.0, 2.0, 1.0])[:d]
    write_shape(Shape(points=(points + np.array(shift)[:d]) * scale), path)
    return path


def coarse(**values):
    return load_settings(RegisterConfig, {"blur": "8%", "iterations": 3, **values})


def test_lengths_become_fractions_of_the_diagonal_and_everything_else_is_passed_on():
    config = coarse(models="rigid,spline", blur="0.5", reach="4%", stiffness=2e-3, control_points=7, seed=5)
    settings = registration_settings(config, diagonal=50.0)
    assert (settings.blur, settings.reach) == (pytest.approx(0.01), pytest.approx(0.04))
    for name in ("models", "optimizer", "iterations", "tolerance", "seed", "reduction"):
        assert getattr(settings, name) == getattr(config, name)
    assert (settings.stiffness, settings.control_points) == (2e-3, 7)


def test_every_step_is_reported_while_it_happens(tmp_path):
    source, target = cloud(tmp_path / "a.ply"), cloud(tmp_path / "b.ply", shift=(1.0, 0, 0))
    steps = []
    report = register_files(source, target, coarse(), Outputs(shape=tmp_path / "c.ply"), on_step=steps.append)
    assert [step.index for step in steps] == [step["index"] for step in report.record["stages"][0]["steps"]]
    assert len(steps) >= 1


def test_a_shift_is_undone_and_the_divergence_is_left_in_file_units(tmp_path):
    source, target = cloud(tmp_path / "a.ply"), cloud(tmp_path / "b.ply", shift=(0.0, 2.0, 0.0))
    before = distance_files(source, target, DistanceConfig(reach=None))
    assert before.divergence.value == pytest.approx(2.0**2 / 2, rel=1e-4)
    report = register_files(source, target, coarse(), Outputs(shape=tmp_path / "c.ply"))
    assert np.abs(read_shape(tmp_path / "c.ply").points - read_shape(target).points).max() < 0.02
    assert report.divergence.value < 1e-3
    after = distance_files(tmp_path / "c.ply", target, load_settings(DistanceConfig, {"blur": "8%"}))
    assert after.divergence.value == pytest.approx(report.divergence.value, abs=1e-4)


@pytest.mark.parametrize("sampling", ["vertices", 4500])
def test_fields_of_a_registration_are_the_map_from_the_moved_shape_to_the_target(tmp_path, sampling):
    # Enough points that the transport works on cells; the target bulges, so that something is left to move.
    source = cloud(tmp_path / "a.ply", n=6000)
    points = read_shape(source).points
    points[:, 2] += 0.1 * points[:, 0] ** 2
    write_shape(Shape(points=points), tmp_path / "b.ply")
    values = {"blur": "4%", "reach": "8%", "sampling": sampling}
    files = register_files(
        source, tmp_path / "b.ply", load_settings(RegisterConfig, values), Outputs(directory=tmp_path / "out")
    ).files
    settings = load_settings(MapConfig, values)
    map_files(files["shape"], tmp_path / "b.ply", settings, MapOutputs(file=tmp_path / "map.npz"))
    found, exact = read_shape(files["fields"]).point_data, np.load(tmp_path / "map.npz")
    blur = settings.blur.in_frame(Frame.of(points).scale)
    way, wanted = found["brenier_displacement"], exact["displacement"]
    length = np.sqrt(np.square(wanted).sum(1).mean())
    assert length > 0.1 * blur
    assert np.sqrt(np.square(way - wanted).sum(1).mean()) < 0.01 * max(blur, length)
    assert np.abs(found["matched_mass"] - exact["overlap"]).max() < 0.02
    assert np.abs(found["potential"] - exact["potential"]).max() < 0.02 * np.ptp(exact["potential"])


def test_records_are_json(tmp_path):
    source = cloud(tmp_path / "a.ply")
    report = register_files(source, cloud(tmp_path / "b.ply"), coarse(), Outputs(directory=tmp_path / "out"))
    assert json.loads(json.dumps(report.record, allow_nan=False)) == report.record
    record = distance_files(source, source, DistanceConfig()).record
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    description = describe_file(source)
    assert json.loads(json.dumps(description, allow_nan=False)) == description


def test_plane_shapes_are_registered_in_the_plane(tmp_path):
    source, target = cloud(tmp_path / "a.csv", d=2), cloud(tmp_path / "b.csv", d=2, shift=(1.0, -1.0))
    report = register_files(source, target, coarse(), Outputs(directory=tmp_path / "out"))
    assert np.loadtxt(report.files["matrix"]).shape == (3, 3)
    assert np.abs(read_shape(report.files["shape"]).points - read_shape(target).points).max() < 0.02


def test_a_format_that_cannot_hold_the_shape_is_refused_before_the_work(tmp_path, sample_data):
    steps = []
    with pytest.raises(OutputFileError, match="cannot hold"):
        register_files(
            sample_data / "creature.ply",
            sample_data / "creature_bent.ply",
            coarse(),
            Outputs(shape=tmp_path / "out.csv"),
            on_step=steps.append,
        )
    assert steps == []
    assert list(tmp_path.iterdir()) == []


def test_threads_are_limited_inside_and_restored_after_even_when_something_fails():
    before = torch.get_num_threads(), numba.get_num_threads()
    with pytest.raises(ZeroDivisionError), thread_limit(1):
        assert (torch.get_num_threads(), numba.get_num_threads()) == (1, 1)
        raise ZeroDivisionError
    assert (torch.get_num_threads(), numba.get_num_threads()) == before
    with pytest.raises(ArgumentError, match="threads must be at most"), thread_limit(100_000):
        pytest.fail("the block must not run")


def write_transform(path, d):
    model = Rigid.start(torch.zeros(2, d, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    theta = torch.linspace(0.1, 0.4, model.parameter_count, dtype=torch.float64)
    transform = Transform(model.with_parameters(theta), Frame((100.0,) * d, 10.0))
    write_json(path, transform.to_dict())
    return transform


def test_apply_keeps_map_coordinates_to_the_micrometre(tmp_path):
    transform = write_transform(tmp_path / "t.json", 3)
    source = cloud(tmp_path / "a.ply", shift=(5e5, 4e6, 100.0))
    apply_transform(tmp_path / "t.json", source, tmp_path / "b.ply")
    moved, before = read_shape(tmp_path / "b.ply").points, read_shape(source).points
    matrix = transform.matrix()
    exact = (before.astype(np.longdouble) @ matrix[:3, :3].T.astype(np.longdouble)) + matrix[:3, 3]
    assert np.abs(moved - exact).max() < 1e-6


def test_apply_refuses_points_of_another_dimension_with_both_numbers(tmp_path):
    write_transform(tmp_path / "t.json", 2)
    with pytest.raises(InputError, match=r"a\.ply: has 3 coordinates.*points of 2"):
        apply_transform(tmp_path / "t.json", cloud(tmp_path / "a.ply"), tmp_path / "b.ply")
    assert not (tmp_path / "b.ply").exists()


def test_apply_refuses_to_write_over_its_inputs(tmp_path):
    write_transform(tmp_path / "t.json", 3)
    source = cloud(tmp_path / "a.ply")
    for output in (source, tmp_path / "t.json"):
        with pytest.raises(OutputFileError, match="also an input"):
            apply_transform(tmp_path / "t.json", source, output, overwrite=True)


def test_a_shape_is_no_transform(tmp_path):
    source = cloud(tmp_path / "a.ply")
    with pytest.raises(FormatError, match=r"a\.ply"):
        apply_transform(source, source, tmp_path / "b.ply")


def test_reading_choices_reach_the_reader(tmp_path):
    (tmp_path / "points.dat").write_text("x,y,z\n0,0,0\nnan,0,0\n1,1,1\n")
    with pytest.raises(InputError):
        describe_file(tmp_path / "points.dat", reading=Reading(format="table"))
    assert describe_file(tmp_path / "points.dat", reading=Reading(format="table", drop_invalid=True))["points"] == 2
    with pytest.raises(InputError, match="--max-points"):
        describe_file(tmp_path / "points.dat", reading=Reading(format="table", drop_invalid=True, max_points=1))


def test_a_blur_in_file_units_means_the_same_as_its_share_of_the_diagonal(tmp_path):
    source, target = cloud(tmp_path / "a.ply"), cloud(tmp_path / "b.ply", shift=(0.5, 0.3, 0.0))
    diagonal = describe_file(target)["diagonal"]
    share = distance_files(source, target, DistanceConfig(blur=Length(0.05, "diagonal")))
    units = distance_files(source, target, DistanceConfig(blur=Length(0.05 * diagonal, "file")))
    assert units.divergence.value == pytest.approx(share.divergence.value, rel=1e-9)


def test_warnings_say_which_file_they_are_about(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,y,z\n0,0,0\nnan,0,0\n1,1,1\n2,0,1\n")
    paths = tmp_path / "a.csv", tmp_path / "b.csv"
    reading = Reading(drop_invalid=True)
    report = register_files(*paths, coarse(), Outputs(shape=tmp_path / "c.csv"), reading=reading)
    for warnings in (report.warnings, distance_files(*paths, DistanceConfig(), reading=reading).warnings):
        assert [warning.split(": ")[0] for warning in warnings] == [str(path) for path in paths]
    write_transform(tmp_path / "t.json", 3)
    [warning] = apply_transform(tmp_path / "t.json", paths[0], tmp_path / "d.csv", reading=reading).warnings
    assert warning.startswith(f"{paths[0]}: 1 point")


def test_names_that_are_no_unicode_are_kept_in_the_report(tmp_path):
    source = cloud(tmp_path / "a.ply").rename(Path(os.fsdecode(os.fsencode(tmp_path) + b"/l\xe4tin.ply")))
    report = register_files(source, cloud(tmp_path / "b.ply"), coarse(), Outputs(directory=tmp_path / "out"))
    record = json.loads(report.files["report"].read_text(encoding="utf-8"))
    assert record == report.record
    assert Path(record["inputs"]["source"]["path"]) == source
