"""What users say about where axes point; no torch here, so that commands about files answer at once."""

from __future__ import annotations

from typing import Literal

from otreg.errors import ArgumentError
from otreg.shapes import Space

FrameChoice = Literal["none", "RAS", "LPS"]


def stated_space(frame: FrameChoice | None) -> Space:
    """What --frame says about files that say nothing. Raises ArgumentError for other words."""
    if frame is None or frame == "none":
        return ""
    if frame not in ("RAS", "LPS"):
        raise ArgumentError(f"frame must be none, RAS or LPS; got '{frame}'")
    return frame
