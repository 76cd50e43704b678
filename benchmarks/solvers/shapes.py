"""The geometries of benchmarks/transport.py: pairs of point clouds of any size, from surfaces, real meshes and volumes.

Every pair is in the units of a registration: the target's bounding box has diagonal 1 and its centre at 0. Points weigh
1/n each and are drawn with a fixed seed, evenly over the area or the volume.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from otreg import Frame, Shape, measure_from_shape, read_shape
from otreg.shapes import CellBlock

MESHES = ("nonrigid/odedstein_human_hand/human/human_man.obj", "nonrigid/odedstein_human_hand/human/human_woman.obj")

Clouds = tuple[np.ndarray, np.ndarray]


def closed_surfaces(n: int, _: Path) -> Clouds:
    """Two smooth closed surfaces that differ everywhere: a bumpy ellipsoid, and a turned, three-lobed one."""
    source = _star(lambda x, y, z: 1 + 0.15 * np.sin(3 * x + 1) * np.cos(2 * y) + 0.1 * z * z, axes=(1.0, 0.7, 0.5))
    target = _star(lambda x, y, z: 1 + 0.25 * (x**3 - 3 * x * y * y) + 0.1 * y * z, axes=(0.75, 0.75, 0.85), turn=0.4)
    return _on_surfaces(source, target, n)


def real_meshes(n: int, data: Path) -> Clouds:
    """The surfaces of two scanned people, in the pose and unit of their files."""
    source, target = (read_shape(data / name) for name in MESHES)
    return _on_surfaces(source, target, n)


def volumes(n: int, _: Path) -> Clouds:
    """Points that fill a bent ball, and points that fill an ellipsoid with a bump."""
    source, target = (_ball(n, seed) for seed in (0, 1))
    source = source * [1.0, 0.7, 0.7] + np.stack([0 * source[:, 0], 0.4 * source[:, 0] ** 2, 0 * source[:, 0]], axis=1)
    target = target * [0.8, 0.9, 0.5] * (1 + 0.3 * np.exp(-4 * ((target - [1, 0, 0]) ** 2).sum(1)))[:, None]
    frame = Frame.of(target)
    return frame.to_frame(source), frame.to_frame(target)


GEOMETRIES: dict[str, Callable[[int, Path], Clouds]] = {
    "closed surfaces": closed_surfaces,
    "real meshes": real_meshes,
    "volumes": volumes,
}


def missing(geometry: str, data: Path) -> str | None:
    """Why a geometry cannot be made here, or None."""
    if geometry == "real meshes" and not all((data / name).exists() for name in MESHES):
        return f"needs {' and '.join(MESHES)} in the folder of --data"
    return None


def _on_surfaces(source: Shape, target: Shape, n: int) -> Clouds:
    frame = Frame.of(target.points)
    drawn = [
        measure_from_shape(shape, frame, sampling=n, seed=seed).points.numpy()
        for seed, shape in enumerate((source, target))
    ]
    return drawn[0], drawn[1]


def _star(radius: Callable[..., np.ndarray], *, axes: tuple[float, float, float], turn: float = 0.0) -> Shape:
    """A star-shaped surface: each direction (x, y, z) at radius(x, y, z), stretched, then turned about z."""
    rings, sectors = 301, 600
    polar = np.linspace(0, np.pi, rings)[:, None]
    around = (np.arange(sectors) * 2 * np.pi / sectors)[None, :]
    x, y, z = np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around
    points = (np.stack([x, y, z], axis=-1) * radius(x, y, z)[..., None] * axes).reshape(-1, 3)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    ring, sector = (grid.ravel() for grid in np.meshgrid(np.arange(rings - 1), np.arange(sectors), indexing="ij"))
    a, b = ring * sectors + sector, ring * sectors + (sector + 1) % sectors
    # At the poles one of the two triangles has no area, and gets no points.
    triangles = np.concatenate([np.stack([a, a + sectors, b + sectors], 1), np.stack([a, b + sectors, b], 1)])
    return Shape(points=points @ rotation.T, cells=(CellBlock("triangle", triangles),))


def _ball(n: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    directions = random.standard_normal((n, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions * random.random((n, 1)) ** (1 / 3)
