"""Chains: several transforms as one map, forwards and backwards, in one space or the other."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from otreg.errors import ArgumentError, FormatError, NotConvergedError
from otreg.measures import Frame
from otreg.models import Affine, Rigid, Spline, Transform
from otreg.models.basis import KernelBasis
from otreg.models.chain import (
    Chain,
    compose,
    in_space,
    inverse_of,
    map_from_dict,
    preimage_residual,
    transform_of_matrix,
    with_space,
)
from otreg.models.gaussians import Gaussians
from tests.models.generators import random_linear, random_shape

UTM = Frame((512_345.678, 4_123_456.789, 431.25), 1234.5)
NEAR = Frame((1.0, -2.0, 3.0), 20.0)


def points_of(frame=NEAR, n=50):
    return frame.to_file(random_shape(3, dimension=3, n=n)[0].numpy())


def spline(frame=NEAR, *, bend=0.05):
    points, weights = random_shape(0, dimension=3)
    start = Spline.start(points, weights, control_points=12, stiffness=0.03)
    return Transform(start.fit(points, points + bend * torch.sin(8 * points), weights), frame)


def linear(model=Rigid, frame=NEAR, seed=1):
    return Transform(random_linear(model, seed, dimension=3), frame)


def through_json(point_map):
    return map_from_dict(json.loads(json.dumps(point_map.to_dict(), allow_nan=False)))


MAPS = {
    "rigid": linear,
    "spline": spline,
    "spline, rigid": lambda: compose(spline(), linear()),
    "rigid, inverse spline": lambda: compose(linear(Rigid), inverse_of(spline())),
    "affine, spline, spline": lambda: compose(compose(linear(Affine), spline()), spline(bend=0.02)),
}
EVERY_MAP = pytest.mark.parametrize("make", MAPS.values(), ids=MAPS)


@EVERY_MAP
def test_the_inverse_comes_back_and_reports_what_is_left(make):
    point_map, points = make(), points_of()
    back, residual = inverse_of(point_map).moved(point_map(points))
    assert np.abs(back - points).max() < 1e-6
    assert 0 <= residual < 1e-7
    again = inverse_of(inverse_of(point_map))
    assert np.abs(again(points) - point_map(points)).max() < 1e-9
    assert (again.direction, inverse_of(point_map).direction) == ("source_to_target", "target_to_source")


@EVERY_MAP
def test_round_trip_through_json_is_exact(make):
    point_map, points = with_space(make(), "LPS"), points_of()
    after = through_json(point_map)
    assert type(after) is type(point_map) and after.to_dict() == point_map.to_dict()
    assert after.space == "LPS" and np.array_equal(after(points), point_map(points))


@EVERY_MAP
def test_jacobian_agrees_with_differences(make):
    point_map, points, step = make(), points_of(n=6), 1e-4
    jacobian = point_map.jacobian(points)
    for b in range(3):
        shift = step * np.eye(3)[b]
        difference = (point_map(points + shift) - point_map(points - shift)) / (2 * step)
        assert np.abs(jacobian[:, :, b] - difference).max() < 1e-5


def test_the_first_moves_first():
    turn, bend, points = linear(Affine), spline(), points_of()
    assert np.array_equal(compose(bend, turn)(points), turn(bend(points)))
    both = compose(turn, linear(Rigid, seed=2))
    assert isinstance(both, Transform)
    assert np.abs(both(points) - linear(Rigid, seed=2)(turn(points))).max() < 1e-12 * np.abs(points).max() * 100


def test_linear_maps_keep_a_micrometre_in_map_coordinates():
    first, second, points = linear(Rigid, UTM), linear(Rigid, UTM, seed=2), points_of(UTM)
    both = compose(first, second)
    assert np.abs(both(points) - second(first(points))).max() < 1e-6
    assert np.abs(inverse_of(both)(both(points)) - points).max() < 1e-6
    # Backwards steps of a chain, too, whose frame is not that of the points.
    back = inverse_of(compose(both, spline(UTM)))
    assert np.abs(back(spline(UTM)(both(points))) - points).max() < 1e-5


def test_a_map_in_the_other_space_turns_x_and_y_round():
    flip = np.array([-1.0, -1.0, 1.0])
    for make in MAPS.values():
        point_map, points = with_space(make(), "RAS"), points_of()
        turned = in_space(point_map, "LPS")
        assert turned.space == "LPS"
        assert np.abs(turned(points * flip) - point_map(points) * flip).max() < 1e-9
        assert in_space(point_map, "RAS") is point_map and in_space(make(), "LPS").space == ""


def test_a_spline_that_folds_has_no_inverse_and_says_where():
    folded = inverse_of(spline(bend=3.0))
    with pytest.raises(NotConvergedError, match=r"the inverse of the spline was not found at \d+ of \d+ points: point"):
        folded.moved(points_of() * 10)
    with pytest.raises(NotConvergedError, match=r"puts \d+ of its 12 control points elsewhere"):
        preimage_residual(folded)


def test_a_preimage_where_the_spline_turns_inside_out_is_refused():
    # phi(x) = x - 1.5 x exp(-x^2 / 2 h^2) on one axis: its slope at 0 is -1/2, and 0 goes to 0.
    h = 0.1
    basis = KernelBasis(torch.tensor([[-1e-3, 0, 0], [1e-3, 0, 0]]).double(), Gaussians((h,)))
    amount = 1.5 * h**2 / 2e-3
    coefficients = torch.tensor([[amount, 0, 0], [-amount, 0, 0]]).double()
    identity = Affine(torch.zeros(3).double(), torch.eye(3).double(), torch.zeros(3).double())
    folded = inverse_of(Transform(Spline(identity, basis, coefficients), Frame((0.0, 0.0, 0.0), 1.0)))
    with pytest.raises(NotConvergedError, match=r"folds at 1 of 2 points, the first of them point 1"):
        folded.moved(np.array([[5.0, 0, 0], [0.0, 0, 0]]))


def test_the_residual_at_the_control_points_is_that_of_the_inverse():
    assert preimage_residual(spline()) is None and preimage_residual(inverse_of(linear())) is None
    residual = preimage_residual(inverse_of(spline()))
    assert residual is not None and 0 <= residual <= 1e-9 * NEAR.scale


def test_transforms_of_different_dimension_are_refused():
    flat = transform_of_matrix(np.eye(3))
    with pytest.raises(ArgumentError, match="one dimension; got 2 and 3"):
        compose(flat, linear())
    with pytest.raises(ArgumentError, match="4 x 4"):
        transform_of_matrix(np.eye(5))
    with pytest.raises(ArgumentError, match="last row of a matrix must be 0 0 0 1; got 0 0 1 1"):
        transform_of_matrix(np.array([*np.eye(4)[:3], [0.0, 0, 1, 1]]))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("format", "x", "must be 'otreg-transform' or 'otreg-transform-chain'; got 'x'"),
        ("version", 2, "'version' must be 1"),
        ("steps", [], "one or more; got a list of 0"),
        ("steps", [3], "'backwards' must be a key of a JSON object; got 3"),
        ("steps", [{"backwards": 1, "transform": {}}], r"'steps\[0\].backwards' must be true or false; got 1"),
        ("steps", [{"backwards": True, "transform": {}}], "key 'format' is missing"),
        ("direction", "up", "'direction' must be"),
        ("space", "IJK", "'space' must be 'RAS' or 'LPS', or missing; got 'IJK'"),
        ("provenance", [], "'provenance' must be an object"),
    ],
)
def test_a_broken_chain_is_one_clear_line(key, value, words):
    data = inverse_of(spline()).to_dict()
    assert isinstance(map_from_dict(data), Chain)
    with pytest.raises(FormatError, match=words) as caught:
        map_from_dict({**data, key: value})
    assert "\n" not in str(caught.value)


def test_a_chain_of_two_dimensions_is_a_format_error():
    data = inverse_of(spline()).to_dict()
    data["steps"].append({"backwards": False, "transform": transform_of_matrix(np.eye(3)).to_dict()})
    with pytest.raises(FormatError, match="one dimension; got 2 and 3"):
        map_from_dict(data)
