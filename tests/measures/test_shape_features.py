"""Normals and labels of shapes: from faces, curves or attributes, on the outside, and refused where there are none."""

import numpy as np
import pytest

from otreg.errors import InputError
from otreg.measures import Frame
from otreg.measures.from_shape import measure_from_shape
from otreg.measures.shape_features import labels_of, normals_of, sides_agree
from otreg.shapes import Shape
from otreg.shapes.shape import CellBlock

CORNERS = np.array([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
# Quads of a cube, seen counterclockwise from outside.
CUBE = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def cube(faces=CUBE, **data):
    return Shape(CORNERS, (CellBlock("quad", faces),), **data)


def ring(n=40, *, clockwise=False, closed=True, squeeze=1.0):
    angle = 2 * np.pi * np.arange(n) / n
    points = np.stack([np.cos(angle), squeeze * np.sin(angle)], axis=1)
    lines = np.stack([np.arange(n), (np.arange(n) + 1) % n], axis=1)
    lines = lines if closed else lines[:-1]
    return Shape(points, (CellBlock("line", lines[:, ::-1] if clockwise else lines),))


def unit(normals):
    return normals * 2**0.5


def test_closed_surfaces_show_their_outside_whichever_way_their_faces_go():
    for faces in (CUBE, CUBE[:, ::-1]):
        normals = unit(normals_of(cube(faces)))
        assert np.abs(np.linalg.norm(normals, axis=1) - 1).max() < 1e-12
        assert ((normals * CORNERS).sum(1) > 0.9).all()


def test_open_surfaces_show_the_side_of_their_faces():
    sheet = np.array([[0, 1, 3, 2]])
    down, up = (unit(normals_of(cube(faces)))[sheet[0]] for faces in (sheet, sheet[:, ::-1]))
    assert np.abs(down - [-1, 0, 0]).max() < 1e-12
    assert np.abs(up - [1, 0, 0]).max() < 1e-12


def test_normals_at_a_right_angle_differ_by_one():
    across = np.zeros((3, 3))
    across[:, 0] = [0, 1, 2]
    data = {"nx": np.array([1.0, 0, -2]), "ny": np.array([0.0, 3, 0]), "nz": np.zeros(3)}
    normals = normals_of(Shape(across, point_data=data))
    assert np.linalg.norm(normals[0] - normals[1]) == pytest.approx(1)
    assert np.linalg.norm(normals[0] - normals[2]) == pytest.approx(2**0.5)


@pytest.mark.parametrize("clockwise", [False, True])
def test_closed_curves_of_the_plane_show_their_outside(clockwise):
    shape = ring(clockwise=clockwise)
    assert np.abs(unit(normals_of(shape)) - shape.points).max() < 1e-9


def test_curves_of_a_plane_in_space_have_normals_within_it():
    flat = ring()
    tilt = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    for turn in (np.eye(3), tilt):
        points = np.concatenate([flat.points, np.full((40, 1), 2.0)], axis=1) @ turn.T
        expected = np.concatenate([flat.points, np.zeros((40, 1))], axis=1) @ turn.T
        assert np.abs(unit(normals_of(Shape(points, flat.cells))) - expected).max() < 1e-9
    # An open one shows the side that it does without the third coordinate.
    arc = ring(closed=False)
    points = np.concatenate([arc.points, np.zeros((40, 1))], axis=1)
    assert np.abs(normals_of(Shape(points, arc.cells))[:, :2] - normals_of(arc)).max() < 1e-9


def test_the_lines_of_a_curve_may_go_either_way_and_in_any_order():
    shape = ring()
    lines = shape.cells[0].indices.copy()
    rng = np.random.default_rng(0)
    lines = rng.permutation(lines)
    lines[::3] = lines[::3, ::-1]
    points = rng.permutation(len(shape.points))
    mixed = Shape(shape.points[points], (CellBlock("line", np.argsort(points)[lines]),))
    assert np.abs(unit(normals_of(mixed)) - mixed.points).max() < 1e-9


def test_every_closed_curve_shows_its_own_outside():
    one, other = ring(clockwise=True), ring(30)
    lines = np.concatenate([one.cells[0].indices, other.cells[0].indices + len(one.points)])
    points = np.concatenate([one.points, other.points + np.array([5.0, 0])])
    normals = unit(normals_of(Shape(points, (CellBlock("line", lines),))))
    assert np.abs(normals - np.concatenate([one.points, other.points])).max() < 1e-9


def test_many_short_curves_take_no_time():
    # 40,000 rings of five points: a walk per ring over all points would take hours.
    five, count = ring(5), 40_000
    shift = np.repeat(np.arange(count) * 3.0, 5)[:, None] * [1.0, 0.0]
    points = np.tile(five.points, (count, 1)) + shift
    lines = (five.cells[0].indices[None] + 5 * np.arange(count)[:, None, None]).reshape(-1, 2)
    normals = unit(normals_of(Shape(points, (CellBlock("line", lines),))))
    assert np.abs(normals - np.tile(five.points, (count, 1))).max() < 1e-6


def test_open_curves_of_the_plane_show_their_right():
    shape = ring(closed=False)
    assert np.abs(unit(normals_of(shape))[1:-1] - shape.points[1:-1]).max() < 1e-9


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Shape(CORNERS), "has neither faces nor normals of its points"),
        (Shape(CORNERS, (CellBlock("line", np.array([[0, 1]])),)), "curves that do not lie in a plane have no normals"),
        (Shape(CORNERS, (CellBlock("tetra", np.array([[0, 1, 2, 4]])),)), "volumes have no normals"),
        (Shape(CORNERS[:, :2], (CellBlock("triangle", np.array([[0, 2, 4]])),)), "areas of the plane have no normals"),
        (Shape(np.eye(3)[[0, 0, 0]] * 2, (CellBlock("triangle", np.array([[0, 1, 2]])),)), "all its normals are zero"),
        (cube(np.concatenate([CUBE[:3], CUBE[3:, ::-1]])), "need faces that go round alike; 8 edges"),
        (
            Shape(CORNERS[:4, :2], (CellBlock("line", np.array([[0, 1], [0, 2], [0, 3]])),)),
            "need curves that do not branch; at 1 points they do",
        ),
        (Shape(CORNERS, point_data={"normals": np.full((8, 3), np.nan)}), "normals must be finite"),
    ],
)
def test_shapes_without_normals_are_refused_and_told_what_to_use(shape, words):
    with pytest.raises(InputError, match=words) as caught:
        normals_of(shape)
    assert "\n" not in str(caught.value)


