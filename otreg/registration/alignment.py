"""The small motion that best follows the ways that points ask to go, when only the way across the shape can be trusted.

Where two scans overlap in part, points beside the common part are drawn along the surface towards its border, and the
pose with them: an error that grows with the reach. Across the surface there is no such pull. So a way is measured in
the metric of the shape around each point, in which moves along it cost next to nothing (Segal et al. 2009,
generalised ICP). Around the points of a volume, or of a cloud without structure, it is the same in all directions.
Everything here takes any number of leading dimensions, so that many poses are followed at once.
"""

from __future__ import annotations

import torch

from otreg.transport.neighbours import nearest

# Variance along the thinnest direction that counts as none, as a share of the whole: a way along a flat surface weighs
# a fiftieth of one across it, which still decides where nothing else does (planes, cylinders).
_FLAT = 0.02
# Neighbours around a point, per dimension, that say how the shape lies there.
_NEIGHBOURS = 4
# The largest turn (radians) or change of log size in one step: beyond it, the linearisation is worth nothing.
_LARGEST_STEP = 0.5
# Directions in which the data ask for less than this share of the others stay as they are.
_RANK = 1e-6
# What they ask for below this share of the most is rounding, in single precision.
_ROUNDING = 1e-5


def shape_metric(points: torch.Tensor) -> torch.Tensor:
    """(n, d, d) metric around each of (n, d) points, from the covariance of its neighbours; its scale is arbitrary."""
    n, d = points.shape
    count = min(n, _NEIGHBOURS * d)
    around = points[nearest(points, points, count)]
    around = around - around.mean(1, keepdim=True)
    covariance = around.transpose(1, 2) @ around / count
    spread = covariance.diagonal(dim1=1, dim2=2).sum(1).clamp_min(torch.finfo(points.dtype).tiny)[:, None, None]
    eye = torch.eye(d, dtype=points.dtype, device=points.device)
    return torch.linalg.inv(covariance / spread + _FLAT * eye)


def generators(dimension: int, *, scale: bool, like: torch.Tensor) -> torch.Tensor:
    """(k, d, d) directions in which a linear map can change: the turns of each plane, and the size."""
    d = dimension
    found = []
    for i in range(d):
        for j in range(i):
            turn = torch.zeros(d, d, dtype=like.dtype, device=like.device)
            turn[i, j], turn[j, i] = 1.0, -1.0
            found.append(turn)
    if scale:
        found.append(torch.eye(d, dtype=like.dtype, device=like.device))
    return torch.stack(found)


def small_motion(
    points: torch.Tensor, ways: torch.Tensor, weights: torch.Tensor, metric: torch.Tensor, *, scale: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """(matrix (..., d, d), offset (..., d)) of the motion x -> matrix @ x + offset that follows the ways best.

    points: (n, d); ways: (..., n, d); weights: (..., n), >= 0; metric: (n, d, d); scale: may the size change.
    One Gauss-Newton step, solved exactly: weighted least squares over the generators and the translation.
    """
    n, d = points.shape
    directions = generators(d, scale=scale, like=points)
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(points.dtype).tiny)
    centre = weights @ points  # (..., d)
    # Column k of a point's design: where generator k moves it, about the origin; the centre is taken out below.
    turned = torch.einsum("kde,ne->ndk", directions, points)
    identity = torch.eye(d, dtype=points.dtype, device=points.device).expand(n, d, d)
    design = torch.cat([turned, identity], 2)  # (n, d, k + d)
    measured = metric @ design
    normal = (weights @ (design.transpose(1, 2) @ measured).flatten(1)).unflatten(-1, (design.shape[2],) * 2)
    right = (weights[..., None] * ways).flatten(-2) @ measured.flatten(0, 1)
    # About the centre the unknowns are of one size: shift the columns of the generators by what they do to it.
    k = len(directions)
    change = torch.eye(k + d, dtype=points.dtype, device=points.device).expand(*normal.shape).clone()
    change[..., k:, :k] = -torch.einsum("kde,...e->...dk", directions, centre)
    normal = (change.mT @ normal @ change).double()
    right = (change.mT @ right[..., None]).double()
    # Where all weight is on one point a turn does nothing.
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    least = _ROUNDING * diagonal.amax(-1, keepdim=True)
    ridge = torch.maximum(_RANK * diagonal, least - diagonal) + torch.finfo(torch.float64).tiny
    solution = torch.linalg.solve(normal + torch.diag_embed(ridge), right)[..., 0].to(points.dtype)
    turn, shift = solution[..., :k], solution[..., k:]
    size = turn.norm(dim=-1, keepdim=True)
    turn = turn * (_LARGEST_STEP / size.clamp_min(_LARGEST_STEP))
    matrix = torch.linalg.matrix_exp(torch.einsum("...k,kde->...de", turn, directions))
    return matrix, centre + shift - (matrix @ centre[..., None])[..., 0]
