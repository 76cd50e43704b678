"""What a registration reports while it runs and what it returns."""

from __future__ import annotations

from dataclasses import dataclass

from otreg.models import Model
from otreg.registration.bend import BendReport
from otreg.registration.landmarks import LandmarkReport
from otreg.transport import Transport

# With less of the source matched in the end than that, an answer is hardly the one that was meant.
_HARDLY_ANY = 0.1


# Where a pose lays less of the surface than this on the other shape, it may be there by chance: on real and made pairs
# true poses were found from a third on, and wrong ones reached as much.
_LITTLE = 0.4


@dataclass(frozen=True)
class Step:
    """One step of the optimiser; lengths in frame units.

    stage: name of the model; index: of the step within the stage, from 1; blur, reach: what the loss compared;
    divergence, marginal_error: of the transport after the step; penalty: of the model; move: rms way of
    the source in this step; seconds: since the start; fraction: estimated share of the run that is done.
    """

    stage: str
    index: int
    blur: float
    reach: float | None
    divergence: float
    marginal_error: float
    penalty: float
    move: float
    seconds: float
    fraction: float


@dataclass(frozen=True)
class Stage:
    """One model's share of a registration: its steps, and how it ended at the finest blur."""

    name: str
    blurs: tuple[float, ...]
    steps: tuple[Step, ...]
    converged: bool
    status: str


@dataclass(frozen=True)
class SearchReport:
    """What a search for the start found; scores in squared frame units, both at ``blur`` and ``reach``.

    starts: poses that were tried; score: of the pose that won, its divergence or, where parts are the same surface, the
    squared reach times what speaks against it over what speaks for it (:mod:`otreg.registration.surfaces`); runner_up:
    of the best pose that is turned from it by at least 20 degrees, and degrees: by how much; None when every other pose
    was far worse early on. ambiguous: the two are about as good as each other. from_given: the winner is where the
    start as given led.
    shared: None, or where the shapes match in part only: the surface that the best pose lays on surface, over that of
    the shape that has less. mirrored: the mirror image of the source fits far better than it does in any pose.
    """

    starts: int
    blur: float
    reach: float
    score: float
    runner_up: float | None
    degrees: float | None
    ambiguous: bool
    from_given: bool
    seconds: float
    shared: float | None = None
    mirrored: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences when the answer is one of several, or rests on little of the shapes; else none."""
        found = []
        if self.ambiguous:
            assert self.degrees is not None
            found.append(
                f"the pose is ambiguous: one turned by {self.degrees:.0f} degrees fits about as well, as for symmetric "
                "shapes; turn the source to about where it belongs and use --init none to choose"
            )
        if self.shared is not None and self.shared < _LITTLE:
            found.append(
                f"the pose rests on little: {self.shared:.0%} of the surface lies on that of the other shape; look at "
                "the result, or turn the source to about where it belongs and use --init none"
            )
        if self.mirrored:
            found.append(
                "the mirror image of the source fits far better than the source in any pose, as a left side does on a "
                "right one; if they are, mirror one of the files with otreg apply and a matrix, and register that"
            )
        return tuple(found)


@dataclass(frozen=True)
class Registration:
    """A fitted model (frame units), the transport from the moved source to the target, and how it went.

    search: None when the start was given or not searched for; landmarks: None when there were none;
    bend: of a spline, else None; overlap: share of the source's mass that finds a partner in the end, over the share
    that its own copy would find.
    """

    model: Model
    transport: Transport
    stages: tuple[Stage, ...]
    converged: bool
    status: str
    seconds: float
    overlap: float
    search: SearchReport | None = None
    landmarks: LandmarkReport | None = None
    bend: BendReport | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence each about what the status does not say, with what to do."""
        found = [*(self.search.warnings if self.search else ()), *(self.bend.warnings if self.bend else ())]
        if self.overlap < _HARDLY_ANY:
            found.append(
                f"only {self.overlap:.1%} of the source has a partner on the target in the end; if more should, use a "
                "larger --reach, or begin nearer with --landmarks or --init"
            )
        return tuple(found)
