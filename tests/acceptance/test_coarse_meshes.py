"""Coarse meshes beside fine ones: what their large faces show is found, where their vertices alone lead astray."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from otreg.config import RegisterConfig, load_settings
from otreg.io import read_shape, write_shape
from otreg.jobs import Outputs, register_files
from otreg.shapes import CellBlock, Shape
from tests.registration.shapes import SURFACES, rotation, sphere


def mesh(name, n, *, seed=0):
    """A surface with n vertices on it; seeds give them other places."""
    directions = sphere(n, seed)
    return Shape(SURFACES[name](directions), (CellBlock("triangle", ConvexHull(directions).simplices),))


def moved(source, target, tmp_path, **settings):
    """The source as it was registered, with settings that differ from the defaults."""
    write_shape(source, tmp_path / "source.ply", overwrite=True)
    write_shape(target, tmp_path / "target.ply", overwrite=True)
    out = tmp_path / "moved.ply"
    config = load_settings(RegisterConfig, settings)
    report = register_files(
        tmp_path / "source.ply", tmp_path / "target.ply", config, Outputs(shape=out, overwrite=True)
    )
    assert report.record["sampling"] == {"source": settings.get("sampling", "faces"), "target": "vertices"}
    return read_shape(out)


@pytest.mark.parametrize("name", SURFACES)
def test_a_coarse_mesh_takes_the_pose_of_a_fine_one(name, tmp_path):
    coarse, fine = mesh(name, 100, seed=3), mesh(name, 10_000)
    turned = coarse.with_points(coarse.points @ rotation(140, 3, seed=2).T + 7)
    diagonal = np.linalg.norm(np.ptp(fine.points, axis=0))

    there = moved(turned, fine, tmp_path).points
    assert np.linalg.norm(there - coarse.points, axis=1).mean() < 0.004 * diagonal


def test_a_coarse_mesh_bends_as_a_fine_one_does(shared_data, tmp_path):
    folder = shared_data / "large/odedstein/spot"
    coarse, fine = read_shape(folder / "spot_low_resolution.obj"), read_shape(folder / "spot.obj")
    diagonal = np.linalg.norm(np.ptp(fine.points, axis=0))

    def bent(shape):
        """Bent by some 4 % of the diagonal."""
        at = shape.points / diagonal
        waves = np.stack([np.sin(4 * at[:, 1] + 1), np.cos(5 * at[:, 2]), np.sin(4 * at[:, 0] + 2 * at[:, 1])], axis=1)
        return Shape(shape.points + 0.04 * diagonal * waves, shape.cells)

    def error(**settings):
        there = moved(coarse, bent(fine), tmp_path, models="similarity,spline", init="none", **settings).points
        return np.linalg.norm(there - bent(coarse).points, axis=1).mean() / diagonal

    assert error() < min(0.0025, 0.9 * error(sampling="vertices"))
