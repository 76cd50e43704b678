"""The path of blurs: from the size of the measures down to the blur that was asked for."""

from __future__ import annotations


def blur_schedule(start: float, blur: float, ratio: float) -> list[float]:
    """Geometric blurs from about ``start`` down to ``blur``, which comes last; consecutive ones differ by ``ratio``.

    start, blur > 0; 0 < ratio < 1. When the start is below the blur, the blur alone.
    """
    blurs = [blur]
    while blurs[-1] < start:
        blurs.append(blurs[-1] / ratio)
    return blurs[::-1]
