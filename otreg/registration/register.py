"""Registration: a start, then stages of models, each driven through a continuation of blurs from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter

import torch

from otreg.config import SPLINES
from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.models import BendingModel, Model, start_model
from otreg.models.linear import LinearModel
from otreg.registration.bend import BendReport
from otreg.registration.cells import Cells
from otreg.registration.choice import choose
from otreg.registration.landmarks import Pose, Springs
from otreg.registration.levels import Evaluation, Level, TargetLevel
from otreg.registration.optimisers import OPTIMISERS, Ending, Optimiser, Progress
from otreg.registration.overlap import overlap_steps
from otreg.registration.result import Registration, SearchReport, Stage, Step
from otreg.registration.search import CLEARLY, RIGHT, search
from otreg.registration.settings import POSES, RegistrationSettings
from otreg.registration.softening import STIFFEST, least_stiffness, spacing
from otreg.registration.surfaces import Surfaces, poses_of
from otreg.registration.turning import moved_features
from otreg.transport import Sinkhorn
from otreg.transport.annealing import blur_schedule

# Every stage starts at a blur of at least a tenth of the target's diagonal: some hundred cells that see all of it.
_COARSEST_BLUR = 0.1
_BLUR_RATIO = 0.5
# A model before the last one hands over at this blur: it only has to bring the next one near.
_HANDOVER_BLUR = 0.025
# Before the last blur there is no point in steps much finer than the blur.
_COARSE_TOLERANCE = 0.03
# A pose that creeps at a coarse blur is better off at the next one.
_COARSE_STEPS = 12
# Reach over blur: at coarse blurs the reach is at least this many blurs, so that far parts still find each other.
_REACH_OVER_BLUR = 3.0
# When less of the source than this finds a partner at the coarsest blur, the shapes are apart (or of other size), and
# the first level moves all mass to bring them together.
_SMALLEST_SHARE = 0.3
# From this blur on, and at the last one anyway, a pose follows the parts that overlap: closer, shapes tell them apart.
_OVERLAP_BLUR = 0.04
# What speaks for a pose that lays all of two shapes on each other, as one surface and other points of it: 0.9.
_WHOLLY = 0.8
# The blurs after a search start at most at so many times the one where it ended.
_ABOUT = 1.5
# Reach over blur where a pose follows them: the longer, the more it is pulled to the borders of the other shape.
_OVERLAP_REACH = 2.0
# Where landmarks gave the pose, it is off by at most so many times their error; but it is not believed to be better
# than at the end of a search.
_LANDMARK_ERRORS = 3.0
_BEST_KNOWN = 0.02
# Steps that a level typically takes, for the estimate of the time left.
_TYPICAL_STEPS = 5

OnStep = Callable[[Step], None]


def register(
    source: Measure,
    target: Measure,
    settings: RegistrationSettings,
    *,
    start: LinearModel | None = None,
    landmarks: tuple[torch.Tensor, torch.Tensor] | None = None,
    on_step: OnStep | None = None,
) -> Registration:
    """The model that moves the source onto the target.

    source, target: measures of one dimension on one device, in the target's frame. start: a linear map from which the
    first model starts instead of what ``settings.init`` says; it may not be more general than that model.
    landmarks: points of the source and their partners, (k, d) each, in the same frame; see
    :mod:`otreg.registration.landmarks`. Where ``settings.init`` is "auto" and they determine a pose, it is the start.
    on_step: called after every step.
    Not converging is a status of the result; raises ArgumentError for settings that cannot be met.
    """
    if source.dimension != target.dimension:
        raise ArgumentError(
            f"source and target must have one dimension; got {source.dimension} and {target.dimension}."
        )
    springs = None if landmarks is None else Springs.of(landmarks, source, settings.landmark_weight)
    run = _Run(source, target, settings, springs, on_step)
    pose = None
    if springs is not None and start is None and settings.init == "auto":
        pose = springs.pose("rigid" if settings.models[0] == "rigid" else "similarity", source, target)
    model: Model | None = start if pose is None else pose.model
    found: SearchReport | None = None
    stages: list[Stage] = []
    for name in settings.models:
        known = model is not None
        model = _start(name, source, model, settings)
        coarsest = None if stages else _coarsest(pose)
        if not known:
            model, found = run.first_pose(model)
            coarsest = None if found is None else found.blur
        if not stages and found is None and pose is None:
            model, stage = run.from_given(model)
        else:
            model, stage = run.stage(model, first=not stages, coarsest=coarsest)
        stages.append(stage)
    assert model is not None
    with torch.no_grad():
        features = source.features
        if not settings.features_in_result:
            features, target = None, replace(target, features=None)
        if features is not None:
            features = moved_features(features, model, source.points, turning=settings.turning_features)
        moved = Measure(model(source.points), source.weights.double(), features)
        transport = Sinkhorn(settings.blur, reach=settings.reach, reduction=settings.reduction)(moved, target)
    return Registration(
        model=model,
        transport=transport,
        stages=tuple(stages),
        converged=all(stage.converged for stage in stages) and transport.converged,
        status=_status(stages, transport.status, transport.converged),
        seconds=run.seconds,
        overlap=float((moved.weights * transport.source_map.overlap.clamp(max=1)).sum() / moved.mass),
        search=found,
        landmarks=None if springs is None else springs.report(model(springs.points), blur=settings.blur),
        bend=BendReport.of(model, source, asked=settings.stiffness, stiffened=run.stiffened),
    )


class _Run:
    """What the stages of one registration share: the measures, the clock, and how much of the work is done."""

    def __init__(
        self,
        source: Measure,
        target: Measure,
        settings: RegistrationSettings,
        springs: Springs | None,
        on_step: OnStep | None,
    ) -> None:
        self._source, self._target, self._settings, self._on_step = source, target, settings, on_step
        self._springs = springs
        self._started = perf_counter()
        self._blurs = blur_schedule(max(_COARSEST_BLUR, settings.blur), settings.blur, _BLUR_RATIO)
        self._work = sum(self._effort(blur) for name in settings.models for blur in self._blurs_of(name))
        self._done = 0.0
        # Whether a spline had to get stiffer at the last blur, so as not to fold.
        self.stiffened = False
        # Between neighbouring points of the shape that has fewer of them.
        self._spacing = 0.0
        self._targets: dict[tuple[float, float | None, float], TargetLevel] = {}
        # Mass of the target per surface over that of the source, where the search says that they differ.
        self._density = 1.0
        # Whether a search found a partner for all of both shapes.
        self._whole = False
        # Larger blurs do not see the features, and are done sooner without them; the last one always does.
        self._features_seen = max(settings.blur, _seen(target))
        self._featured = Cells(source, blur=settings.blur), Cells(target, blur=settings.blur)
        self._plain = self._featured
        if source.features is not None:
            bare, bare_target = replace(source, features=None), replace(target, features=None)
            self._plain = Cells(bare, blur=settings.blur), Cells(bare_target, blur=settings.blur)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return perf_counter() - self._started

    def first_pose(self, model: Model) -> tuple[Model, SearchReport | None]:
        """Where the first model starts, and what a search for it found."""
        settings = self._settings
        if settings.init == "centroid":
            assert isinstance(model, LinearModel)
            return model.after(torch.eye(model.dimension).to(model.matrix), self._target.mean - self._source.mean), None
        if not settings.searches:
            return model, None
        assert isinstance(model, LinearModel)
        started = self.seconds
        found = search(self._source, self._target, model, bends=settings.models[-1] not in POSES)
        self._density, self._whole = found.density, found.shared is None
        choice = choose(
            found,
            model,
            blurs=self._blurs_from(found.blur),
            level=lambda pose, blur: self._level(pose, blur, self._overlap_reach(blur) or _OVERLAP_REACH * blur),
            pull=lambda pose: 0.0 if self._springs is None else float(self._springs.energy(pose(self._springs.points))),
            settings=settings,
        )
        report = SearchReport(
            starts=found.starts,
            blur=choice.blur,
            reach=choice.reach,
            score=choice.score,
            runner_up=choice.runner_up,
            degrees=choice.degrees,
            ambiguous=choice.ambiguous,
            from_given=choice.from_given,
            seconds=self.seconds - started,
            shared=found.shared,
            mirrored=found.mirrored,
        )
        return choice.model, report

    def from_given(self, model: Model) -> tuple[Model, Stage]:
        """The first stage from a start that was given, which may be right although only parts of the shapes match.

        Coarse blurs lead a pose to where most of the mass has a partner. So where the surface in the end does not lie
        on surface, the start as given and where finer blurs lead it are looked at, too.
        """
        wide = self.stage(model, first=True)
        if not self._follows_overlap(model, self._blurs[-1]):
            return wide
        assert isinstance(model, LinearModel) and isinstance(wide[0], LinearModel)
        surfaces = Surfaces(self._source, self._target)
        score = float(surfaces.contact(poses_of([wide[0]])).score)
        if score > _WHOLLY:
            return wide
        finer = [blur for blur in self._blurs[:-1] if blur <= _OVERLAP_BLUR]
        starts = [model, self._quietly(model, finer)[0]] if finer else [model]
        poses = poses_of([start for start in starts if isinstance(start, LinearModel)])
        near = surfaces.refined(poses, scale=model.name == "similarity")
        contact = surfaces.contact(near)
        best = int(contact.score.argmax())
        if not (float(contact.right[best]) >= RIGHT and float(contact.score[best]) > CLEARLY * score):
            return wide
        pose = (part[best].to(model.device) for part in (near.matrix, near.offset))
        self._done -= self._effort(self._blurs[-1])  # which comes once more
        return self.stage(model.with_map(*pose), first=False, blurs=self._blurs[-1:])

    def _quietly(self, model: Model, blurs: list[float]) -> tuple[Model, Stage]:
        """A stage that nobody is told about, since it may not count."""
        on_step, done = self._on_step, self._done
        self._on_step = None
        try:
            return self.stage(model, first=False, blurs=blurs)
        finally:
            self._on_step, self._done = on_step, done

    def stage(
        self, model: Model, *, first: bool, coarsest: float | None = None, blurs: list[float] | None = None
    ) -> tuple[Model, Stage]:
        """Drive one model from the coarsest to the finest blur. coarsest: where a pose that was searched for starts;
        blurs: others than those of the model."""
        settings = self._settings
        steps: list[Step] = []
        ending = Ending.CONVERGED
        state: Evaluation | None = None
        blurs = self._blurs_of(model.name) if blurs is None else blurs
        if coarsest is not None and self._follows_overlap(model, coarsest):
            blurs = self._blurs_from(coarsest)
            # What the search did instead of the coarser blurs.
            self._done += sum(map(self._effort, self._blurs)) - sum(map(self._effort, blurs))
        if isinstance(model, BendingModel):
            with torch.no_grad():
                self._spacing = max(spacing(self._target.points), spacing(model(self._source.points)))
        # Stiffness of a spline over its least. Only Gauss-Newton steps make it softer.
        excess = STIFFEST if settings.optimizer == "gauss-newton" else 1.0
        for blur in blurs:
            if isinstance(model, BendingModel):
                model = model.with_stiffness(excess * least_stiffness(settings, blur))
            level, state = self._enter(model, blur, state, first=first and state is None and coarsest is None)
            tolerance = settings.tolerance
            if blur != self._blurs[-1]:
                tolerance = max(tolerance, _COARSE_TOLERANCE * blur)
            allowed = settings
            if blur != blurs[-1] and model.name in POSES:
                allowed = replace(settings, iterations=min(settings.iterations, _COARSE_STEPS))
            for k, progress in enumerate(self._optimiser(model, level)(level, state, allowed, tolerance), 1):
                state = progress.evaluation
                share = 1.0 if progress.ending else k / (k + _TYPICAL_STEPS)
                steps.append(self._step(model.name, len(steps) + 1, level, progress, share))
                if self._on_step is not None:
                    self._on_step(steps[-1])
                ending = progress.ending or ending
            model = state.model
            if isinstance(model, BendingModel):
                excess = min(excess, model.stiffness / least_stiffness(settings, blur))
                self.stiffened = progress.stiffened
            self._done += self._effort(blur)
        converged = ending in (Ending.CONVERGED, Ending.STALLED, Ending.NO_DESCENT)
        return model, Stage(model.name, tuple(blurs), tuple(steps), converged, ending.value)

    def _enter(
        self, model: Model, blur: float, previous: Evaluation | None, *, first: bool
    ) -> tuple[Level, Evaluation]:
        """The problem at a blur, and the model's evaluation there, from the potentials of the blur before."""
        reach = self._settings.reach
        if self._follows_overlap(model, blur):
            reach = self._overlap_reach(blur)
        elif reach is not None and blur != self._blurs[-1]:
            reach = max(reach, _REACH_OVER_BLUR * blur)
        level = self._level(model, blur, reach)
        # Potentials do not carry over to where features begin to count.
        carried = previous.transport if previous is not None and previous.featured == level.featured else None
        state = level.evaluate(model, carried)
        if first and reach is not None and self._apart(level, state):
            level = self._level(model, blur, None)
            state = level.evaluate(model, None)
        return level, state

    def _blurs_of(self, name: str) -> list[float]:
        """The blurs that the model of that name goes through."""
        if name == self._settings.models[-1]:
            return self._blurs
        return [blur for blur in self._blurs if blur >= _HANDOVER_BLUR] or self._blurs[:1]

    def _blurs_from(self, coarsest: float) -> list[float]:
        """The blurs that are about ``coarsest`` or finer: a larger one would lead a good pose astray."""
        return [blur for blur in self._blurs if blur <= _ABOUT * coarsest] or [self._settings.blur]

    def _follows_overlap(self, model: Model, blur: float) -> bool:
        """Whether a pose is to follow the parts that overlap, at this blur and with these settings.

        Only the last model does: before a model that bends, all of the shape should come as close as it can.
        """
        settings = self._settings
        wanted = settings.reach is not None and settings.optimizer == "gauss-newton"
        wanted = wanted and model.name in POSES and model.name == settings.models[-1]
        return wanted and (blur <= _OVERLAP_BLUR or blur == self._blurs[-1])

    def _overlap_reach(self, blur: float) -> float | None:
        reach = self._settings.reach
        return reach if reach is None or blur == self._blurs[-1] else max(reach, _OVERLAP_REACH * blur)

    def _optimiser(self, model: Model, level: Level) -> Optimiser:
        follows = level.reach is not None and self._follows_overlap(model, level.blur)
        return partial(overlap_steps, whole=self._whole) if follows else OPTIMISERS[self._settings.optimizer]

    def _level(self, model: Model, blur: float, reach: float | None) -> Level:
        # Parts that overlap match only where both shapes are as dense.
        density = self._density if reach is not None and self._follows_overlap(model, blur) else 1.0
        source, target = self._featured if blur <= self._features_seen else self._plain
        if (blur, reach, density) not in self._targets:
            self._targets[blur, reach, density] = TargetLevel(
                target, blur=blur, reach=reach, reduction=self._settings.reduction, density=density
            )
        return Level(
            source,
            self._targets[blur, reach, density],
            model,
            springs=self._springs,
            turning=self._settings.turning_features,
            spacing=self._spacing,
        )

    def _apart(self, level: Level, state: Evaluation) -> bool:
        mass = float(level.weights.sum())
        matched = float((level.weights * state.transport.matched_mass).sum())
        same_mass = abs(mass - float(self._target.mass)) <= 1e-4 * mass
        return same_mass and not matched >= _SMALLEST_SHARE * mass

    def _effort(self, blur: float) -> float:
        """Relative cost of a level: a constant, and the cells of a surface, which are no more than the points."""
        return 200 + min(2 / blur**2, max(len(self._source), len(self._target)))

    def _step(self, name: str, index: int, level: Level, progress: Progress, share: float) -> Step:
        """The report of a step; share: estimated part of the level's work that is done."""
        state = progress.evaluation
        return Step(
            stage=name,
            index=index,
            blur=level.blur,
            reach=level.reach,
            divergence=state.transport.value,
            marginal_error=state.transport.marginal_error,
            penalty=float(state.model.penalty()),
            move=progress.move,
            seconds=self.seconds,
            fraction=(self._done + share * self._effort(level.blur)) / self._work,
        )


def _seen(measure: Measure) -> float:
    """The largest blur that tells features apart: half of the range of their coordinates."""
    if measure.features is None:
        return 0.0
    return float((measure.features.amax(0) - measure.features.amin(0)).max()) / 2


def _coarsest(pose: Pose | None) -> float | None:
    """The blur at which a pose that landmarks gave may start; None when they are too few to say how good it is."""
    if pose is None or pose.error is None:
        return None
    return max(_LANDMARK_ERRORS * pose.error, _BEST_KNOWN)


def _start(name: str, source: Measure, previous: Model | None, settings: RegistrationSettings) -> Model:
    options = {}
    if name in SPLINES:
        options = {"stiffness": settings.stiffness, "control_points": settings.control_points, "seed": settings.seed}
    return start_model(name, source.points, source.weights, previous=previous, **options)


def _status(stages: list[Stage], transport_status: str, transport_converged: bool) -> str:
    for stage in stages:
        if not stage.converged:
            return f"{stage.name}: {stage.status}"
    if not transport_converged:
        return f"final transport {transport_status}"
    return stages[-1].status
