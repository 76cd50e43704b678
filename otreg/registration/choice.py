"""Which of the poses that a search found is the answer: the few best go down the blurs together until one is left.

Coarse cells cannot tell poses apart whose difference is a detail. So the poses follow the shapes at the blurs of the
registration, and at each blur those that are clearly worse than the best stop. Where the shapes have a part in common
only, divergences say which pose moves least mass, not which one is right; where that part is the very same surface, how
it lies on itself decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from otreg.models.linear import LinearModel
from otreg.registration.cover import angles
from otreg.registration.levels import Level
from otreg.registration.overlap import overlap_steps
from otreg.registration.rounds import NOISE
from otreg.registration.search import OTHER_DEGREES, Found
from otreg.registration.settings import RegistrationSettings

# A pose goes on while its divergence is at most so many times that of the best one.
_RATIO = 1.3
# Divergences within this factor are as good as each other: of such poses the one that turns the source least is taken,
# and the other one reported.
_EVEN = 1.1
# Of poses that share surface, those that share this much of what the best one does are as good as each other, and those
# that share less, but more than the second part, are reported.
_SHARED_EVEN, _SHARED_NEARLY = 0.98, 0.8
# Steps of a pose at a blur: it is near its place already. Not more than so many go on to the next one.
_STEPS = 6
_MOST = 3
_TOLERANCE = 0.03


@dataclass(frozen=True)
class Choice:
    """The pose to go on from, and how it compares: divergences of the winner and of the best pose that is turned by
    at least 20 degrees from it (degrees apart), at ``blur`` and ``reach``; None when there is no such pose."""

    model: LinearModel
    blur: float
    reach: float
    score: float
    runner_up: float | None
    degrees: float | None
    ambiguous: bool
    from_given: bool


@dataclass(frozen=True)
class _Entrant:
    model: LinearModel
    score: float
    given: bool
    turn: float


def choose(
    found: Found,
    start: LinearModel,
    *,
    blurs: list[float],
    level: Callable[[LinearModel, float], Level],
    pull: Callable[[LinearModel], float],
    settings: RegistrationSettings,
) -> Choice:
    """The best of the poses found, followed down the blurs as long as more than one may be the answer.

    start: as given; blurs: from coarse to fine; level: the problem at a blur for a model, with a finite reach; pull: of
    the landmarks on a model.
    """
    entrants = [
        _Entrant(model, score, index == found.given, turn=_turn(model, start))
        for index, (model, score) in enumerate(zip(found.models, found.scores, strict=True))
    ]
    if found.exact:
        # Landmarks tell poses apart that the shapes do not.
        entrants = [replace(entrant, score=entrant.score + pull(entrant.model)) for entrant in entrants]
        best = min(entrant.score for entrant in entrants) + found.reach**2
        even, nearly = (best / part - found.reach**2 for part in (_SHARED_EVEN, _SHARED_NEARLY))
        return _compare(entrants, found.blur, found.reach, even=even, nearly=nearly)
    choice = _compare(entrants, found.blur, found.reach)
    entrants = _remaining(entrants, found.reach)
    for blur in blurs:
        if len(entrants) == 1:
            break
        entrants, reach = _follow(entrants, blur, level, settings)
        choice = _compare(entrants, blur, reach)
        entrants = _distinct(_remaining(entrants, reach))[:_MOST]
    return choice


def _follow(
    entrants: list[_Entrant], blur: float, level: Callable[[LinearModel, float], Level], settings: RegistrationSettings
) -> tuple[list[_Entrant], float]:
    """The entrants after some steps at a blur, and its reach."""
    moved, few, reach, unmatched = [], replace(settings, iterations=_STEPS), 0.0, 0.0
    for entrant in entrants:
        problem = level(entrant.model, blur)
        assert problem.reach is not None
        reach = problem.reach
        state = problem.evaluate(entrant.model, None)
        for progress in overlap_steps(problem, state, few, _TOLERANCE * blur):
            state = progress.evaluation
        assert isinstance(state.model, LinearModel)
        unmatched = reach**2 * abs(float(problem.weights.sum()) - float(problem.target.measure.weights.sum()))
        # Landmarks tell poses apart that the shapes do not.
        moved.append(replace(entrant, model=state.model, score=state.transport.value + state.pull))
    # Mass that has no partner in any pose, as that of a scene around an object, must not make poses look even.
    common = min(unmatched, *(entrant.score for entrant in moved))
    return [replace(entrant, score=entrant.score - common) for entrant in moved], reach


def _compare(
    entrants: list[_Entrant], blur: float, reach: float, *, even: float | None = None, nearly: float | None = None
) -> Choice:
    """The first in rank beside the best of those that are turned from it.

    even: up to which score entrants are as good as the best; nearly: up to which score a turned one is reported.
    """
    even = _even(entrants, reach) if even is None else even
    winner = _ranked(entrants, even)[0]
    others = [entrant for entrant in entrants if _apart(entrant, winner) > OTHER_DEGREES]
    rival = min(others, key=lambda entrant: entrant.score, default=None)
    return Choice(
        model=winner.model,
        blur=blur,
        reach=reach,
        score=winner.score,
        runner_up=None if rival is None else rival.score,
        degrees=None if rival is None else _apart(rival, winner),
        ambiguous=rival is not None and rival.score <= (even if nearly is None else nearly),
        from_given=winner.given,
    )


def _remaining(entrants: list[_Entrant], reach: float) -> list[_Entrant]:
    """Those whose score is not clearly worse than the best, in rank."""
    best = min(entrant.score for entrant in entrants)
    limit = max(_RATIO * best, best + NOISE * reach**2)
    return [entrant for entrant in _ranked(entrants, _even(entrants, reach)) if entrant.score <= limit]


def _ranked(entrants: list[_Entrant], even: float) -> list[_Entrant]:
    """Those that are as good as the best by how little they turn the source, then the others by their score."""
    return sorted(entrants, key=lambda entrant: (0, entrant.turn) if entrant.score <= even else (1, entrant.score))


def _even(entrants: list[_Entrant], reach: float) -> float:
    """Up to which score entrants are as good as the best."""
    best = min(entrant.score for entrant in entrants)
    return max(_EVEN * best, best + NOISE * reach**2)


def _distinct(entrants: list[_Entrant]) -> list[_Entrant]:
    """The first of each group that came to the same pose; it counts as given if one of them is."""
    kept: list[_Entrant] = []
    for entrant in entrants:
        same = next((k for k, other in enumerate(kept) if _apart(entrant, other) < 1.0), None)
        if same is None:
            kept.append(entrant)
        elif entrant.given:
            kept[same] = replace(kept[same], given=True)
    return kept


def _apart(one: _Entrant, other: _Entrant) -> float:
    return _turn(one.model, other.model)


def _turn(one: LinearModel, other: LinearModel) -> float:
    """Degrees between the rotations of two poses."""
    return float(angles(one.matrix, other.matrix))
