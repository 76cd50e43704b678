"""Makes the sample shapes: a creature and its bent twin, and two partial scans of a figure.

Both are implicit surfaces: a few round cones, merged smoothly, so that everything is known exactly: the bend of the
creature is a map of space applied vertex by vertex, and a scan is a depth image found by walking along rays.
Deterministic. Needs the ``docs`` extra (scikit-image for marching cubes):  python sample_data/make_sample_data.py
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from skimage.measure import marching_cubes

Array = npt.NDArray[np.float64]
Field = Callable[[Array], Array]  # (n, 3) points in mm -> (n,) about the signed distance to the surface in mm

HERE = Path(__file__).parent


# Implicit surfaces


def round_cone(points: Array, ends: tuple[Array, Array], radii: tuple[float, float]) -> Array:
    """About the signed distance to a cone between two spheres, whose radius varies smoothly along the axis."""
    (start, end), (r0, r1) = ends, radii
    axis = end - start
    along = np.clip((points - start) @ axis / (axis @ axis), 0, 1)
    return np.linalg.norm(points - start - along[:, None] * axis, axis=1) - (r0 + (r1 - r0) * along)


def smooth_union(distances: list[Array], blend: float) -> Array:
    """A minimum whose creases are rounded over about ``blend``."""
    stack = -np.stack(distances) / blend
    top = stack.max(0)
    return -blend * (top + np.log(np.exp(stack - top).sum(0)))


def limbs(points: Array, chains: list[list[tuple[float, float, float, float]]], blend: float) -> Array:
    """The smooth union of chains of balls (x, y, z, radius), joined by cones."""
    distances = []
    for chain in chains:
        for (*a, r0), (*b, r1) in pairwise(chain):
            distances.append(round_cone(points, (np.array(a), np.array(b)), (r0, r1)))
    return smooth_union(distances, blend)


def creature(points: Array) -> Array:
    """A long-necked animal, 150 mm from nose to tail, that looks along +x and stands on z = 0."""
    spine = [
        (-78.0, 0.0, 34.0, 1.6),
        (-62.0, 0.0, 30.0, 2.8),
        (-44.0, 0.0, 31.0, 5.0),
        (-26.0, 0.0, 36.0, 10.5),
        (-8.0, 0.0, 38.0, 13.5),
        (10.0, 0.0, 39.0, 12.0),
        (24.0, 0.0, 45.0, 7.8),
        (36.0, 0.0, 56.0, 5.6),
        (45.0, 0.0, 69.0, 4.6),
        (52.0, 0.0, 79.0, 4.6),
    ]
    head = [(51.0, 0.0, 80.0, 6.0), (59.0, 0.0, 80.5, 5.6), (70.0, 0.0, 76.0, 3.8)]
    chains = [spine, head]
    for side in (-1.0, 1.0):
        # Left and right stride differently: an animal that stands like a table looks dead.
        front, back = (19.0, -20.0) if side < 0 else (10.0, -29.0)
        chains.append(
            [(12.0, 7.0 * side, 35.0, 7.0), (front, 9.5 * side, 19.0, 4.6), (front - 1, 9.5 * side, 5.0, 3.6)]
        )
        chains.append([(front - 1, 9.5 * side, 4.0, 3.8), (front + 4.0, 10.0 * side, 3.2, 3.0)])
        chains.append(
            [(-22.0, 7.0 * side, 34.0, 8.5), (back, 10.0 * side, 18.0, 5.2), (back - 3, 10.0 * side, 5.0, 3.8)]
        )
        chains.append([(back - 3, 10.0 * side, 4.0, 4.0), (back + 3.0, 10.5 * side, 3.2, 3.1)])
        chains.append([(57.0, 3.8 * side, 84.0, 2.2), (58.0, 4.4 * side, 84.2, 2.2)])  # eyes
        chains.append([(70.5, 1.9 * side, 79.2, 1.0), (71.0, 2.1 * side, 79.4, 1.0)])  # nostrils
    # A row of plates along the back, largest in the middle.
    for x, z, size in [
        (-34, 43.5, 2.2),
        (-24, 47.5, 3.0),
        (-13, 51.5, 3.6),
        (-1, 52.5, 3.6),
        (10, 51.2, 3.0),
        (20, 50.5, 2.2),
    ]:
        chains.append([(x, 0.0, z, 1.7), (x - 2.0, 0.0, z + size * 1.5, 0.9)])
    # Skin that is not perfectly smooth.
    x, y, z = points.T
    wrinkles = 0.35 * np.sin(x / 4.3 + np.sin(z / 6.1)) * np.sin(y / 3.7 + 1.0) * np.sin(z / 4.9 + np.sin(x / 7.3))
    return limbs(points, chains, blend=2.4) + wrinkles


def figure(points: Array) -> Array:
    """A sitting figure, 90 mm tall, without any symmetry: one ear bends, the head turns, one paw is up."""
    chains = [
        [(0.0, 0.0, 18.0, 20.0), (1.0, 2.0, 34.0, 16.5), (2.0, 3.0, 46.0, 11.0)],  # body
        [(3.0, 5.0, 58.0, 13.0), (8.0, 11.0, 56.0, 9.0), (12.0, 16.0, 53.5, 5.0)],  # head, looking aside
        [(-3.0, 1.0, 68.0, 4.2), (-7.0, -1.0, 80.0, 4.6), (-9.0, -2.0, 92.0, 2.4)],  # straight ear
        [(7.0, -1.0, 68.5, 4.2), (13.0, -4.0, 78.0, 4.4), (21.0, -2.0, 76.0, 3.0), (25.0, 2.0, 69.0, 2.0)],  # bent ear
        [(13.0, 9.0, 40.0, 6.0), (21.0, 18.0, 40.0, 4.6), (24.0, 22.0, 48.0, 4.0)],  # raised paw
        [(-12.0, 9.0, 38.0, 6.5), (-14.0, 19.0, 24.0, 5.0), (-12.0, 22.0, 12.0, 4.6)],  # lowered paw
        [(14.0, 8.0, 9.0, 10.0), (18.0, 24.0, 5.0, 5.5)],  # feet
        [(-14.0, 8.0, 9.0, 10.0), (-20.0, 23.0, 5.0, 5.5)],
        [(-4.0, -20.0, 12.0, 6.5), (-10.0, -25.0, 15.0, 5.0)],  # tail
    ]
    x, y, z = points.T
    fur = 0.45 * np.sin(x / 2.9 + 1.3 * np.sin(z / 5.3)) * np.sin(y / 3.1 + 0.5) * np.sin(z / 3.3 + np.sin(x / 6.1))
    return limbs(points, chains, blend=2.2) + fur


def gradient(field: Field, points: Array, step: float = 1e-3) -> Array:
    """(n, 3) gradient of a field by central differences."""
    shifts = step * np.eye(3)
    return np.stack([(field(points + s) - field(points - s)) / (2 * step) for s in shifts], axis=1)


# Meshes


def mesh_of(field: Field, low: Array, high: Array, spacing: float) -> tuple[Array, npt.NDArray[np.int64]]:
    """Vertices and triangles of the surface field = 0: marching cubes, then evened out along the surface."""
    axes = [np.arange(a, b, spacing) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = field(grid.reshape(-1, 3)).reshape(grid.shape[:-1])
    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(spacing,) * 3)
    vertices, faces = vertices.astype(np.float64) + low, faces.astype(np.int64)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    degree = np.bincount(edges[:, 0], minlength=len(vertices))
    for _ in range(30):
        # Each vertex goes half way to its neighbours' mean (every edge of a closed mesh is met in both directions)
        # and back to the surface by a Newton step.
        mean = np.zeros_like(vertices)
        np.add.at(mean, edges[:, 0], vertices[edges[:, 1]])
        vertices = 0.5 * vertices + 0.5 * mean / degree[:, None]
        slope = gradient(field, vertices)
        vertices -= (field(vertices) / (slope**2).sum(1))[:, None] * slope
    return vertices, faces


def bend(points: Array) -> Array:
    """The creature turns its neck to the left and its tail to the right, lowers the tail, and leans a little.

    Cross sections of the x axis are kept flat and swung round the vertical axis by an angle that grows smoothly with x,
    while the axis itself becomes a curve without stretching.
    """
    steps = np.linspace(-120.0, 120.0, 4801)
    angle = 1.0 * _ramp(steps, 12.0, 65.0) + 1.25 * _ramp(-steps, 20.0, 80.0)
    pitch = -0.55 * _ramp(-steps, 30.0, 85.0)
    direction = np.stack([np.cos(angle) * np.cos(pitch), np.sin(angle) * np.cos(pitch), -np.sin(pitch)], axis=1)
    centre = np.concatenate(
        [np.zeros((1, 3)), np.cumsum((direction[1:] + direction[:-1]) / 2, axis=0) * (steps[1] - steps[0])]
    )
    centre -= centre[len(steps) // 2]
    x, y, z = points.T
    at = np.stack([np.interp(x, steps, centre[:, k]) for k in range(3)], axis=1)
    here, lift = np.interp(x, steps, angle), np.interp(x, steps, pitch)
    side = np.stack([-np.sin(here), np.cos(here), np.zeros_like(here)], axis=1)
    up = np.stack([np.cos(here) * np.sin(lift), np.sin(here) * np.sin(lift), np.cos(lift)], axis=1)
    height = z - 38.0
    return (
        at + y[:, None] * side + height[:, None] * up + np.array([0.0, 0.0, 38.0]) + 0.06 * height[:, None] * [0, 1, 0]
    )


def _ramp(values: Array, low: float, high: float) -> Array:
    """A smooth step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


