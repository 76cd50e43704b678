"""Normals stay perpendicular to the moved surface, on its outer side, at their length, in their dtype."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otreg.jobs.normals import moved_normals


def constant(matrix):
    return lambda points: np.broadcast_to(matrix, (len(points), *matrix.shape))


@given(st.integers(0, 10_000), st.sampled_from([2, 3]))
def test_a_normal_stays_perpendicular_to_what_it_was_perpendicular_to(seed, d):
    rng = np.random.default_rng(seed)
    matrix = np.eye(d) + 0.4 * rng.standard_normal((d, d))
    tangents = rng.standard_normal((d - 1, d))
    normal = np.linalg.svd(tangents)[2][-1]
    moved = moved_normals({"normals": normal[None]}, np.zeros((1, d)), jacobian=constant(matrix))["normals"][0]
    images = tangents @ matrix.T
    assert np.abs(images @ moved).max() < 1e-9 * np.linalg.norm(images)
    assert np.linalg.norm(moved) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("names", [("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z")])
def test_a_rotation_turns_columns_of_normals_like_vectors(names):
    rotation = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    normals = np.random.default_rng(0).standard_normal((50, 3))
    columns = {name: normals[:, k].astype(np.float32) for k, name in enumerate(names)}
    moved = moved_normals(columns, np.zeros((50, 3)), jacobian=constant(rotation))
    assert {name: values.dtype for name, values in moved.items()} == dict.fromkeys(names, np.float32)
    turned = np.stack([moved[name] for name in names], axis=1)
    assert np.abs(turned - normals @ rotation.T).max() < 1e-6


@pytest.mark.parametrize("name", ["normals", "Normals"])
def test_a_rotation_turns_arrays_of_normals_like_vectors(name):
    rotation = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    normals = np.random.default_rng(0).standard_normal((50, 3))
    moved = moved_normals({name: normals}, np.zeros((50, 3)), jacobian=constant(rotation))
    assert np.abs(moved[name] - normals @ rotation.T).max() < 1e-12


def test_plane_normals_turn_too():
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    columns = {"normal_x": np.array([1.0, 0.6]), "normal_y": np.array([0.0, 0.8])}
    moved = moved_normals(columns, np.zeros((2, 2)), jacobian=constant(turn))
    assert np.abs(moved["normal_x"] - [0, -0.8]).max() < 1e-12
    assert np.abs(moved["normal_y"] - [1, 0.6]).max() < 1e-12


def test_a_mirrored_triangle_keeps_the_normal_of_its_winding():
    mirror = np.diag([-1.0, 1.0, 1.0])
    corners = np.array([[0.0, 0, 0], [1, 0, 0.2], [0, 1, 0.4]])

    def winding_normal(triangle):
        normal = np.cross(triangle[1] - triangle[0], triangle[2] - triangle[0])
        return normal / np.linalg.norm(normal)

    before = np.tile(winding_normal(corners), (3, 1))
    moved = moved_normals({"normals": before}, corners, jacobian=constant(mirror))["normals"]
    assert np.abs(moved - winding_normal(corners @ mirror.T)).max() < 1e-12


def test_unknown_and_undefined_normals_become_zero_without_warnings():
    flat = np.diag([1.0, 0.0, 0.0])  # everything falls on a line: no normal is left
    normals = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    moved = moved_normals({"normals": normals}, np.zeros((2, 3)), jacobian=constant(flat))["normals"]
    assert (moved == 0).all()


def test_every_point_is_turned_by_its_own_jacobian_also_beyond_one_chunk():
    n = 70_001
    angle = np.linspace(0, 3, n)

    def jacobian(points):
        c, s = np.cos(points[:, 0]), np.sin(points[:, 0])
        return np.stack([np.stack([c, -s], axis=1), np.stack([s, c], axis=1)], axis=1)

    points = np.stack([angle, np.zeros(n)], axis=1)
    moved = moved_normals({"normals": np.tile([1.0, 0.0], (n, 1))}, points, jacobian=jacobian)["normals"]
    assert np.abs(moved - np.stack([np.cos(angle), np.sin(angle)], axis=1)).max() < 1e-12


def test_attributes_that_are_no_normals_are_left_alone():
    data = {"nx": np.ones(2), "red": np.ones(2), "normals": np.ones((2, 3), dtype=np.uint8)}
    assert moved_normals(data, np.zeros((2, 3)), jacobian=constant(np.eye(3))) == {}