def test_labels_of_both_shapes_share_their_columns_and_differ_by_one():
    one = Shape(CORNERS[:3], point_data={"label": np.array([7, 2, 7])})
    other = Shape(CORNERS[:2], point_data={"Labels": np.array([9, 2])})
    here, there = labels_of([one, other], None)
    assert here.shape == (3, 3)
    assert there.shape == (2, 3)
    distances = np.linalg.norm(here[:, None] - there[None], axis=2)
    assert np.abs(distances - [[1, 1], [1, 0], [1, 1]]).max() < 1e-12


def test_labels_may_be_words_in_a_named_column():
    one = Shape(CORNERS[:2], point_data={"part": np.array(["arm", "leg"])})
    here, there = labels_of([one, one], "part")
    assert np.abs(np.linalg.norm(here[:, None] - there[None], axis=2) - (1 - np.eye(2))).max() < 1e-12


@pytest.mark.parametrize(
    ("data", "column", "words"),
    [
        ({"red": np.zeros(8)}, None, "no point attribute 'label' or 'labels' to tell parts by; it has: red"),
        ({"red": np.zeros(8)}, "part", "no point attribute 'part'.*--features labels:COLUMN"),
        ({"label": np.full(8, np.nan)}, None, "none of them NaN"),
        ({"label": np.zeros((8, 2))}, None, "one value per point"),
    ],
)
def test_shapes_without_labels_are_refused(data, column, words):
    with pytest.raises(InputError, match=words):
        labels_of([Shape(CORNERS, point_data=data)], column)


def test_a_quantity_is_no_label():
    n = 100
    shape = Shape(np.random.default_rng(0).random((n, 3)), point_data={"label": np.arange(n)})
    with pytest.raises(InputError, match="at most 64 different values; found 100"):
        labels_of([shape, shape], None)


@pytest.mark.parametrize("sampling", ["vertices", "faces", 500])
def test_whatever_stands_for_a_shape_carries_its_features(sampling):
    shape = cube()
    frame = Frame.of(shape.points)
    # A feature that is a linear function of the place keeps being one.
    measure = measure_from_shape(shape, frame, sampling=sampling, features=shape.points @ [[1.0, 2], [0, 1], [3, 0]])
    places = frame.to_file(measure.points.numpy())
    assert np.abs(measure.features.numpy() - places @ [[1.0, 2], [0, 1], [3, 0]]).max() < 1e-9
    assert measure.features.shape == (len(measure), 2)


def dome(*, least=0.0, turned=False, n=24):
    """The part of a sphere above a height: a surface with a border, its faces counterclockwise from outside."""
    across, around = np.linspace(0.1, np.arccos(least), 9), 2 * np.pi * np.arange(n) / n
    polar, angle = (values.ravel() for values in np.meshgrid(across, around, indexing="ij"))
    points = np.stack([np.sin(polar) * np.cos(angle), np.sin(polar) * np.sin(angle), np.cos(polar)], axis=1)
    first = np.arange(8 * n)
    beside = first // n * n + (first + 1) % n
    faces = np.stack([first, first + n, beside + n, beside], axis=1)
    return Shape(points, (CellBlock("quad", faces[:, ::-1] if turned else faces),))


def somewhere(shape):
    """The same shape elsewhere, in another unit and pose."""
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    rotation[:, 0] *= np.linalg.det(rotation)
    return shape.with_points(1000 * shape.points @ rotation.T + 1e5)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (cube(), cube(CUBE[:, ::-1])),
        (cube(), dome()),
        (dome(), dome(least=0.4)),
        (dome(turned=True), dome(least=0.4, turned=True)),
    ],
    ids=["closed", "closed and open", "open", "both turned"],
)
def test_sides_agree_where_both_meshes_show_the_same_one_in_any_pose(source, target):
    assert sides_agree(source, target)
    assert sides_agree(somewhere(source), target)
    assert sides_agree(target, somewhere(source))


@pytest.mark.parametrize(
    "target",
    [
        dome(turned=True),
        # As flat as this neither side is the outer one.
        dome().with_points(dome().points * [1, 1, 0.02]),
        cube(np.concatenate([CUBE[:1, ::-1], CUBE[1:]])),
        cube().with_points(np.zeros((8, 3))),
        Shape(CORNERS),
        ring(),
    ],
    ids=["turned", "flat", "one face turned", "no area", "cloud", "curve"],
)
def test_sides_do_not_agree_where_the_meshes_cannot_tell(target):
    assert not sides_agree(dome(), target)
    assert not sides_agree(target, dome())
