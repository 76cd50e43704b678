"""Measures weigh points by the surface around them, so that meshing does not matter."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.errors import ArgumentError, InputError
from otreg.io import read_shape
from otreg.measures import Frame
from otreg.measures.from_shape import measure_from_shape, weights_of_shape
from otreg.shapes import CellBlock, Shape

TRIANGLE = np.array([[0.0, 0, 0], [3, 0, 0], [0, 4, 0], [9, 9, 9]])
UNIT = Frame((0.0, 0.0, 0.0), 1.0)


def block(kind: str, *cells: list[int]) -> CellBlock:
    return CellBlock(kind, np.array(cells))  # type: ignore[arg-type]


def polygon(*cells: list[int]) -> CellBlock:
    return CellBlock("polygon", np.concatenate(cells), np.cumsum([0, *map(len, cells)]))


def test_cells_share_their_size_among_their_corners() -> None:
    assert weights_of_shape(Shape(TRIANGLE, (block("triangle", [0, 1, 2]),))).tolist() == pytest.approx([2, 2, 2, 0])
    assert weights_of_shape(Shape(TRIANGLE, (polygon([0, 1, 2]),))).tolist() == pytest.approx([2, 2, 2, 0])
    assert weights_of_shape(Shape(TRIANGLE, (block("line", [0, 1], [0, 2]),))).tolist() == pytest.approx(
        [3.5, 1.5, 2, 0]
    )
    assert weights_of_shape(Shape(TRIANGLE[:, :2], (block("triangle", [0, 2, 1]),)))[:3].tolist() == pytest.approx(
        [2] * 3
    )
    square = np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])
    for cells in (block("quad", [0, 1, 2, 3]), polygon([2, 3, 0, 1])):
        assert weights_of_shape(Shape(square, (cells,))).tolist() == pytest.approx([1] * 4)
    corner = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    assert weights_of_shape(Shape(corner, (block("tetra", [0, 1, 2, 3]),))).tolist() == pytest.approx([1 / 24] * 4)


def test_only_cells_of_the_highest_dimension_count() -> None:
    cells = (block("line", [0, 3]), block("triangle", [0, 1, 2]))
    assert weights_of_shape(Shape(TRIANGLE, cells)).tolist() == pytest.approx([2, 2, 2, 0])


def test_clouds_weigh_alike() -> None:
    assert weights_of_shape(Shape(TRIANGLE)).tolist() == [0.25] * 4


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(3, 7), min_size=1, max_size=4), seed=st.integers(0, 99), turn=st.integers(0, 6))
def test_a_polygon_does_not_care_where_its_list_begins(sizes: list[int], seed: int, turn: int) -> None:
    random = np.random.default_rng(seed)
    points = random.normal(size=(7, 3))
    cells = [random.permutation(7)[:k].tolist() for k in sizes]
    turned = [cell[turn % len(cell) :] + cell[: turn % len(cell)] for cell in cells]
    weights = weights_of_shape(Shape(points, (polygon(*cells),)))
    assert np.abs(weights - weights_of_shape(Shape(points, (polygon(*turned),)))).max() < 1e-12
    assert weights.min() >= 0


@pytest.mark.parametrize("sampling", ["vertices", "faces", 500])
def test_measures_have_mass_one_in_the_frame(sampling: str | int) -> None:
    shape = Shape(TRIANGLE, (block("triangle", [0, 1, 2]),))
    frame = Frame.of(TRIANGLE)
    measure = (
        measure_from_shape(shape, frame, sampling=sampling)
        if sampling != "faces"
        else measure_from_shape(Shape(TRIANGLE, (block("triangle", [0, 1, 2], [1, 2, 3]),)), frame, sampling="faces")
    )
    assert measure.points.dtype == measure.weights.dtype == torch.float64
    assert float(measure.mass) == pytest.approx(1, abs=1e-12)
    if sampling == "vertices":
        assert np.abs(frame.to_file(measure.points.numpy()) - TRIANGLE).max() < 1e-12
        assert measure.weights.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    if sampling == "faces":
        centroids = [TRIANGLE[[0, 1, 2]].mean(0), TRIANGLE[[1, 2, 3]].mean(0)]
        assert np.abs(frame.to_file(measure.points.numpy()) - centroids).max() < 1e-12


@pytest.mark.parametrize(
    "cells", [block("quad", [0, 1, 2, 3]), polygon([0, 1, 2, 3]), block("triangle", [0, 1, 2], [0, 2, 3])]
)
def test_pieces_of_large_faces_fill_them(cells: CellBlock) -> None:
    square = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    shape = Shape(5 * square + 3, (cells,))
    cut = measure_from_shape(shape, UNIT, sampling="faces", features=square[:, :1], longest_edge=0.5)
    points, weights = cut.points.numpy() - 3, cut.weights.numpy()
    assert weights @ points == pytest.approx([0, 0, 0])
    # A side of 10 has a variance of 10^2 / 12; pieces of at most 0.5 lose less than 0.5^2.
    assert points[:, :2].T @ (weights[:, None] * points[:, :2]) == pytest.approx(np.eye(2) * 100 / 12, abs=0.25)
    assert cut.features is not None
    assert cut.features[:, 0].numpy() == pytest.approx(points[:, 0] / 5)


def test_samples_follow_the_surface_and_the_seed() -> None:
    # Two triangles, one with three times the area of the other; every point must lie in its triangle.
    points = np.array([[0.0, 0], [1, 0], [0, 1], [10, 0], [13, 0], [10, 1]])
    shape = Shape(points, (block("triangle", [0, 1, 2], [3, 4, 5]),))
    frame = Frame((0.0, 0.0), 1.0)
    sample = measure_from_shape(shape, frame, sampling=4000, seed=1)
    x = sample.points.numpy()
    assert (x[:, 0] > 5).sum() == pytest.approx(3000, abs=1)  # stratified: exact up to one
    left = x[x[:, 0] < 5]
    assert left.min() >= 0 and left.sum(1).max() <= 1 + 1e-12
    assert np.abs(left.mean(0) - 1 / 3).max() < 5 * np.sqrt(1 / 18 / 1000)  # five standard errors
    assert torch.equal(sample.points, measure_from_shape(shape, frame, sampling=4000, seed=1).points)
    assert not torch.equal(sample.points, measure_from_shape(shape, frame, sampling=4000, seed=2).points)


def test_samples_of_curves_volumes_and_clouds_lie_on_them() -> None:
    corner = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    inside = measure_from_shape(Shape(corner, (block("tetra", [0, 1, 2, 3]),)), UNIT, sampling=200).points.numpy()
    assert inside.min() >= 0 and inside.sum(1).max() <= 1 + 1e-12
    on_line = measure_from_shape(Shape(corner, (block("line", [1, 2]),)), UNIT, sampling=200).points.numpy()
    assert np.abs(on_line.sum(1) - 1).max() < 1e-12 and not on_line[:, 2].any()
    cloud = np.random.default_rng(0).normal(size=(50, 3))
    some = measure_from_shape(Shape(cloud), UNIT, sampling=20)
    rows = {tuple(row) for row in cloud.tolist()}
    assert len(some) == 20 and {tuple(row) for row in some.points.tolist()} <= rows
    assert len({tuple(row) for row in some.points.tolist()}) == 20
    assert torch.equal(measure_from_shape(Shape(cloud), UNIT, sampling=80).points, torch.from_numpy(cloud))


def test_an_attribute_can_weigh_the_points() -> None:
    shape = Shape(TRIANGLE, (block("triangle", [0, 1, 2]),), {"w": np.array([1, 0, 2, 1], np.uint8)})
    assert measure_from_shape(shape, UNIT, weights="w").weights.tolist() == [0.25, 0, 0.5, 0.25]
    drawn = measure_from_shape(
        Shape(TRIANGLE, point_data={"w": np.array([1.0, 0, 0, 1])}), UNIT, sampling=2, weights="w"
    )
    assert sorted(drawn.points.tolist()) == [[0, 0, 0], [9, 9, 9]]


HUGE = np.array([1e308, 1e308, 1e308, 0])


def test_huge_and_tiny_scales_do_not_overflow() -> None:
    for scale in (1e-99, 1e99):
        shape = Shape(TRIANGLE * scale, (block("triangle", [0, 1, 2], [1, 2, 3]),))
        weights = measure_from_shape(shape, Frame.of(TRIANGLE * scale)).weights
        assert torch.allclose(weights, measure_from_shape(Shape(TRIANGLE, shape.cells), UNIT).weights, atol=1e-12)
    weights = measure_from_shape(Shape(TRIANGLE, point_data={"w": HUGE}), UNIT, weights="w").weights
    assert weights.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    ("shape", "arguments", "words"),
    [
        (Shape(TRIANGLE[:1]), {}, "at least 2 points"),
        (Shape(TRIANGLE[[0, 0, 0]]), {}, "all points that carry mass are equal"),
        (Shape(TRIANGLE, (block("triangle", [0, 1, 1]),)), {}, "all weights are zero"),
        (Shape(TRIANGLE, (block("triangle", [0, 1, 1]),)), {"sampling": 10}, "all weights are zero"),
        (Shape(TRIANGLE, point_data={"w": np.zeros(4)}), {"weights": "w"}, "all weights are zero in attribute 'w'"),
        (Shape(TRIANGLE, point_data={"w": np.array([1, -2.0, 1, 1])}), {"weights": "w"}, "'w' of point 1 is -2"),
        (Shape(TRIANGLE, point_data={"w": np.array([1, 2, np.nan, 1])}), {"weights": "w"}, "'w' of point 2 is nan"),
        (Shape(TRIANGLE, point_data={"w": np.array(list("abcd"))}), {"weights": "w"}, "one number per point"),
        (Shape(TRIANGLE, point_data={"w": np.ones(4)}), {"weights": "v"}, "no point attribute 'v'"),
        (Shape(TRIANGLE), {"sampling": "faces"}, "needs a shape with cells"),
    ],
)  # fmt: skip
def test_unusable_shapes_are_named(shape: Shape, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        measure_from_shape(shape, UNIT, **arguments)  # type: ignore[arg-type]
    assert words in str(caught.value)


@pytest.mark.parametrize("sampling", ["corners", 1, -3, True, 2.5])
def test_unknown_samplings_are_refused(sampling: object) -> None:
    with pytest.raises(ArgumentError, match="sampling must be"):
        measure_from_shape(Shape(TRIANGLE), UNIT, sampling=sampling)  # type: ignore[arg-type]


def test_area_weights_make_two_meshes_of_one_surface_agree(shared_data: Path) -> None:
    folder = shared_data / "large" / "pmp" / "off"
    shapes = [read_shape(folder / f"bunny_{name}.off") for name in ("adaptive", "uniform")]
    frame = Frame.of(shapes[1].points)
    of_vertices = [frame.to_frame(shape.points.mean(0)) for shape in shapes]
    of_area = [measure_from_shape(shape, frame).mean.numpy() for shape in shapes]
    assert np.linalg.norm(of_area[0] - of_area[1]) < 1e-3  # of the diagonal; 20 times less than the vertices' shift
    assert np.linalg.norm(of_vertices[0] - of_vertices[1]) > 1e-2
