"""What a registration says about the bend of its spline: whether it folds, and how stiff it had to be."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from otreg.measures import Measure
from otreg.models import BendingModel, Model
from otreg.models.folding import volume_changes


@dataclass(frozen=True)
class BendReport:
    """Of a spline, at all points of the source.

    smallest_jacobian: least determinant of its Jacobian, over that of its affine part: 1 where nothing bends, at most 0
    where it folds (None where the affine part is flat); folded_points: where it is at most 0; stiffness: of the last
    step; asked_stiffness: the least, from the settings; stiffened: whether it was raised because the shape would have
    folded.
    """

    smallest_jacobian: float | None
    folded_points: int
    stiffness: float
    asked_stiffness: float
    stiffened: bool = False

    @staticmethod
    def of(model: Model, source: Measure, *, asked: float, stiffened: bool = False) -> BendReport | None:
        """The report on a spline; None for models without bend."""
        if not isinstance(model, BendingModel):
            return None
        changes = volume_changes(model, source.points)
        smallest = float(changes.min())
        return BendReport(
            smallest_jacobian=smallest if bool(torch.isfinite(changes).all()) else None,
            folded_points=int((changes <= 0).sum()),
            stiffness=model.stiffness,
            asked_stiffness=asked,
            stiffened=stiffened,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence each about folds and about stiffness that was added."""
        found = []
        if self.folded_points:
            found.append(
                f"the spline folds at {self.folded_points} points of the source, where it has no inverse; use more "
                "--stiffness or a larger --blur"
            )
        if self.stiffened:
            found.append(
                f"with less stiffness the shape would have folded, so it was raised to {self.stiffness:.2g} "
                f"(at least {self.asked_stiffness:g} was asked for); parts that lie close together and move apart, or "
                "wrong matches, do that"
            )
        return tuple(found)
