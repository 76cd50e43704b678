"""The colours of all pictures: shapes that people with any colour vision tell apart, maps that are even to the eye."""

from __future__ import annotations

from typing import Final

# Okabe and Ito's orange and blue, and a grey that both stand out from, on white and on black.
SOURCE: Final = "#e69f00"
MOVED: Final = "#0072b2"
TARGET: Final = "#9aa3ad"

# Matplotlib's names of maps that are even to the eye and readable with any colour vision. The second, from blue over
# white to red, is for values on both sides of a neutral one.
SEQUENTIAL: Final = "viridis"
DIVERGING: Final = "RdBu_r"


def colour_stops(name: str) -> list[list[float | str]]:
    """A map as plotly takes it: places from 0 to 1 with their colours."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    places = [k / 20 for k in range(21)]
    return [[place, to_hex(colormaps[name](place))] for place in places]
