"""Asymmetric shapes as measures, sampled at will, and known motions of them: the truth that registrations must find.

A shape is a function from points of a sphere, a circle or an interval to space. Its samples carry the area (or length)
around each of them, so that two samplings of a shape are nearly the same measure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from otreg.measures import Frame, Measure
from otreg.registration.surfaces import Surfaces

Array = npt.NDArray[np.float64]
Map = Callable[[Array], Array]


def sphere(n: int, seed: int = 0) -> Array:
    """n points spread evenly over the unit sphere: a Fibonacci lattice, turned at random unless seed is 0."""
    k = np.arange(n) + 0.5
    z, angle = 1 - 2 * k / n, np.pi * (1 + 5**0.5) * k
    radius = np.sqrt(1 - z**2)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
    if seed:
        points = points @ np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    return points


def bumpy(directions: Array, bumps: Array, heights: Array, axes: Array) -> Array:
    """An ellipsoid with smooth bumps of some heights around some directions."""
    radius = 1 + np.exp(4 * (directions @ bumps.T - 1)) @ heights
    return directions * radius[:, None] * axes


def potato(directions: Array) -> Array:
    """Three different axes, four different bumps: no symmetry, not even nearly."""
    bumps = np.array([[1.0, 0.2, 0.1], [-0.3, 0.9, 0.4], [0.1, -0.5, 0.85], [-0.7, -0.1, -0.7]])
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    return bumpy(directions, bumps, np.array([0.5, 0.4, -0.25, 0.3]), np.array([1.0, 0.65, 0.45]))


def pear(directions: Array) -> Array:
    """Longish, thick at one end, with a nose."""
    bumps = np.array([[0.0, 0.0, 1.0], [0.8, 0.1, 0.6], [-0.2, 0.95, -0.2]])
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    return bumpy(directions, bumps, np.array([0.8, 0.5, 0.3]), np.array([0.5, 0.4, 0.9]))


def rock(n: int, seed: int = 0, kind: int = 1) -> Array:
    """n points of an ellipsoid with thirty bumps and dents, no two parts of which look alike."""
    rng = np.random.default_rng(kind)
    bumps = rng.standard_normal((30, 3))
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    directions = sphere(n, seed)
    # Sharper bumps than those of a potato: exponents four times as large.
    heights = rng.uniform(-0.25, 0.35, 30)
    radius = 1 + np.exp(16 * (directions @ bumps.T - 1)) @ heights
    return directions * radius[:, None] * [1.0, 0.75, 0.6]


def bone(n: int, seed: int = 0) -> Array:
    """n points of a long shape that nearly is its own image when it is turned around: a small head, and some knobs."""
    knobs = np.array([[1.0, 0.5, 0.2], [0.4, -0.8, 0.5], [-0.3, 0.5, 0.8], [-0.6, -0.7, -0.4], [0.1, 0.3, -0.9]])
    knobs /= np.linalg.norm(knobs, axis=1, keepdims=True)
    directions = sphere(n, seed)
    radius = 1 + np.exp(20 * (directions @ knobs.T - 1)) @ np.array([0.2, 0.14, -0.12, 0.16, 0.12])
    return directions * radius[:, None] * [1.0, 0.35, 0.3]


def in_half(points: Array, direction: npt.ArrayLike, share: float) -> Array:
    """The points furthest along a direction, so many of them."""
    height = points @ np.asarray(direction)
    return points[height >= np.quantile(height, 1 - share)]


def even(points: Array) -> Array:
    """(n,) equal weights."""
    return np.full(len(points), 1 / len(points))


def leaf(angles: Array) -> Array:
    """A closed curve of the plane with three lobes of different sizes."""
    radius = 1 + 0.25 * np.cos(angles) + 0.2 * np.cos(3 * angles + 0.4) + 0.1 * np.sin(2 * angles)
    return radius[:, None] * np.stack([np.cos(angles), 0.7 * np.sin(angles)], axis=1)


def spring(parameters: Array) -> Array:
    """An open curve of space: a helix whose pitch and radius grow."""
    t = parameters
    return np.stack([(0.3 + 0.3 * t) * np.cos(9 * t), (0.3 + 0.3 * t) * np.sin(9 * t), 0.8 * t + 0.7 * t**2], axis=1)


SURFACES: dict[str, Map] = {"potato": potato, "pear": pear}
CURVES: dict[str, Map] = {"leaf": leaf, "spring": spring}
SHAPES = (*SURFACES, *CURVES)


def sample(name: str, n: int, seed: int = 0) -> tuple[Array, Array]:
    """n points of a shape, (n, d), and the share of its area or length around each, (n,). Seeds sample differently."""
    if name in SURFACES:
        directions = sphere(n, seed)
        return SURFACES[name](directions), _area_shares(SURFACES[name], directions)
    rng = np.random.default_rng(seed)
    parameters = (np.arange(n) + (0.5 if seed == 0 else rng.uniform(0, 1, n))) / n
    if name == "leaf":
        parameters = 2 * np.pi * parameters
    points = CURVES[name](parameters)
    # Half of the way to each neighbour; the neighbours of the ends of an open curve are the ends themselves.
    padded = np.concatenate([points[-1:], points, points[:1]] if name == "leaf" else [points[:1], points, points[-1:]])
    steps = np.linalg.norm(np.diff(padded, axis=0), axis=1)
    lengths = steps[:-1] + steps[1:]
    return points, lengths / lengths.sum()


def _area_shares(surface: Map, directions: Array) -> Array:
    """Shares of the image's area for points that are even on the sphere: lengths of cross products of tangents."""
    helper = np.where(np.abs(directions[:, :1]) < 0.6, [[1.0, 0, 0]], [[0, 1.0, 0]])
    first = np.cross(directions, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(directions, first)
    step = 1e-4
    tangents = [
        (surface(_unit(directions + step * t)) - surface(_unit(directions - step * t))) for t in (first, second)
    ]
    areas = np.linalg.norm(np.cross(*tangents), axis=1)
    return areas / areas.sum()


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def rotation(degrees: float, d: int, seed: int = 0) -> Array:
    """(d, d) rotation by an angle, in space about a random axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    if d == 2:
        return np.array([[c, -s], [s, c]])
    x, y, z = _unit(np.random.default_rng(seed).standard_normal((1, 3)))[0]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + s * cross + (1 - c) * cross @ cross


def linear(matrix: Array, shift: float = 0.0) -> Map:
    """x -> matrix @ x + offset, with an offset of length ``shift`` in a direction off the axes."""
    d = len(matrix)
    direction = np.array([0.6, -0.64, 0.48])[:d]
    return lambda points: points @ matrix.T + shift * direction / np.linalg.norm(direction)


def bend(points: Array) -> Array:
    """A smooth motion of space, far from affine: every line along the first axis becomes a wave."""
    moved = points.copy()
    moved[:, 1] += 0.12 * np.sin(2.2 * points[:, 0] + 0.3)
    moved[:, 0] += 0.06 * np.cos(2.5 * points[:, 1])
    return moved


@dataclass(frozen=True)
class Pair:
    """Source and target in the target's frame, and where the source's points belong, (n, d), in the same frame."""

    source: Measure
    target: Measure
    truth: Array
    frame: Frame


def pair(
    name: str, motion: Map, *, n: int = 1200, m: int | None = None, seed: int = 0, noise: float = 0.0, unit: float = 1.0
) -> Pair:
    """A shape and its moved copy. m, seed: points and sampling of the target; noise: share of the diagonal per axis;
    unit: factor on all coordinates of both files."""
    points, weights = sample(name, n)
    there, target_weights = sample(name, n if m is None else m, seed)
    there = motion(there)
    diagonal = float(np.linalg.norm(np.ptp(there, axis=0)))
    there = there + noise * diagonal * np.random.default_rng(7).standard_normal(there.shape)
    return paired(points * unit, weights, there * unit, target_weights, truth=motion(points) * unit)


def paired(source: Array, weights: Array, target: Array, target_weights: Array, *, truth: Array) -> Pair:
    """Any two sampled shapes in the target's frame."""
    frame = Frame.of(target)
    return Pair(
        source=Measure(torch.from_numpy(frame.to_frame(source)), torch.from_numpy(weights)),
        target=Measure(torch.from_numpy(frame.to_frame(target)), torch.from_numpy(target_weights)),
        truth=frame.to_frame(truth),
        frame=frame,
    )


def rms(vectors: Array) -> float:
    """Root mean square length of the rows."""
    return float(np.sqrt(np.square(vectors).sum(1).mean()))


def surfaces(source: Array, target: Array, count: int = 800) -> Surfaces:
    """Two clouds of equal weights as surfaces."""
    return Surfaces(*(Measure(torch.from_numpy(p), torch.from_numpy(even(p))) for p in (source, target)), count=count)