# Scans


def scan(field: Field, pose: Array, *, spacing: float, noise: float, seed: int) -> tuple[Array, Array]:
    """Points and normals of a depth image in the camera's own frame (x right, y up, z towards the camera).

    pose: (4, 4) from world to camera. Rays run along -z on a grid of the given spacing in mm; depths get Gaussian noise
    of standard deviation ``noise`` mm, and what is seen at a grazing angle is lost, as it is to a real scanner.
    """
    to_world = np.linalg.inv(pose)
    x, y = np.meshgrid(np.arange(-70, 70, spacing), np.arange(-70, 70, spacing), indexing="xy")
    eye = np.stack([x.ravel(), y.ravel(), np.full(x.size, 80.0)], axis=1)
    world, ray = eye @ to_world[:3, :3].T + to_world[:3, 3], -to_world[:3, 2]
    travelled = np.zeros(len(eye))
    for _ in range(160):
        distance = field(world + travelled[:, None] * ray)
        travelled += np.where(travelled < 170, 0.7 * distance, 0)
    hit = (np.abs(distance) < 1e-2) & (travelled < 170)
    surface = (world + travelled[:, None] * ray)[hit]
    normals = gradient(field, surface)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    seen = normals @ -ray > 0.25
    points = surface[seen] @ pose[:3, :3].T + pose[:3, 3]
    points[:, 2] += noise * np.random.default_rng(seed).standard_normal(len(points))
    return points, normals[seen] @ pose[:3, :3].T


