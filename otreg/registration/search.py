"""Where to start: a search over all poses, so that a source may come in any orientation and at any place.

Rounds of coarse comparisons (see rounds) leave a few poses. Where even the best one leaves much of a shape without a
partner, the shapes have a part in common only, and poses in which parts look alike (see parts) join those few; then the
surface that lies on surface says which are worth a registration. Nothing here is random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from otreg.measures import Measure
from otreg.models.linear import LinearModel
from otreg.registration.coarse import Poses
from otreg.registration.parts import Surfaces
from otreg.registration.rounds import Normalised, Outcome, play_rounds

# Shapes whose best pose keeps less of one of them than this have a part in common only.
_WHOLE = 0.9
# The source's mirror image is looked at where the source scores more than this share of the squared reach. It is worth
# a word where it scores less than the last of these shares of what the source does; on the way there, less than the
# others, as soon as rounds see enough. On real pairs that are right it has 0.98 of it and more, where one side was
# mirrored 0.6 to 0.004, and where a shape is its own mirror image 0.95 to 1.15.
_POOR, _CLOSER = 0.02, (math.inf, 0.8, 0.8, 0.5)
# Poses in which parts look alike that join the others, and the sizes of the source that are tried for a similarity,
# over the one that gives both shapes one radius.
_ALIKE = 12
# An object in a scene is much smaller than the scene; but where a pose of equal radii lays this much of each shape on
# the other, neither is a small part of the other.
_SIZES = (1.0, 0.8, 1.25, 0.64, 1.5625, 0.512, 0.41)
_NEAR_SIZES, _MOST_OF_IT = _SIZES[:3], 0.75
# Cells of the smaller shape in which parts are matched, and in which the surface is measured that poses share.
_CELLS, _FINE_CELLS = 1500, 5000
# Poses that go on are at most so many, and share at least this part of what the best one does.
_MOST, _RATIO = 5, 0.75
# Densities closer than this are one: another sampling of a shape changes them by as much.
_DENSITY = 1.2
# Another pose is another answer, not a neighbour, from this angle on.
OTHER_DEGREES = 20.0


@dataclass(frozen=True)
class Found:
    """The poses that are worth a registration.

    models: best first; scores: their divergences on coarse cells, in squared frame units; given: index of the model
    that the start as given led to; blur, reach: what the scores compared; starts: how many poses were tried.
    shared: None, or where only parts match: the surface that the first pose lays on surface, over that of the shape
    that has less; a score is then the squared reach times the surface that is not shared over the one that is.
    density: mass of the target per surface over that of the source, other than 1 where only parts match.
    mirrored: the source's mirror image fits the target far better.
    """

    models: tuple[LinearModel, ...]
    scores: tuple[float, ...]
    given: int
    blur: float
    reach: float
    starts: int
    density: float = 1.0
    shared: float | None = None
    mirrored: bool = False


def search(source: Measure, target: Measure, start: LinearModel) -> Found:
    """The best poses of a source against a target, from everywhere and from ``start``, a rigid or similarity model."""
    scale = start.name == "similarity"
    source, target = (
        Measure(m.points.detach().cpu().double(), m.weights.detach().cpu().double()) for m in (source, target)
    )
    normal = Normalised(source, target, scale=scale)
    rounds = list(play_rounds(normal, start))
    last, tried = rounds[-1], len(rounds[0].poses)
    poses, scores, given = last.poses, last.scores, last.given
    density, shared = 1.0, None
    overlap = last.overlap
    if overlap < _WHOLE:
        parts = _with_parts(normal, poses, given, overlap)
        poses, given, density = parts.poses, parts.given, parts.density
        tried += parts.tried
        # Both sides share as much as the smaller one has, but their cells do not count exactly alike.
        part = parts.shared.clamp(1e-6, 1)
        shared, scores = float(part[0]), last.reach**2 * (1 / part - 1)
    order = scores.argsort(stable=True)
    return Found(
        models=tuple(normal.model(start, poses, int(index)) for index in order),
        scores=tuple(float(score) for score in scores[order]),
        given=int((order == given).nonzero()[0, 0]),
        blur=last.blur,
        reach=last.reach,
        starts=tried,
        density=density,
        shared=shared,
        mirrored=_mirror_image_fits(normal, start, rounds),
    )


def _mirror_image_fits(normal: Normalised, start: LinearModel, rounds: list[Outcome]) -> bool:
    """Whether all of the source's mirror image has a place on the target, far closer than the source in any pose."""
    if rounds[-1].best <= _POOR * rounds[-1].reach ** 2:
        return False
    for share, known, mirrored in zip(_CLOSER, rounds, play_rounds(normal.mirrored(), start), strict=True):
        if mirrored.best > share * known.best:
            return False
    return mirrored.overlap >= _WHOLE


def _with_parts(normal: Normalised, poses: Poses, given: int, overlap: float) -> _Parts:
    """The poses and those in which parts look alike, as far as they share enough surface.

    overlap: of the best of the poses.
    """
    found = [Poses(poses.matrix.double(), poses.offset.double())]
    sizes = _SIZES if overlap < _MOST_OF_IT else _NEAR_SIZES
    for size in sizes if normal.scale else sizes[:1]:
        found.append(Surfaces(normal.source, normal.target, count=_CELLS, size=size).alike(_ALIKE))
    every = Poses.join(found)
    # The best of them differ in details that coarse cells do not show.
    fine = Surfaces(normal.source, normal.target, count=_FINE_CELLS)
    refined = fine.refined(every)
    shared = fine.shared(refined)
    order = shared.argsort(descending=True, stable=True)
    kept = [int(index) for index in order[fine.distinct(refined[order], _MOST)]]
    kept = [index for index in kept if shared[index] >= _RATIO * shared[kept[0]]]
    kept = kept if given in kept else [*kept, given]
    return _Parts(
        refined[torch.tensor(kept)],
        shared[kept],
        given=kept.index(given),
        tried=len(every) - len(poses),
        density=fine.density if max(fine.density, 1 / fine.density) > _DENSITY else 1.0,
    )


@dataclass(frozen=True)
class _Parts:
    """Poses and the surface that each shares; given: index of the start as given; tried: poses that were new."""

    poses: Poses
    shared: torch.Tensor
    given: int
    tried: int
    density: float
