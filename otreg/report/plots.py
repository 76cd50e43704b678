"""The plots of a report, as plotly's figures in JSON types, each with a sentence that says what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.report.colours import MOVED, TARGET
from otreg.report.words import number_text

Floats = npt.NDArray[np.float64]
_BINS = 60
_ORANGE = "#d55e00"


@dataclass(frozen=True)
class Plot:
    """A plot: its element, title, height in pixels, what it shows in words, and plotly's traces and layout."""

    id: str
    title: str
    height: int
    text: str
    traces: tuple[Mapping[str, Any], ...]
    layout: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """What the page's script needs."""
        return {"id": self.id, "traces": list(self.traces), "layout": dict(self.layout)}


def convergence_plot(stages: Sequence[Mapping[str, Any]], *, diagonal: float) -> Plot | None:
    """Divergence, marginal error and blur per step, of the stages of report.json; None where no step was made.

    diagonal: of the target, in file units; what the record holds in frame units becomes file units.
    """
    steps = [step for stage in stages for step in stage["steps"]]
    if not steps:
        return None
    x = list(range(1, len(steps) + 1))
    divergence = [_times(step["divergence"], diagonal**2) for step in steps]
    curves = (
        ("divergence (file units²)", divergence, MOVED, "linear"),
        ("marginal error", [step["marginal_error"] for step in steps], _ORANGE, "linear"),
        ("blur (file units)", [_times(step["blur"], diagonal) for step in steps], TARGET, "hv"),
    )
    layout: dict[str, Any] = {
        "showlegend": False,
        "margin": {"l": 70, "r": 10, "t": 24, "b": 45},
        "xaxis": {"title": {"text": "step"}, "anchor": "y3", "nticks": 12, "range": [0.5, len(steps) + 0.5]},
    }
    traces = []
    for row, (label, values, colour, line) in enumerate(curves, 1):
        axis = "" if row == 1 else str(row)
        layout[f"yaxis{axis}"] = {
            "title": {"text": label, "font": {"size": 11}},
            "type": "log",
            "tickformat": ".2~g",
            "nticks": 4,
            "domain": [1 - row / 3 + 0.05, 1 - (row - 1) / 3],
        }
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": label,
                "x": x,
                # A logarithm has no place for zero; plotly leaves a gap.
                "y": values,
                "yaxis": f"y{axis}",
                "line": {"color": colour, "shape": line},
                "marker": {"size": 5},
                "hovertemplate": f"step %{{x}}<br>{label} %{{y:.3g}}<extra></extra>",
            }
        )
    ends = np.cumsum([len(stage["steps"]) for stage in stages])
    layout["shapes"] = [
        {"type": "line", "xref": "x", "yref": "paper", "x0": end + 0.5, "x1": end + 0.5, "y0": 0, "y1": 1}
        for end in ends[:-1].tolist()
    ]
    layout["annotations"] = [
        {"text": str(stage["name"]), "x": start + 0.6, "y": 1.0, "xref": "x", "yref": "paper", "showarrow": False}
        | {"xanchor": "left", "yanchor": "bottom", "font": {"size": 11}}
        for stage, start in zip(stages, [0, *ends[:-1].tolist()], strict=True)
    ]
    names = ", then ".join(f"{stage['name']} ({len(stage['steps'])} steps)" for stage in stages)
    begin, end = (number_text(value) for value in (divergence[0], divergence[-1]))
    text = (
        f"{names}. The divergence after the first step was {begin}, after the last {end} squared file units; each "
        "blur has a divergence of its own, so steps compare at equal blur only."
    )
    return Plot("convergence", "Convergence", 460, text, tuple(traces), layout)


def residual_plot(there: Floats, back: Floats) -> Plot:
    """Histogram of distances from the moved source to the target and back, (k,) and (l,) in file units."""
    every = np.concatenate([there, back])
    top = float(every.max()) or 1.0
    # The last percent would leave no room for the others; it goes into the last bin.
    high = min(top, 1.5 * float(np.percentile(every, 99))) or top
    edges = np.linspace(0, high, _BINS + 1)
    middles = ((edges[1:] + edges[:-1]) / 2).tolist()
    traces = []
    for values, name, colour in ((there, "moved source to target", MOVED), (back, "target to moved source", _ORANGE)):
        share = np.histogram(np.minimum(values, high), edges)[0] * (100 / len(values))
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": middles,
                "y": share.tolist(),
                "line": {"color": colour, "shape": "hvh", "width": 2},
                "hovertemplate": f"{name}<br>%{{x:.3g}}: %{{y:.2f}} %<extra></extra>",
            }
        )
    beyond = float((every > high).mean())
    text = f"Distances of points spread evenly over each shape. Half of the moved source is within {_median(there)} of "
    text += f"the target, half of the target within {_median(back)} of the moved source (file units)."
    if beyond:
        text += f" The last step also counts the {100 * beyond:.2g} % that are farther, up to {number_text(top)}."
    layout = {
        "margin": {"l": 60, "r": 10, "t": 10, "b": 45},
        "xaxis": {"title": {"text": "distance (file units)"}, "range": [0, high]},
        "yaxis": {"title": {"text": "share of the shape (%)"}, "rangemode": "tozero"},
        "legend": {"x": 0.98, "y": 0.98, "xanchor": "right"},
    }
    return Plot("residuals", "Residual distances", 320, text, tuple(traces), layout)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _median(values: Floats) -> str:
    return number_text(float(np.median(values)), 3)