def look_from(degrees: float, lift: float, centre: Array, offset: Array) -> Array:
    """(4, 4) from world to a camera that stands ``degrees`` round the vertical axis and ``lift`` degrees up."""
    around, up = np.radians(degrees), np.radians(lift)
    backward = np.array([np.cos(around) * np.cos(up), np.sin(around) * np.cos(up), np.sin(up)])
    right = np.array([-np.sin(around), np.cos(around), 0.0])
    rotation = np.stack([right, np.cross(backward, right), backward])
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = offset - rotation @ centre
    return pose


# Files


def write_ply(path: Path, columns: dict[str, np.ndarray], faces: np.ndarray | None = None, comment: str = "") -> None:
    """A binary PLY file: one column per vertex property, triangles if given."""
    names = {"f": "float", "i": "int"}
    dtype = [(name, "<f4" if values.dtype.kind == "f" else "<i4") for name, values in columns.items()]
    vertices = np.zeros(len(next(iter(columns.values()))), dtype)
    for name, values in columns.items():
        vertices[name] = values
    header = ["ply", "format binary_little_endian 1.0", f"comment {comment}", f"element vertex {len(vertices)}"]
    header += [f"property {names[values.dtype.kind]} {name}" for name, values in columns.items()]
    body = vertices.tobytes()
    if faces is not None:
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
        triangles = np.zeros(len(faces), [("count", "u1"), ("indices", "<i4", 3)])
        triangles["count"], triangles["indices"] = 3, faces
        body += triangles.tobytes()
    path.write_bytes(("\n".join([*header, "end_header"]) + "\n").encode() + body)


def xyz(points: Array) -> dict[str, np.ndarray]:
    return dict(zip("xyz", points.T, strict=True))


def make_creature() -> None:
    low, high = np.array([-88.0, -22.0, -6.0]), np.array([78.0, 22.0, 100.0])
    vertices, faces = mesh_of(creature, low, high, spacing=1.75)
    write_ply(HERE / "creature.ply", xyz(vertices), faces, "millimetres")

    angle = np.radians(25.0)
    axis = np.array([0.2, -0.3, 0.9]) / np.linalg.norm([0.2, -0.3, 0.9])
    cross = np.cross(np.eye(3), axis)
    rotation = np.eye(3) - np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    moved = bend(vertices) @ rotation.T + np.array([12.0, -30.0, 8.0])
    order = np.random.default_rng(0).permutation(len(vertices)).astype(np.int32)  # row of the target -> source vertex
    place = np.argsort(order)
    write_ply(
        HERE / "creature_bent.ply",
        {**xyz(moved[order]), "source_index": order},
        place[faces],
        "millimetres; vertex k of this file is vertex source_index[k] of creature.ply",
    )


def make_scans() -> None:
    centre = np.array([0.0, 0.0, 45.0])
    source_pose = look_from(70.0, 15.0, centre, np.array([0.0, 0.0, 0.0]))
    target_pose = look_from(110.0, 10.0, centre, np.array([6.0, -4.0, 3.0]))
    for name, pose, seed in [("scan_source", source_pose, 1), ("scan_target", target_pose, 2)]:
        points, normals = scan(figure, pose, spacing=0.85, noise=0.08, seed=seed)
        columns = {**xyz(points), **dict(zip(("nx", "ny", "nz"), normals.T, strict=True))}
        write_ply(HERE / f"{name}.ply", columns, comment="millimetres, in the frame of its camera")
    truth = target_pose @ np.linalg.inv(source_pose)
    np.savetxt(HERE / "scan_source_to_target.txt", truth, fmt="%.17g")


if __name__ == "__main__":
    make_creature()
    make_scans()
