"""Transforms: file units, map coordinates of millions, and the dictionary that transform.json holds."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from otreg.errors import ArgumentError, FormatError, InputError
from otreg.measures import Frame
from otreg.models import Affine, Rigid, Spline, Transform
from tests.models.generators import LINEAR, random_linear, random_shape

UTM = Frame((512_345.678, 4_123_456.789, 431.25), 1234.5)
EVERY_LINEAR = pytest.mark.parametrize("model", LINEAR, ids=lambda model: model.name)


def utm_points(n=50):
    return UTM.to_file(random_shape(0, dimension=3, n=n)[0].numpy())


def spline_transform():
    points, weights = random_shape(0, dimension=3)
    start = Spline.start(points, weights, control_points=10)
    return Transform(start.fit(points, points + 0.1 * torch.sin(8 * points), weights), UTM, {"otreg": "0.1.0"})


def linear_transform(model=Rigid):
    return Transform(random_linear(model, 1, dimension=3), UTM, {"otreg": "0.1.0"})


def as_written(transform):
    return json.loads(json.dumps(transform.to_dict(), allow_nan=False))


@EVERY_LINEAR
def test_matrix_moves_map_coordinates_like_the_transform(model):
    transform, points = linear_transform(model), utm_points()
    matrix = transform.matrix()
    moved = np.c_[points, np.ones(len(points))] @ matrix.T
    assert np.array_equal(moved[:, 3], np.ones(len(points)))
    assert np.abs(moved[:, :3] - transform(points)).max() < 1e-6  # file units, at 4e6


def test_a_known_turn_in_map_coordinates_keeps_a_micrometre():
    quarter = Rigid(
        torch.zeros(3).double(), torch.tensor([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]]).double(), torch.zeros(3).double()
    )
    x, y, z = UTM.origin
    moved = Transform(quarter, UTM)(np.array([[x + 10, y + 20, z + 30], [x, y, z]]))
    assert np.abs(moved - [[x - 20, y + 10, z + 30], [x, y, z]]).max() < 1e-6


@EVERY_LINEAR
def test_inverse_comes_back_and_says_its_direction(model):
    transform, points = linear_transform(model), utm_points()
    inverse = transform.inverse()
    assert np.abs(inverse(transform(points)) - points).max() < 1e-6
    assert inverse.direction == "target_to_source" and inverse.inverse().direction == "source_to_target"
    assert as_written(inverse)["direction"] == "target_to_source"
    assert Transform.from_dict(as_written(inverse)).direction == "target_to_source"


def test_a_spline_has_neither_matrix_nor_inverse():
    transform = spline_transform()
    assert transform.matrix() is None and "matrix" not in transform.to_dict()
    with pytest.raises(
        ArgumentError, match="only rigid, similarity and affine transforms have an inverse; got a spline"
    ):
        transform.inverse()


@pytest.mark.parametrize("make", [linear_transform, spline_transform])
def test_jacobian_agrees_with_differences_in_file_units(make):
    transform, points, step = make(), utm_points(8), 0.05
    jacobian = transform.jacobian(points)
    for b in range(3):
        shift = step * np.eye(3)[b]
        difference = (transform(points + shift) - transform(points - shift)) / (2 * step)
        assert np.abs(jacobian[:, :, b] - difference).max() < 1e-5  # units in the last place of 4e6, over the step


@pytest.mark.parametrize("make", [*(lambda m=m: linear_transform(m) for m in LINEAR), spline_transform])
def test_round_trip_through_json_is_exact(make):
    transform, points = make(), utm_points()
    after = Transform.from_dict(as_written(transform))
    assert np.array_equal(after(points), transform(points))
    assert after.to_dict() == transform.to_dict()
    assert after.provenance == {"otreg": "0.1.0"}


def test_points_of_another_dimension_are_refused_by_both_numbers():
    with pytest.raises(InputError, match="3-D transform moves points of 3 coordinates; got 2"):
        linear_transform()(np.zeros((5, 2)))
    flat = Transform(random_linear(Affine, 0, dimension=2), Frame((0.0, 0.0), 1.0))
    for method in (flat, flat.jacobian):
        with pytest.raises(InputError, match="2-D transform moves points of 2 coordinates; got 3"):
            method(np.zeros((5, 3)))
    with pytest.raises(InputError, match=r"got shape \(2,\)"):
        flat(np.zeros(2))


def test_read_only_and_single_precision_points_are_fine():
    transform, points = linear_transform(), utm_points().astype(np.float32)
    points.flags.writeable = False
    assert np.array_equal(transform(points), transform(points.astype(np.float64)))
    assert transform(points[:0]).shape == (0, 3)


def test_model_and_frame_must_agree():
    with pytest.raises(ArgumentError, match="one dimension; got 2 and 3"):
        Transform(random_linear(Rigid, 0, dimension=2), UTM)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", "ply", "'format' of a transform must be 'otreg-transform'; got 'ply'"),
        ("version", 2, "'version' must be 1, which this otreg reads; got 2"),
        ("version", True, "'version' must be 1.*got True"),
        ("direction", "sideways", "'direction' must be 'source_to_target' or 'target_to_source'; got 'sideways'"),
        ("direction", ["a"], "'direction' must be.*got a list of 1"),
        ("dimension", 2, "'dimension' must be the model's, 3; got 2"),
        ("frame", [0, 1], "JSON object; got a list of 2"),
        ("frame.origin", [0.0, 1.0], "'origin' must be a list of 3 numbers; got a list of 2"),
        ("frame.origin", [0.0, 1.0, math.inf], r"'origin\[2\]' must be a finite number; got inf"),
        ("frame.scale", 0, "'scale' must be positive; got 0"),
        ("frame.scale", "1", "'scale' must be a finite number; got '1'"),
        ("model", None, "'name' must be a key of a JSON object; got None"),
        ("model.name", "banana", "'name' of a model must be one of"),
        ("model.name", {}, "'name' of a model must be one of.*got an object"),
        ("matrix", [[1.0]], "'matrix' must be a list of 4 rows of 4 numbers; got a list of 1"),
        ("matrix", np.eye(4).tolist(), "'matrix' and 'model' must be the same map"),
        ("provenance", 3, "'provenance' must be an object; got 3"),
    ],
)
def test_a_broken_file_is_one_clear_line(path, value, message):
    data = as_written(linear_transform())
    Transform.from_dict(data)
    *parents, key = path.split(".")
    inside = data
    for parent in parents:
        inside = inside[parent]
    inside[key] = value
    with pytest.raises(FormatError, match=message) as caught:
        Transform.from_dict(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["format", "version", "direction", "dimension", "frame", "model", "matrix"])
def test_a_missing_key_is_named(key):
    data = as_written(linear_transform())
    del data[key]
    with pytest.raises(FormatError, match=f"key '{key}' is missing"):
        Transform.from_dict(data)


def test_numbers_that_overflow_are_refused_without_a_warning():
    data = as_written(linear_transform(Affine))
    data["model"]["matrix"] = [[1e308, 1e308, 0.0], [0.0, 1e308, 0.0], [0.0, 0.0, 1e308]]
    with pytest.raises(FormatError, match="same map"):
        Transform.from_dict(data)


@pytest.mark.parametrize("corner", range(4))
def test_an_edited_matrix_is_noticed_wherever_it_was_edited(corner):
    data = as_written(linear_transform())
    data["matrix"][corner][3] += 0.1
    with pytest.raises(FormatError, match="same map"):
        Transform.from_dict(data)


def test_a_spline_with_a_matrix_is_refused():
    data = as_written(spline_transform())
    data["matrix"] = np.eye(4).tolist()
    with pytest.raises(FormatError, match="'matrix' belongs to linear models only; this one is a spline"):
        Transform.from_dict(data)


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(FormatError, match="JSON object"):
        Transform.from_dict(data)
