"""Shapes and result folders that the tests of reports share."""

import numpy as np

from otreg.config import RegisterConfig, load_settings
from otreg.io import write_shape
from otreg.jobs import Outputs, register_files
from otreg.shapes import CellBlock, Shape


def sphere(n, *, radii=(3.0, 2.0, 1.0)):
    """An ellipsoid of triangles between n parallels and 2 n meridians; every vertex is used."""
    polar = np.linspace(0, np.pi, n + 1)[1:-1]
    around = np.linspace(0, 2 * np.pi, 2 * n, endpoint=False)
    theta, phi = (a.ravel() for a in np.meshgrid(polar, around, indexing="ij"))
    points = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    points = np.concatenate([points, [[0, 0, 1.0], [0, 0, -1.0]]])
    row, column = (a.ravel() for a in np.meshgrid(np.arange(n - 2), np.arange(2 * n), indexing="ij"))
    a, b = row * 2 * n + column, row * 2 * n + (column + 1) % (2 * n)
    c, d = a + 2 * n, b + 2 * n
    ring = np.arange(2 * n)
    top = np.stack([np.full(2 * n, len(points) - 2), ring, (ring + 1) % (2 * n)], axis=1)
    last = ring + (n - 2) * 2 * n
    bottom = np.stack([np.full(2 * n, len(points) - 1), (ring + 1) % (2 * n) + (n - 2) * 2 * n, last], axis=1)
    triangles = np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1), top, bottom])
    return Shape(points=points * radii, cells=(CellBlock("triangle", triangles),))


def turned(shape, *, degrees=20.0, shift=0.5):
    """The shape turned around its last axis (around the origin in the plane), and shifted along the first."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rotation = np.eye(shape.dimension)
    rotation[:2, :2] = [[c, -s], [s, c]]
    points = shape.points @ rotation.T
    points[:, 0] += shift
    return shape.with_points(points)


def ring(n, *, shift=0.0):
    """A closed curve of the plane, with n points."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radius = 2 + 0.4 * np.cos(3 * t)
    points = np.stack([2 * radius * np.cos(t) + shift, radius * np.sin(t)], axis=1)
    return Shape(points=points, cells=(CellBlock("line", np.stack([np.arange(n), np.roll(np.arange(n), -1)], axis=1)),))


def result(folder, source, target, **settings):
    """Writes the two shapes into ``folder``, registers them coarsely into ``folder``/out, and returns that."""
    write_shape(source, folder / "source.ply")
    write_shape(target, folder / "target.ply")
    config = load_settings(RegisterConfig, {"blur": "5%", "iterations": 3, "init": "none", **settings})
    register_files(folder / "source.ply", folder / "target.ply", config, Outputs(directory=folder / "out"))
    return folder / "out"
