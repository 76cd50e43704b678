"""How a shape becomes a measure: its mass lies on its points, in proportion to the surface around each.

A mesh's vertices are dense where its author wanted detail, not where the shape is large; weights by length, area or
volume make two meshes of one surface nearly the same measure. Clouds have no cells, so their points weigh alike.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from otreg.errors import ArgumentError, InputError
from otreg.measures.frame import Frame
from otreg.measures.measure import Measure
from otreg.shapes.cutting import longest_edges, pieces_of
from otreg.shapes.describe import describe
from otreg.shapes.shape import CellBlock, Shape
from otreg.shapes.sizes import ORDER, cell_sizes, corner_means, lumped_sizes, order_of, simplex_sizes, top_blocks
from otreg.shapes.triangles import fan

__all__ = ["Sampling", "describe", "measure_from_shape", "weights_of_shape"]

Floats = npt.NDArray[np.float64]
Sampling = Literal["vertices", "faces"] | int
# Cells are cut into about as many pieces at most: ten times those of a surface at a blur of 1 %.
MOST_PIECES = 250_000


def weights_of_shape(shape: Shape) -> Floats:
    """(n,) share of each point in the shape's length, area or volume, in file units; 1/n each for a cloud.

    A third of each triangle's area, half of each segment's length, a quarter of each tetrahedron's volume goes to each
    corner. Where kinds of cells are mixed, only those of the highest dimension count. Points without cells get 0.
    """
    n = len(shape.points)
    order = order_of(shape)
    if order == 0:
        return np.full(n, 1 / n)
    scaled, scale = _scaled(shape.points)
    return sum((lumped_sizes(block, scaled) for block in top_blocks(shape)), np.zeros(n)) * scale**order


def measure_from_shape(
    shape: Shape,
    frame: Frame,
    *,
    sampling: Sampling = "vertices",
    weights: str | None = None,
    features: Floats | None = None,
    longest_edge: float = np.inf,
    seed: int = 0,
) -> Measure:
    """The shape as a measure of mass 1, in frame units, float64, on the CPU.

    sampling: "vertices" puts each point's share of the surface on it (point i of the measure is point i of the shape);
    "faces" puts each cell's size on its centroid, or, where it has an edge longer than ``longest_edge`` (file units),
    the sizes of its pieces on theirs; a number draws that many points evenly from the surface, or from the points of a
    cloud.
    weights: name of a point attribute to weigh the points by instead (>= 0, finite, with a positive sum).
    features: (n, k) of the points, in frame units; faces and samples get a mean of those of their corners.
    seed: of the draw. Raises InputError when the points are fewer than 2 or all equal, or the weights are unusable.
    """
    if len(shape.points) < 2:
        raise InputError(f"{_name(shape)}a shape needs at least 2 points to be registered; found {len(shape.points)}")
    mass = None if weights is None else _attribute_weights(shape, weights)
    d = shape.dimension
    # Positions, with features beside them: what is not a point itself lies between points in both alike.
    values = shape.points if features is None else np.concatenate([shape.points, features], axis=1)
    if sampling == "vertices":
        mass = weights_of_shape(shape) if mass is None else mass
    elif sampling == "faces":
        if mass is not None:
            raise ArgumentError("weights belong to points: they need sampling 'vertices' or a number; got 'faces'")
        values, mass = _centroids(shape, values, longest_edge)
    elif isinstance(sampling, int) and not isinstance(sampling, bool) and sampling >= 2:
        values, mass = _samples(shape, values, sampling, mass, np.random.default_rng(seed))
    else:
        raise ArgumentError(f"sampling must be 'vertices', 'faces' or a number >= 2; got {sampling!r}")
    # Divided by the largest first: the sum of weights near the largest float would overflow.
    largest = mass.max(initial=0.0)
    if not largest > 0:
        raise InputError(
            f"{_name(shape)}all weights are zero: its cells have no length, area or volume; "
            "remove the cells, or name an attribute with --weights"
        )
    mass = mass / largest
    points = values[:, :d]
    heavy = points[mass > 0]
    if (heavy == heavy[0]).all():
        raise InputError(f"{_name(shape)}all points that carry mass are equal; at least 2 different points are needed")
    return Measure(
        points=torch.from_numpy(np.ascontiguousarray(frame.to_frame(points))),
        weights=torch.from_numpy(mass / mass.sum()),
        features=None if features is None else torch.from_numpy(np.ascontiguousarray(values[:, d:])),
    )


def _attribute_weights(shape: Shape, name: str) -> Floats:
    values = shape.point_data.get(name)
    if values is None:
        known = ", ".join(shape.point_data) or "none"
        raise InputError(f"{_name(shape)}has no point attribute '{name}' to weigh by; it has: {known}")
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise InputError(f"{_name(shape)}attribute '{name}' must hold one number per point; found {values.dtype}")
    mass = values.astype(np.float64)
    bad = ~(np.isfinite(mass) & (mass >= 0))
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(f"{_name(shape)}weights must be finite and >= 0; '{name}' of point {i} is {mass[i]:g}")
    if not mass.any():
        raise InputError(f"{_name(shape)}all weights are zero in attribute '{name}'; at least one must be positive")
    return mass


def _centroids(shape: Shape, values: Floats, longest_edge: float) -> tuple[Floats, Floats]:
    """Means of (n, k) values over the corners of the cells or of their pieces, and sizes up to a common factor."""
    blocks = top_blocks(shape)
    if not blocks:
        raise InputError(f"{_name(shape)}sampling 'faces' needs a shape with cells; found a cloud. Use 'vertices'")
    scaled, scale = _scaled(shape.points)
    d = shape.dimension
    means, sizes = [], []
    for block in blocks:
        simplices = _simplices(block)
        if longest_edges(scaled[simplices]).max(initial=0.0) > longest_edge / scale:
            both = np.concatenate([scaled, values], axis=1)
            middles, size = pieces_of(both[simplices], longest=longest_edge / scale, dimension=d, most=MOST_PIECES)
            means.append(middles[:, d:])
            sizes.append(size)
            continue
        corners = values[block.indices.reshape(-1)]
        means.append(corner_means(block, corners - values[0]) + values[0])
        sizes.append(cell_sizes(block, scaled))
    return np.concatenate(means), np.concatenate(sizes)


def _simplices(block: CellBlock) -> npt.NDArray[np.int64]:
    """(m, k) corners of the simplices of one block of cells."""
    return fan(block) if ORDER[block.kind] == 2 else block.indices


def _samples(
    shape: Shape, values: Floats, count: int, mass: Floats | None, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """(n, k) values at ``count`` points of equal weight, drawn from the cells by size, or from a cloud by weight."""
    if mass is not None or order_of(shape) == 0:
        n = len(shape.points)
        if count >= n:
            return values, np.full(n, 1 / n) if mass is None else mass
        if mass is None:
            chosen = np.sort(random.choice(n, count, replace=False))
        else:
            chosen = _stratified(mass, count, random)
        return values[chosen], np.full(count, 1 / count)
    scaled, _ = _scaled(shape.points)
    simplices = np.concatenate([_simplices(block) for block in top_blocks(shape)])
    sizes = simplex_sizes(scaled[simplices])
    if not sizes.any():
        return values[:1], np.zeros(1)
    corners = values[simplices[_stratified(sizes, count, random)]]
    # Exponential variables over their sum are uniform on the simplex (its barycentric coordinates).
    share = random.exponential(size=corners.shape[:2])
    share /= share.sum(1, keepdims=True)
    return np.einsum("sk,skd->sd", share, corners - corners[:, :1]) + corners[:, 0], np.full(count, 1 / count)


def _stratified(sizes: Floats, count: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """``count`` indices drawn in proportion to ``sizes``, one from each of ``count`` equal shares of the total."""
    total = np.cumsum(sizes / sizes.max())
    at = (np.arange(count) + random.random(count)) * (total[-1] / count)
    chosen = np.searchsorted(total, at, side="right")
    last = int(np.flatnonzero(sizes)[-1])  # rounding may carry the last draw past the end
    return np.minimum(chosen, last)


def _scaled(points: Floats) -> tuple[Floats, float]:
    """The points centred and divided by the diagonal, and the diagonal: sizes of huge shapes would overflow."""
    low, high = points.min(0), points.max(0)
    scale = float(np.linalg.norm(high - low)) or 1.0
    return (points - (low + high) / 2) / scale, scale


def _name(shape: Shape) -> str:
    return f"{shape.path}: " if shape.path is not None else ""
