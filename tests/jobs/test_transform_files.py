"""Transforms as files, and what moves with them: inverses, compositions, ITK, landmarks in RAS and in LPS."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from otreg.config import DistanceConfig, MapConfig, RegisterConfig, load_settings
from otreg.errors import ArgumentError, FormatError, InputError, NotConvergedError, OutputFileError
from otreg.io import read_shape, write_itk, write_json, write_matrix, write_shape
from otreg.jobs import (
    MapOutputs,
    Outputs,
    apply_transform,
    compose_transforms,
    distance_files,
    invert_transform,
    map_files,
    register_files,
)
from otreg.jobs.transform_files import read_transform
from otreg.measures import Frame
from otreg.models import Rigid, Spline, Transform
from otreg.shapes import Shape
from tests.models.generators import random_linear, random_shape

FRAME = Frame((100.0, -50.0, 30.0), 200.0)
POINTS = FRAME.to_file(random_shape(3, dimension=3)[0].numpy())
FLIP = np.array([-1.0, -1.0, 1.0])


def spline(*, bend=0.05):
    points, weights = random_shape(0, dimension=3)
    return Transform(
        Spline.start(points, weights, control_points=12).fit(points, points + bend * torch.sin(8 * points), weights),
        FRAME,
    )


def rigid(seed=1, space=""):
    return Transform(random_linear(Rigid, seed, dimension=3), FRAME, space=space)


def saved(transform, path):
    write_json(path, transform.to_dict())
    return path


def cloud(path, points=POINTS, space=""):
    names = np.array([f"p{k}" for k in range(len(points))])
    write_shape(Shape(points, point_data={"label": names}, space=space), path)
    return path


def test_apply_takes_json_text_and_itk_alike(tmp_path):
    transform = rigid(space="LPS")
    saved(transform, tmp_path / "t.json")
    write_matrix(tmp_path / "t.txt", transform.matrix())
    compose_transforms([tmp_path / "t.json"], tmp_path / "t.tfm")
    points = cloud(tmp_path / "a.csv")
    for name in ("t.json", "t.txt", "t.tfm"):
        apply_transform(tmp_path / name, points, tmp_path / f"{name}.csv", frame="LPS")
        assert np.abs(read_shape(tmp_path / f"{name}.csv").points - transform(POINTS)).max() < 1e-10


def test_itk_files_hold_the_inverse_point_map_in_lps(tmp_path):
    transform = rigid(space="RAS")
    saved(transform, tmp_path / "t.json")
    compose_transforms([tmp_path / "t.json"], tmp_path / "t.tfm")
    itk = sitk.ReadTransform(str(tmp_path / "t.tfm"))
    for before, after in zip(POINTS, transform(POINTS), strict=True):
        # From the target to the source, with x and y turned round.
        assert np.array(itk.TransformPoint((after * FLIP).tolist())) == pytest.approx(before * FLIP, abs=1e-9)


def test_an_itk_file_of_simpleitk_moves_landmarks_as_it_says(tmp_path):
    itk = sitk.Euler3DTransform((1, 2, 3), 0.1, 0.2, 0.3, (4, 5, 6))
    sitk.WriteTransform(itk, str(tmp_path / "t.tfm"))
    for space, flip in (("LPS", np.ones(3)), ("RAS", FLIP)):
        apply_transform(
            tmp_path / "t.tfm", cloud(tmp_path / f"{space}.mrk.json", space=space), tmp_path / f"{space}.json"
        )
        moved = read_shape(tmp_path / f"{space}.json")
        assert moved.space == space
        inverse = [itk.GetInverse().TransformPoint((p * flip).tolist()) for p in POINTS]
        assert np.abs(moved.points * flip - inverse).max() < 1e-9


def test_frames_are_never_guessed(tmp_path):
    silent, ras = saved(rigid(), tmp_path / "silent.json"), saved(rigid(space="RAS"), tmp_path / "ras.json")
    table, lps = cloud(tmp_path / "a.csv"), cloud(tmp_path / "a.mrk.json", space="LPS")
    out = tmp_path / "out.csv"
    with pytest.raises(InputError, match=r"silent\.json: does not say.*a\.mrk\.json is in LPS.*--frame none"):
        apply_transform(silent, lps, out)
    with pytest.raises(InputError, match=r"a\.csv: does not say.*ras\.json is in RAS"):
        apply_transform(ras, table, out)
    with pytest.raises(ArgumentError, match="frame must be none, RAS or LPS; got 'ras'"):
        apply_transform(ras, table, out, frame="ras")
    assert not out.exists()
    expected = {
        (silent, table, None): rigid()(POINTS),
        (ras, table, "RAS"): rigid()(POINTS),
        (ras, table, "none"): rigid()(POINTS),
        (ras, table, "LPS"): rigid()(POINTS * FLIP) * FLIP,
        (ras, lps, None): rigid()(POINTS * FLIP) * FLIP,
        (silent, lps, "RAS"): rigid()(POINTS * FLIP) * FLIP,
        (silent, lps, "LPS"): rigid()(POINTS),
        (silent, lps, "none"): rigid()(POINTS),
    }
    for (transform, points, frame), moved in expected.items():
        out = points.with_name("out" + points.name.removeprefix("a"))
        apply_transform(transform, points, out, frame=frame, overwrite=True)
        assert np.abs(read_shape(out).points - moved).max() < 1e-9, (transform, points, frame)


def test_a_registration_remembers_where_the_axes_of_its_files_point(tmp_path):
    for name, space in (("a", "RAS"), ("b", "RAS"), ("c", "LPS")):
        write_shape(Shape(POINTS, space=space), tmp_path / f"{name}.mrk.json")
    a, b, c = (tmp_path / f"{name}.mrk.json" for name in "abc")
    config = load_settings(RegisterConfig, {"models": "rigid", "blur": "10%"})
    report = register_files(a, b, config, Outputs(directory=tmp_path / "out"))
    assert read_transform(report.files["transform"]).space == "RAS"
    apply_transform(report.files["transform"], a, tmp_path / "again.mrk.json")
    again, moved = read_shape(tmp_path / "again.mrk.json"), read_shape(report.files["shape"])
    assert np.array_equal(again.points, moved.points) and moved.space == "RAS"
    with pytest.raises(InputError, match=r"c\.mrk\.json: is in LPS, but .*a\.mrk\.json in RAS"):
        register_files(a, c, config, Outputs(directory=tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_files_that_say_that_their_axes_point_elsewhere_are_not_compared(tmp_path):
    for name, space in (("a", "RAS"), ("b", "RAS"), ("c", "LPS")):
        write_shape(Shape(POINTS, space=space), tmp_path / f"{name}.mrk.json")
    a, b, c = (tmp_path / f"{name}.mrk.json" for name in "abc")
    said = r"c\.mrk\.json: is in LPS, but .*a\.mrk\.json in RAS"
    with pytest.raises(InputError, match=said):
        distance_files(a, c, load_settings(DistanceConfig, {"blur": "10%"}))
    outputs = MapOutputs(tmp_path / "map.npz")
    with pytest.raises(InputError, match=said):
        map_files(a, c, load_settings(MapConfig, {"blur": "10%"}), outputs)
    with pytest.raises(InputError, match=said):
        map_files(a, b, load_settings(MapConfig, {"blur": "10%"}), outputs, at=c)
    assert not outputs.file.exists()


def test_a_start_is_turned_round_where_only_the_target_says_where_axes_point(tmp_path):
    c, s = np.cos(2.0), np.sin(2.0)
    turn = np.array([[1, 0, 0, 20], [0, c, -s, 10], [0, s, c, 5], [0, 0, 0, 1.0]])  # about x: in LPS the other way
    write_shape(Shape(POINTS), tmp_path / "a.npy")
    write_shape(Shape(POINTS @ turn[:3, :3].T + turn[:3, 3], space="RAS"), tmp_path / "b.mrk.json")
    flip = np.diag([*FLIP, 1.0])
    write_itk(tmp_path / "start.tfm", np.linalg.inv(flip @ turn @ flip))
    settings = {"models": "rigid", "blur": "3%", "init": str(tmp_path / "start.tfm")}
    config = load_settings(RegisterConfig, settings)
    report = register_files(tmp_path / "a.npy", tmp_path / "b.mrk.json", config, Outputs(directory=tmp_path / "out"))
    assert report.record["stages"][0]["steps"][0]["move"] < 1e-3  # in diagonals: it was there already
    assert np.abs(np.loadtxt(report.files["matrix"]) - turn)[:3, :3].max() < 1e-3


def test_normals_turn_with_a_map_in_the_other_frame(tmp_path):
    normals = np.random.default_rng(0).normal(size=POINTS.shape).astype(np.float64)
    write_shape(Shape(POINTS, point_data={"normals": normals}), tmp_path / "a.npz")
    apply_transform(saved(rigid(space="RAS"), tmp_path / "t.json"), tmp_path / "a.npz", tmp_path / "b.npz", frame="LPS")
    turn = np.diag(FLIP) @ rigid().matrix()[:3, :3] @ np.diag(FLIP)
    assert np.abs(read_shape(tmp_path / "b.npz").point_data["normals"] - normals @ turn.T).max() < 1e-9


@pytest.mark.parametrize("make", [rigid, spline])
def test_apply_inverse_and_invert_undo_a_transform(tmp_path, make):
    saved(make(), tmp_path / "t.json")
    start = cloud(tmp_path / "a.csv")
    apply_transform(tmp_path / "t.json", start, tmp_path / "b.csv")
    back = apply_transform(tmp_path / "t.json", tmp_path / "b.csv", tmp_path / "c.csv", inverse=True)
    assert np.abs(read_shape(tmp_path / "c.csv").points - POINTS).max() < 1e-6
    assert (back.residual is None) == (make is rigid)
    written = invert_transform(tmp_path / "t.json", tmp_path / "inverse.json")
    assert written.linear == (make is rigid) and (written.residual is None) == (make is rigid)
    again = apply_transform(tmp_path / "inverse.json", tmp_path / "b.csv", tmp_path / "d.csv")
    assert np.array_equal(read_shape(tmp_path / "d.csv").points, read_shape(tmp_path / "c.csv").points)
    if make is spline:
        assert 0 <= back.residual <= 1e-9 * FRAME.scale and again.residual == back.residual
    inverse = json.loads((tmp_path / "inverse.json").read_text())
    assert inverse["direction"] == "target_to_source"
    assert len(inverse["provenance"]["inverse of"]["sha256"]) == 64


def test_a_spline_that_folds_is_not_inverted(tmp_path):
    saved(spline(bend=3.0), tmp_path / "t.json")
    far = cloud(tmp_path / "a.csv", POINTS * 10)
    with pytest.raises(NotConvergedError, match="inverse of the spline was not found"):
        apply_transform(tmp_path / "t.json", far, tmp_path / "b.csv", inverse=True)
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize("suffix", [".json", ".txt", ".tfm"])
def test_compose_of_linear_maps_is_one_matrix(tmp_path, suffix):
    first, second = saved(rigid(1), tmp_path / "a.json"), saved(rigid(2), tmp_path / "b.json")
    out = tmp_path / f"c{suffix}"
    assert compose_transforms([first, second], out, frame="RAS").linear
    both = read_transform(out)
    points = POINTS * FLIP if suffix == ".tfm" else POINTS
    moved = both(points) * FLIP if suffix == ".tfm" else both(points)
    assert np.abs(moved - rigid(2)(rigid(1)(POINTS))).max() < 1e-9
    assert both.space == {".json": "RAS", ".txt": "", ".tfm": "LPS"}[suffix]


def test_compose_brings_transforms_into_the_frame_of_the_first(tmp_path):
    first, second = saved(rigid(1, "RAS"), tmp_path / "a.json"), saved(rigid(2, "LPS"), tmp_path / "b.json")
    compose_transforms([first, second], tmp_path / "c.json")
    both = read_transform(tmp_path / "c.json")
    assert both.space == "RAS"
    assert np.abs(both(POINTS) - rigid(2)(rigid(1)(POINTS) * FLIP) * FLIP).max() < 1e-9
    with pytest.raises(InputError, match=r"a\.txt: does not say"):
        write_matrix(tmp_path / "a.txt", np.eye(4))
        compose_transforms([first, tmp_path / "a.txt"], tmp_path / "d.json")


def test_compose_with_a_spline_is_a_chain_that_moves_as_both(tmp_path):
    paths = [saved(rigid(), tmp_path / "a.json"), saved(spline(), tmp_path / "b.json")]
    assert not compose_transforms(paths, tmp_path / "c.json").linear
    assert np.array_equal(read_transform(tmp_path / "c.json")(POINTS), spline()(rigid()(POINTS)))
    for name in ("c.txt", "c.tfm"):
        with pytest.raises(OutputFileError, match=r"not linear has no matrix; write it as .json"):
            compose_transforms(paths, tmp_path / name, frame="RAS")
        assert not (tmp_path / name).exists()


def test_what_cannot_be_written_is_refused(tmp_path):
    source = saved(rigid(), tmp_path / "t.json")
    with pytest.raises(OutputFileError, match="also an input"):
        invert_transform(source, source, overwrite=True)
    with pytest.raises(OutputFileError, match=r"written as one of .json .txt .mat .tfm; got '.xml'"):
        invert_transform(source, tmp_path / "a.xml")
    with pytest.raises(OutputFileError, match="--frame RAS or --frame LPS"):
        invert_transform(source, tmp_path / "a.tfm")
    with pytest.raises(ArgumentError, match="at least 1"):
        compose_transforms([], tmp_path / "a.json")
    write_matrix(tmp_path / "flat.txt", np.diag([1.0, 1, 0, 1]))
    with pytest.raises(FormatError, match="this matrix has none"):
        compose_transforms([tmp_path / "flat.txt"], tmp_path / "a.tfm", frame="RAS")
    with pytest.raises(ArgumentError, match="rank"):
        invert_transform(tmp_path / "flat.txt", tmp_path / "a.json")
    write_matrix(tmp_path / "plane.txt", np.eye(3))
    with pytest.raises(InputError, match=r"plane\.txt: moves points of 2 coordinates"):
        compose_transforms([source, tmp_path / "plane.txt"], tmp_path / "a.json")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "1 2 3\n", "a transform matrix is 4 rows"),
        ("a.txt", "1 0 0 0\n0 1 0 0\n0 0 1 0\n1 0 0 1\n", "last row of a matrix"),
        ("a.json", "{", "not valid JSON"),
        ("a.txt", '{"format": "ply"}', "'format' of a transform"),
        ("a.tfm", "#Insight Transform File V1.0\n", "holds no transform"),
        (
            "a.tfm",
            "#Insight Transform File V1.0\nTransform: AffineTransform_double_2_2\nParameters: 0 0 0 0 0 0\n",
            "none",
        ),
    ],
)
def test_broken_transform_files_are_one_line_with_the_name(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError) as caught:
        read_transform(tmp_path / name)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).count(str(tmp_path / name)) == 1


def test_real_landmarks_move_with_the_bone(tmp_path, shared_data: Path):
    folder = shared_data / "medical" / "statismo_hands_femurs" / "femur_meshes"
    bone = read_shape(folder / "VSD001_femur.vtk").points
    transform = Transform(random_linear(Rigid, 5, dimension=3), Frame.of(bone))
    saved(transform, tmp_path / "t.json")
    apply_transform(tmp_path / "t.json", folder / "VSD001-lm.csv", tmp_path / "lm.csv")
    landmarks, moved = read_shape(folder / "VSD001-lm.csv"), read_shape(tmp_path / "lm.csv")
    assert np.abs(moved.points - transform(landmarks.points)).max() < 1e-12
    names = [next(iter(s.point_data.values())).tolist() for s in (landmarks, moved)]
    assert names[0] == names[1] == ["A", "B", "C", "D", "E", "F"][: len(names[0])]
    hand = shared_data / "medical" / "statismo_hands_femurs" / "hand_landmarks" / "hand-1.fcsv"
    apply_transform(tmp_path / "t.json", hand, tmp_path / "hand.fcsv")
    assert np.abs(read_shape(tmp_path / "hand.fcsv").points - transform(read_shape(hand).points)).max() < 1e-9
    # From a table without a frame to landmarks that state one.
    apply_transform(tmp_path / "t.json", folder / "VSD001-lm.csv", tmp_path / "lm.mrk.json", frame="RAS")
    slicer = read_shape(tmp_path / "lm.mrk.json")
    assert slicer.space == "RAS" and np.array_equal(slicer.points, moved.points)
