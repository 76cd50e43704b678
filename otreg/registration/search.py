"""Where to start: a search over all poses, so that a source may come in any orientation and at any place.

Rounds of coarse comparisons (see rounds) leave a few poses. Where even the best one leaves much of a shape without a
partner, or fits badly, the shapes may have a part in common only, and poses in which parts look alike (see parts) join
those few; then the surface that lies on surface (see surfaces) says which are worth a registration. Nothing here is
random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from otreg.measures import Measure
from otreg.models.linear import LinearModel
from otreg.registration.coarse import Poses
from otreg.registration.parts import alike
from otreg.registration.rounds import Normalised, Outcome, play_rounds
from otreg.registration.surfaces import Surfaces

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
# Cells of the smaller shape in which parts are matched.
_CELLS = 1500
# Poses that go on are at most so many, and share at least this part of what the best one does.
_MOST, _RATIO = 5, 0.75
# Where all of both shapes finds a partner, but the best score is above this share of the squared reach, parts for which
# so much more speaks are believed: a pose that lays cut on cut may find a partner for everything.
_DOUBTFUL, CLEARLY = 0.01, 1.1
# Where the same surface lies on itself, this share of what is near the other one lies closely on it: of scans of one
# object 0.98 and more, of two individuals 0.4.
RIGHT = 0.8
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
    that has less; a score is then the squared reach times what speaks against a pose over what speaks for it. exact:
    and there they lie closely on each other, so that no divergence need be asked; blur is then how fine they were.
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
    exact: bool = False
    mirrored: bool = False


def search(source: Measure, target: Measure, start: LinearModel, *, bends: bool = False) -> Found:
    """The best poses of a source against a target, from everywhere and from ``start``, a rigid or similarity model.

    bends: a model that bends the source follows, so that shapes which are whole may differ.
    """
    scale = start.name == "similarity"
    source, target = (
        Measure(m.points.detach().cpu().double(), m.weights.detach().cpu().double()) for m in (source, target)
    )
    normal = Normalised(source, target, scale=scale)
    rounds = list(play_rounds(normal, start))
    last, tried = rounds[-1], len(rounds[0].poses)
    poses, scores, given = last.poses, last.scores, last.given
    density, shared, exact, blur = 1.0, None, False, last.blur
    overlap = last.overlap
    whole = overlap >= _WHOLE
    if not whole or (last.best > _DOUBTFUL * last.reach**2 and not bends):
        parts = _with_parts(normal, last, overlap)
        whole = whole and not parts.instead
    if not whole:
        poses, given, density = parts.poses, parts.given, parts.density
        tried += parts.tried
        # Both sides share as much as the smaller one has, but their cells do not count exactly alike.
        part = parts.speaks.clamp(0.01, 1)
        shared, scores = float(parts.shared[0].clamp(max=1)), last.reach**2 * (1 / part - 1)
        exact, blur = parts.exact, min(blur, parts.edge) if parts.exact else blur
    order = scores.argsort(stable=True)
    return Found(
        models=tuple(normal.model(start, poses, int(index)) for index in order),
        scores=tuple(float(score) for score in scores[order]),
        given=int((order == given).nonzero()[0, 0]),
        blur=blur,
        reach=last.reach,
        starts=tried,
        density=density,
        shared=shared,
        exact=exact,
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


def _with_parts(normal: Normalised, outcome: Outcome, overlap: float) -> _Parts:
    """The poses of the last round and those in which parts look alike, as far as they share enough surface.

    overlap: of the best of the poses.
    """
    poses, given = outcome.poses, outcome.given
    found = [Poses(poses.matrix.double(), poses.offset.double())]
    sizes = _SIZES if overlap < _MOST_OF_IT else _NEAR_SIZES
    for size in sizes if normal.scale else sizes[:1]:
        found.append(alike(Surfaces(normal.source, normal.target, count=_CELLS, size=size), _ALIKE))
    every = Poses.join(found)
    # The best of them differ in details that coarse cells do not show.
    fine = Surfaces(normal.source, normal.target)
    refined = fine.refined(every, scale=normal.scale)
    contact = fine.contact(refined)
    speaks = torch.where(contact.closely >= _RATIO * contact.closely.max(), contact.score, 0)
    exact = float(contact.right[speaks.argmax()]) >= RIGHT
    if not exact:
        speaks = contact.shared
    order = speaks.argsort(descending=True, stable=True)
    kept = [int(index) for index in order[fine.distinct(refined[order], _MOST)]]
    kept = [index for index in kept if speaks[index] >= _RATIO * speaks[kept[0]]]
    kept = kept if given in kept else [*kept, given]
    return _Parts(
        refined[torch.tensor(kept)],
        contact.shared[kept],
        speaks[kept],
        exact=exact,
        instead=exact and bool(speaks[kept[0]] > CLEARLY * speaks[outcome.scores.argmin()]),
        edge=fine.edge,
        given=kept.index(given),
        tried=len(every) - len(poses),
        density=fine.density if max(fine.density, 1 / fine.density) > _DENSITY else 1.0,
    )


@dataclass(frozen=True)
class _Parts:
    """Poses, the surface that each shares, and what speaks for it.

    exact: the first lays the very same surface on itself. instead: and clearly more speaks for it than for the pose
    that lays as much mass on mass as it can. edge: of the cells that say so; given: index of the start as given; tried:
    poses that were new; density: mass of the target per surface over that of the source.
    """

    poses: Poses
    shared: torch.Tensor
    speaks: torch.Tensor
    exact: bool
    instead: bool
    edge: float
    given: int
    tried: int
    density: float
