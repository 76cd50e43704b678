"""Folded and thin surfaces with the defaults: a pose does not drift to one side, a spline keeps both sides apart."""

import numpy as np
import pytest
import torch
import trimesh

from otreg.config import RegisterConfig, load_settings
from otreg.jobs.pair import measure_pair
from otreg.jobs.register import registration_settings
from otreg.registration import register
from otreg.shapes import Shape
from otreg.shapes.shape import CellBlock
from otreg.shapes.triangles import vertex_normals

SPHERE = trimesh.creation.icosphere(subdivisions=4)
RAYS, FACES = np.array(SPHERE.vertices), CellBlock("triangle", np.array(SPHERE.faces, dtype=np.int64))


def folded():
    """A closed surface with eight deep folds around its axis, and no symmetry."""
    angle = np.arctan2(RAYS[:, 1], RAYS[:, 0])
    radius = 1 + 0.22 * np.tanh(3 * np.sin(8 * angle)) * (1 - RAYS[:, 2] ** 2)
    lopsided = 1 + 0.15 * RAYS[:, :1] + 0.1 * RAYS[:, 1:2] * RAYS[:, 2:]
    return Shape(lopsided * RAYS * radius[:, None] * [1, 0.8, 0.6], (FACES,))


def plate(length, width, thickness):
    """A closed round plate, bent like a gutter."""
    points = RAYS * [length, width, thickness]
    points[:, 2] += 0.3 * points[:, 0] ** 2 + 0.15 * points[:, 0] * points[:, 1]
    return Shape(points, (FACES,))


def off(source, target, **settings):
    """Mean distance of the registered source's vertices from those of the target, over its diagonal."""
    config = load_settings(RegisterConfig, settings)
    pair = measure_pair(source, target, config)
    wanted = registration_settings(config, diagonal=pair.frame.scale, turning=pair.turning)
    found = register(pair.source_measure, pair.target_measure, wanted)
    moved = found.model(torch.from_numpy(pair.frame.to_frame(source.points))).numpy()
    return np.linalg.norm(moved - pair.frame.to_frame(target.points), axis=1).mean()


@pytest.mark.parametrize("grown", [0.04, 0.08])
def test_a_pose_does_not_drift_to_one_side_of_a_shape_that_has_grown(grown):
    source = folded()
    target = source.with_points(source.points + grown * vertex_normals(source))
    left_alone = grown / np.linalg.norm(np.ptp(target.points, axis=0))
    assert off(source, target, models="rigid") < 1.02 * left_alone


def test_a_spline_keeps_both_sides_of_a_plate_apart_by_itself():
    source, target = plate(1, 0.7, 0.06), plate(1.04, 0.74, 0.11)
    by_itself = off(source, target, models="similarity,spline")
    assert by_itself < 0.5 * off(source, target, models="similarity,spline", features="none")
    assert by_itself < 0.002
