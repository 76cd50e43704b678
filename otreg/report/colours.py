"""The colours of all pictures: shapes that people with any colour vision tell apart, maps that are even to the eye."""

from __future__ import annotations

from typing import Final

# Okabe and Ito's orange and blue, and a grey that both stand out from, on white and on black.
SOURCE: Final = "#e69f00"
MOVED: Final = "#0072b2"
TARGET: Final = "#9aa3ad"

# Perceptually uniform, readable with any colour vision, and known to both matplotlib and plotly.
SEQUENTIAL: Final = "viridis"
# From blue over white to red, for values on both sides of a neutral one.
DIVERGING: Final = "RdBu"
