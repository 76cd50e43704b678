"""What the points of a shape have besides a place: the side that a surface shows there, or a part that they belong to.

Features become further coordinates of the transport cost (:mod:`otreg.measures.features`): two points whose features
differ lie that much farther apart. Here they are found for the points of a shape, so that normals at a right angle, or
two labels, differ by one; whatever else stands for the shape (faces, samples) interpolates them like positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from otreg.errors import InputError
from otreg.shapes.shape import Shape
from otreg.shapes.sizes import order_of, top_blocks
from otreg.shapes.triangles import triangles_of, vertex_normals

if TYPE_CHECKING:
    from scipy.sparse import coo_array

Floats = npt.NDArray[np.float64]

# Attributes that hold normals, as formats and programs call them.
NORMAL_ARRAYS = ("normals", "Normals")
NORMAL_COLUMNS = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))
# Attributes that hold labels when none is named.
LABEL_NAMES = ("label", "labels", "Label", "Labels")
# More different values are no labels, but a quantity; each costs one coordinate.
MOST_LABELS = 64
# Share of edges whose two faces go round in opposite ways that a surface may have: a few of them are defects.
_TURNED_EDGES = 0.05
# What looks away from its middle by less than this is a sheet, neither side of which is the outer one.
_CLEARLY = 0.1
# Points lie in a plane when they leave it by less than this share of their extent: what text files round.
_FLAT = 1e-5


def normals_of(shape: Shape) -> Floats:
    """(n, d) normals of length 1 / sqrt(2): those of the faces, else those that are attributes of the points.

    Closed surfaces and closed curves of a plane show their outside, whichever way their cells go round.
    Raises InputError for shapes that have none: clouds without such an attribute, curves that lie in no plane, volumes;
    and where neighbouring cells show different sides.
    """
    order, d = order_of(shape), shape.dimension
    if order == 2 and d == 3:
        triangles = triangles_of(shape)
        _check_sides(shape, triangles)
        normals = _side(triangles, shape.points) * vertex_normals(shape)
    elif order == 1 and (axes := _plane(shape.points)) is not None:
        normals = _curve_normals(shape, shape.points @ axes) @ axes.T
    elif order == 0:
        normals = _stored_normals(shape)
    else:
        kind = {1: "curves that do not lie in a plane", 2: "areas of the plane", 3: "volumes"}[order]
        raise InputError(f"{_name(shape)}{kind} have no normals; use --features labels or none")
    if not normals.any():
        raise InputError(f"{_name(shape)}all its normals are zero; use --features none")
    return normals / 2**0.5


def sides_agree(source: Shape, target: Shape) -> bool:
    """Whether two shapes are surfaces whose faces show the same side, as far as the meshes can tell in any pose.

    All neighbouring faces must go round alike. Closed surfaces then show their outside; those that are not must look
    clearly away from their middle in both shapes, or clearly towards it.
    """
    sides = [_outwardness(shape) for shape in (source, target)]
    return all(side is not None and side > _CLEARLY for side in sides) or all(
        side is not None and side < -_CLEARLY for side in sides
    )


def labels_of(shapes: Sequence[Shape], column: str | None) -> list[Floats]:
    """For each shape (n, k) indicators, times 1 / sqrt(2), of the k values that a point attribute has in any of them.

    column: its name; by default "label" or "labels". Raises InputError when a shape has no such attribute, or when it
    has more than 64 different values.
    """
    columns = [_labels(shape, column) for shape in shapes]
    classes = np.unique(np.concatenate([values.astype(str) for values in columns]))
    if len(classes) > MOST_LABELS:
        raise InputError(
            f"{_name(shapes[0])}labels must have at most {MOST_LABELS} different values; found {len(classes)} in both "
            "shapes. Name a column of few values with --features labels:COLUMN"
        )
    return [(values.astype(str)[:, None] == classes) / 2**0.5 for values in columns]


def _labels(shape: Shape, column: str | None) -> np.ndarray:
    names = LABEL_NAMES if column is None else (column,)
    found = next((shape.point_data[name] for name in names if name in shape.point_data), None)
    if found is None:
        known = ", ".join(shape.point_data) or "none"
        asked = f"'{column}'" if column is not None else "'label' or 'labels'"
        raise InputError(
            f"{_name(shape)}has no point attribute {asked} to tell parts by; it has: {known}. "
            "Name one with --features labels:COLUMN"
        )
    if found.ndim != 1 or (found.dtype.kind == "f" and not np.isfinite(found).all()):
        raise InputError(f"{_name(shape)}labels must be one value per point, none of them NaN; found others")
    return found


def _stored_normals(shape: Shape) -> Floats:
    d = shape.dimension
    found = [shape.point_data[name] for name in NORMAL_ARRAYS if name in shape.point_data]
    for names in NORMAL_COLUMNS:
        if all(name in shape.point_data for name in names[:d]):
            found.append(np.stack([shape.point_data[name] for name in names[:d]], axis=1))
    fitting = [values for values in found if values.shape == (len(shape.points), d)]
    if not fitting:
        raise InputError(
            f"{_name(shape)}has neither faces nor normals of its points (attributes nx, ny, nz or normals); "
            "use --features none"
        )
    normals = fitting[0].astype(np.float64)
    if not np.isfinite(normals).all():
        raise InputError(f"{_name(shape)}normals must be finite; found NaN or infinity. Use --features none")
    return _unit(normals)


def _check_sides(shape: Shape, triangles: npt.NDArray[np.int64]) -> None:
    """InputError when neighbouring faces often go round in opposite ways."""
    twice = _turned_edges(triangles, len(shape.points))
    if twice > _TURNED_EDGES * 3 * len(triangles) / 2:
        raise InputError(
            f"{_name(shape)}normals need faces that go round alike; {twice} edges lie between faces that do not. "
            "Orient them, or use --features none"
        )


def _turned_edges(triangles: npt.NDArray[np.int64], n: int) -> int:
    """How many edges lie between faces that go round in opposite ways: these share it in one direction."""
    edges = _edges(triangles)
    sorted_edges = np.sort(edges[:, 0] * n + edges[:, 1])
    return int((sorted_edges[1:] == sorted_edges[:-1]).sum())


def _closed(triangles: npt.NDArray[np.int64], n: int) -> bool:
    """Whether every edge lies between two faces."""
    one, other = _edges(triangles).T
    edges = np.sort(np.minimum(one, other) * n + np.maximum(one, other))
    # Each of them twice, and no more: equal ones in pairs, which differ from the next pair.
    even = len(edges) % 2 == 0
    return even and bool((edges[::2] == edges[1::2]).all() and (edges[1:-1:2] < edges[2::2]).all())


def _edges(triangles: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)


def _side(triangles: npt.NDArray[np.int64], points: Floats) -> float:
    """-1 for closed surfaces whose faces show their inside, by the sign of the enclosed volume; else 1."""
    if not _closed(triangles, len(points)):
        return 1.0
    corners = points[triangles] - points[triangles[0, 0]]
    volume = np.einsum("td,td->t", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum()
    return -1.0 if volume < 0 else 1.0


def _outwardness(shape: Shape) -> float | None:
    """How much the faces of a surface look away from its middle: 1 for a sphere and for all closed surfaces, -1 for a
    sphere that is open and shows its inside, 0 for a flat sheet. None without faces in space that have an area
    and all go round alike.

    It is the flux of the way from the middle through the surface, over the largest that it can be, in any pose.
    """
    triangles, n = triangles_of(shape), len(shape.points)
    if order_of(shape) != 2 or shape.dimension != 3 or _turned_edges(triangles, n):
        return None
    # Centred and scaled, so that neither far origins nor huge or tiny units lose digits.
    corners = ((shape.points - shape.points.mean(0)) / (np.ptp(shape.points, axis=0).max() or 1.0))[triangles]
    doubled = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area, middles = np.linalg.norm(doubled, axis=1), corners.mean(1)
    if not area.any():
        return None
    if _closed(triangles, n):
        return 1.0  # normals_of turns them outwards
    ways = middles - area @ middles / area.sum()
    return float((ways * doubled).sum() / (np.linalg.norm(ways, axis=1) @ area))


def _plane(points: Floats) -> Floats | None:
    """(d, 2) axes of the plane that points lie in; None when they do not lie in one."""
    if points.shape[1] == 2:
        return np.eye(2)
    centred = (points - points.mean(0)) / (np.ptp(points, axis=0).max() or 1.0)
    extents, axes = np.linalg.eigh(centred.T @ centred / len(points))
    if extents[0] > _FLAT**2 * extents[-1]:
        return None
    # Seen from where its normal points up, or else to the front or the right: the first two axes where z is constant.
    up = axes[:, 0] * np.sign(axes[np.flatnonzero(np.abs(axes[:, 0]) > 0.5)[-1], 0])
    first = np.eye(3)[int(np.argmin(np.abs(up)))]
    first = first - (first @ up) * up
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(up, first)], axis=1)


def _curve_normals(shape: Shape, points: Floats) -> Floats:
    """(n, 2) unit normals at the points of curves, weighted by length; points: (n, 2) the shape's, in its plane.

    Closed curves show their outside, open ones the right side of the way that most of their lines go.
    """
    n = len(points)
    segments = np.concatenate([block.indices for block in top_blocks(shape)])
    crowded = int((np.bincount(segments.reshape(-1), minlength=n) > 2).sum())
    if crowded:
        raise InputError(
            f"{_name(shape)}normals need curves that do not branch; at {crowded} points they do. Use --features none"
        )
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components  # only curves wait for these imports

    graph = coo_array((np.ones(len(segments)), segments.T), shape=(n, n)).tocsr()
    _, curve = connected_components(graph, directed=False)
    place = _places_along(graph, curve)
    forward = np.where(np.abs(place[segments[:, 0]] - place[segments[:, 1]]) == 1, 1, -1)  # -1: where a ring closes
    forward = forward * np.sign(place[segments[:, 1]] - place[segments[:, 0]])
    of_segment = curve[segments[:, 0]]
    along = forward[:, None] * (points[segments[:, 1]] - points[segments[:, 0]])
    corners = points[segments] - points[segments[0, 0]]
    doubled = forward * (corners[:, 0, 0] * corners[:, 1, 1] - corners[:, 0, 1] * corners[:, 1, 0])
    closed = np.bincount(of_segment, minlength=curve.max() + 1) == np.bincount(curve)
    side = np.where(
        closed, np.bincount(of_segment, doubled, len(closed)), np.bincount(of_segment, forward, len(closed))
    )
    along = np.where(side < 0, -1, 1)[of_segment][:, None] * along
    across = np.stack([along[:, 1], -along[:, 0]], axis=1)  # to the right, which is outside, counterclockwise
    sums = [np.bincount(segments.reshape(-1), np.repeat(across[:, k], 2), n) for k in range(2)]
    return _unit(np.stack(sums, axis=1))


def _places_along(graph: coo_array, curve: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(n,) places of the points, such that those along a curve follow each other, from one end if there is one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import depth_first_order

    n = len(curve)
    ends = np.asarray((graph + graph.T).astype(bool).sum(1)).reshape(-1) < 2
    # One walk through all curves, from a point beside them that leads to one point of each: an end before others.
    order = np.lexsort((~ends, curve))
    firsts = order[np.unique(curve[order], return_index=True)[1]]
    whole = graph.tocoo()
    rows = np.concatenate([whole.row, np.full(len(firsts), n)])
    columns = np.concatenate([whole.col, firsts])
    rooted = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n + 1, n + 1)).tocsr()
    walk = depth_first_order(rooted, n, directed=False, return_predecessors=False)
    place = np.empty(n + 1, dtype=np.int64)
    place[walk] = np.arange(n + 1)
    return place[:n]


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def _name(shape: Shape) -> str:
    return f"{shape.path}: " if shape.path is not None else ""
