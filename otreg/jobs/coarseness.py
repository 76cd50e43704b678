"""Whether the vertices of a mesh can stand for its surface beside the points of another shape.

With sampling "vertices" the mass of a large face lies on its corners. Where the other shape has points in the middle of
that face, they pull the corners there: a pose gets less exact, and a spline bends. Two meshes with the same faces do
not suffer from it, however large these are, because each corner has a partner.
"""

from __future__ import annotations

import numpy as np

from otreg.config import TransportConfig
from otreg.shapes import Shape
from otreg.shapes.sizes import cell_sizes, owners, top_blocks

# A mesh is coarse when its corners are farther than this many blurs from the middle of their faces, root mean square;
# and when the other shape has so many times as many points, these cannot be the same vertices.
_BLURS = 2.0
_TIMES = 1.5


def coarse_mesh(source: Shape, target: Shape, config: TransportConfig, *, diagonal: float) -> list[str]:
    """A sentence when one of two shapes is a mesh whose faces are too large for its vertices to stand for them.

    source: where it was moved to; diagonal: of the target, in file units.
    """
    if config.sampling != "vertices" or config.weights is not None:
        return []
    fewer, more = (source, target) if len(source.points) <= len(target.points) else (target, source)
    if len(more.points) < _TIMES * len(fewer.points):
        return []
    if cell_spread(fewer, unit=diagonal) <= _BLURS * config.blur.in_frame(diagonal):
        return []
    return [
        f"the faces of the {'source' if fewer is source else 'target'} are large beside the blur, and the other shape "
        "has points between their corners, which lead the fit astray; compare points of the surface instead, with "
        "--sampling 10000 or more"
    ]


def cell_spread(shape: Shape, *, unit: float = 1.0) -> float:
    """The distance from the corners of the cells to their middle, root mean square over the surface; 0 for clouds.

    unit: the length, in file units, that it is measured in.
    """
    # In small numbers, since squares of huge ones would overflow.
    points = (shape.points - shape.points[0]) / unit
    size, spread = 0.0, 0.0
    for block in top_blocks(shape):
        owner = owners(block)
        count = np.maximum(np.bincount(owner, minlength=len(block)), 1)
        corners = points[block.indices.reshape(-1)]
        middle = np.stack([np.bincount(owner, column, len(block)) for column in corners.T], axis=1) / count[:, None]
        squares = np.bincount(owner, ((corners - middle[owner]) ** 2).sum(1), len(block)) / count
        sizes = cell_sizes(block, points)
        size, spread = size + float(sizes.sum()), spread + float((sizes * squares).sum())
    return (spread / size) ** 0.5 if size > 0 else 0.0
