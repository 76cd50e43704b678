"""Poses in which parts of two shapes look alike: where to start when the shapes have no more than a part in common.

A search that lays mean on mean cannot find an object in a scene, or scans that share less than half. Here points that
look alike are matched, and of the matches those are kept that one motion can explain: matches whose distances among
themselves are the same on both sides, and which have many such partners in common (second order spatial
compatibility, Chen et al. 2022, SC2-PCR). Poses are ranked by the surface they lay on surface. Nothing is random.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from otreg.registration.coarse import Poses
from otreg.registration.descriptors import Array, descriptors_of
from otreg.registration.surfaces import Surfaces

# Matches that are kept, and how many of the nearest descriptors of the other side a match must be among, on both sides.
_MATCHES, _NEAREST = 1000, 3
# Distances between matched points agree when they differ by less than so many edges; closer ones say nothing.
_AGREE, _APART = 1.5, 4.0
# Groups of matches that are tried, matches per group, and groups that are refined.
_SEEDS, _GROUP, _REFINED = 300, 12, 60


def alike(surfaces: Surfaces, count: int) -> Poses:
    """At most ``count`` distinct poses in which parts look alike, those for which most speaks first."""
    source, target = surfaces.source, surfaces.target
    matched = _matches(*(descriptors_of(s.points, s.normals, surfaces.edge) for s in (source, target)))
    d = source.points.shape[1]
    if len(matched) < d:
        return Poses(torch.empty(0, d, d, dtype=torch.float64), torch.empty(0, d, dtype=torch.float64))
    found = _consistent(source.points[matched[:, 0]], target.points[matched[:, 1]], surfaces.edge)
    poses = Poses(found.matrix * surfaces.size, found.offset)
    # Most groups agree on one of a few motions.
    poses = poses[surfaces.distinct(poses, _SEEDS)]
    poses = _best(surfaces, poses, surfaces.contact(poses).shared, _REFINED)
    poses = surfaces.refined(poses)
    return _best(surfaces, poses, surfaces.contact(poses).score, count)


def _best(surfaces: Surfaces, poses: Poses, score: torch.Tensor, count: int) -> Poses:
    """Those with the largest scores, at most ``count``, no two of them the same."""
    poses = poses[score.argsort(descending=True, stable=True)]
    return poses[surfaces.distinct(poses, count)]


def _matches(x: Array, y: Array) -> npt.NDArray[np.int64]:
    """(k, 2) indices of descriptors (n, f) and (m, f) that are among the nearest of each other, best first."""
    apart = torch.cdist(torch.from_numpy(x).float(), torch.from_numpy(y).float())
    n, m = apart.shape
    there = apart.topk(min(_NEAREST, m), dim=1, largest=False).indices
    back = apart.topk(min(_NEAREST, n), dim=0, largest=False).indices
    chosen = torch.zeros(n, m, dtype=torch.int8)
    chosen[torch.arange(n)[:, None], there] += 1
    chosen[back, torch.arange(m)[None]] += 1
    pairs = (chosen == 2).nonzero()
    # What looks like everything else says little: the more unusual a point is, the more its match counts.
    unusual = torch.from_numpy(np.linalg.norm(x - x.mean(0), axis=1)).float()
    rank = apart[pairs[:, 0], pairs[:, 1]] / unusual[pairs[:, 0]].clamp_min(1e-6)
    return np.asarray(pairs[rank.argsort(stable=True)[:_MATCHES]].numpy())


def _consistent(x: Array, y: Array, edge: float) -> Poses:
    """The poses that groups of agreeing matches x -> y (k, d) ask for."""
    near, far = (torch.cdist(points, points) for points in (torch.from_numpy(x), torch.from_numpy(y)))
    agree = (1 - ((near - far) / (_AGREE * edge)).square()).clamp_min(0).float()
    agree *= (near > _APART * edge) & (far > _APART * edge)
    second = agree * (agree @ agree)
    seeds = second.sum(1).argsort(descending=True, stable=True)[:_SEEDS]
    weights, group = second[seeds].topk(min(_GROUP, second.shape[1]), dim=1)
    group = torch.cat([seeds[:, None], group], 1)
    weights = torch.cat([weights[:, :1], weights], 1).double()
    return _motions(torch.from_numpy(x)[group], torch.from_numpy(y)[group], weights)


def _motions(x: torch.Tensor, y: torch.Tensor, weights: torch.Tensor) -> Poses:
    """The rigid motions that best lay (s, k, d) points on others, by Procrustes."""
    weights = (weights / weights.sum(1, keepdim=True).clamp_min(1e-300))[..., None]
    here, there = ((weights * points).sum(1, keepdim=True) for points in (x, y))
    u, _, vt = torch.linalg.svd((y - there).mT @ (weights * (x - here)))
    u = torch.cat([u[..., :-1], u[..., -1:] * torch.linalg.det(u @ vt)[:, None, None]], 2)
    matrix = u @ vt
    return Poses(matrix, (there - here @ matrix.mT)[:, 0])
