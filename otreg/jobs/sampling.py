"""Which points stand for each of two shapes: the vertices of a mesh, or pieces of its faces where vertices cannot.

The mass of a large face lies on its corners. Where the other shape has points in the middle of that face, they pull the
corners there: a pose gets less exact, and a spline bends. Two meshes with the same faces do not suffer from it, however
large these are, because each corner has a partner.
"""

from __future__ import annotations

import numpy as np

from otreg.config import TransportConfig
from otreg.measures.from_shape import Sampling
from otreg.shapes import Shape
from otreg.shapes.sizes import cell_sizes, corner_means, owners, top_blocks

# Faces are cut until no edge is longer than this many blurs. Shorter ones cost time and change no answer.
_EDGE = 2.0
# From this many blurs on, root mean square, between the corners of faces and their middle, the answer is clearly worse;
_BLURS = 2.0
# when one shape has so many times as many points as the other, these cannot be the same vertices.
_TIMES = 1.5


def samplings_for(
    source: Shape, target: Shape, config: TransportConfig, *, diagonal: float
) -> tuple[Sampling, Sampling]:
    """What the settings want to stand for each shape; with "auto", the faces of the coarse one of two different meshes.

    A mesh is coarse when its typical face has longer edges than ``edge_bound``. diagonal: of the target, in file units.
    """
    if config.sampling != "auto":
        return config.sampling, config.sampling
    if config.weights is not None or _same_faces(source, target):
        return "vertices", "vertices"

    def chosen(shape: Shape) -> Sampling:
        # The corners of a triangle with edges of length 1 are 1 / sqrt(3) from its middle.
        unit = edge_bound(shape, config, diagonal=diagonal)
        return "faces" if cell_spread(shape, unit=unit) > 3**-0.5 else "vertices"

    return chosen(source), chosen(target)


def edge_bound(shape: Shape, config: TransportConfig, *, diagonal: float) -> float:
    """The length, in file units, above which an edge is too long for its face to be one point; diagonal: of the target.

    The unit of the source may be another one, so that it is measured in its own size where that is larger.
    """
    own = float(np.linalg.norm(np.ptp(shape.points, axis=0)))
    return _EDGE * config.blur.in_frame(diagonal) * max(diagonal, own)


def coarse_mesh(
    source: Shape, target: Shape, samplings: tuple[Sampling, Sampling], *, blur: float, diagonal: float
) -> list[str]:
    """A sentence when one of two shapes is a mesh whose faces are too large for its vertices to stand for them.

    source: where it was moved to; samplings: what stood for the shapes; blur: in diagonals; diagonal: of the target, in
    file units.
    """
    both = (source, samplings[0], "source"), (target, samplings[1], "target")
    (fewer, sampling, role), (more, _, _) = sorted(both, key=lambda one: len(one[0].points))
    if sampling != "vertices" or len(more.points) < _TIMES * len(fewer.points):
        return []
    if cell_spread(fewer, unit=diagonal) <= _BLURS * blur:
        return []
    return [
        f"the faces of the {role} are large beside the blur, and the other shape has points between their corners, "
        "which lead the fit astray; let pieces of the faces stand for it, with --sampling faces"
    ]


def _same_faces(source: Shape, target: Shape) -> bool:
    """Whether two meshes have the same cells between vertices of the same numbers, as copies that were bent have."""
    here, there = top_blocks(source), top_blocks(target)
    if len(source.points) != len(target.points) or [b.kind for b in here] != [b.kind for b in there]:
        return False
    return all(
        np.array_equal(a.indices, b.indices) and np.array_equal(owners(a), owners(b))
        for a, b in zip(here, there, strict=True)
    )


def cell_spread(shape: Shape, *, unit: float = 1.0) -> float:
    """The distance from the corners of the cells to their middle, root mean square over the surface; 0 for clouds.

    unit: the length, in file units, that it is measured in.
    """
    # In small numbers, since squares of huge ones would overflow.
    points = (shape.points - shape.points[0]) / unit
    size, spread = 0.0, 0.0
    for block in top_blocks(shape):
        corners = points[block.indices.reshape(-1)]
        middle = corner_means(block, corners)
        squares = corner_means(block, ((corners - middle[owners(block)]) ** 2).sum(1, keepdims=True))[:, 0]
        sizes = cell_sizes(block, points)
        size, spread = size + float(sizes.sum()), spread + float((sizes * squares).sum())
    return (spread / size) ** 0.5 if size > 0 else 0.0
