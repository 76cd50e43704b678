"""The transport solver that settings describe: lengths, in file units or diagonals, become fractions of the frame."""

from __future__ import annotations

from dataclasses import replace

from otreg.config import ComparisonConfig, Length
from otreg.measures import Frame
from otreg.transport import Sinkhorn


def solver(config: ComparisonConfig, frame: Frame, *, exact_map: bool = False) -> Sinkhorn:
    """What solves a distance or a map in ``frame``; exact_map: softmins alone extend the map, no expansions."""

    def fraction(length: Length | None) -> float | None:
        return None if length is None else length.in_frame(frame.scale)

    source, target = config.reaches
    sinkhorn = Sinkhorn(
        blur=config.blur.in_frame(frame.scale),
        reach=(fraction(source), fraction(target)),
        p=config.p,
        tolerance=config.tolerance,
        reduction=config.reduction,
        precision=config.precision,
    )
    return replace(sinkhorn, map_tolerance=0.0) if exact_map else sinkhorn
