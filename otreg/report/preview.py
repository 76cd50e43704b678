"""preview.png: a registration in one picture, before, after and what is left, ready for a paper or a README."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from otreg.io import atomic_write
from otreg.quality import NearestPoint, pieces_of
from otreg.report.camera import camera_of
from otreg.report.colours import MOVED, SEQUENTIAL, SOURCE, TARGET
from otreg.report.drawing import drawing_of
from otreg.report.words import length_text
from otreg.shapes import Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

# Vertices of each shape: triangles are then a few dots of the picture wide.
_MOST = 12_000
_DOTS_PER_INCH = 150


def write_preview(
    path: Path, *, source: Shape, moved: Shape, target: Shape | None, title: str = "", overwrite: bool = False
) -> None:
    """Writes a PNG of three panels: source and target as they were, moved source and target, residual distances.

    The residual is the distance from each point of the moved source to the target, in file units. Without a target
    there are two panels, the source and the moved source. No display is needed. Raises OutputFileError.
    """
    with atomic_write(path, overwrite=overwrite) as temporary:
        figure = preview_figure(source=source, moved=moved, target=target, title=title)
        figure.savefig(temporary, dpi=_DOTS_PER_INCH, facecolor="white", bbox_inches="tight", pad_inches=0.1)


def preview_figure(*, source: Shape, moved: Shape, target: Shape | None, title: str = "") -> Figure:
    """The picture of ``write_preview`` as a matplotlib figure that belongs to no window."""
    from otreg.report.paint import Layer, paint

    drawing = drawing_of(moved, most=_MOST)
    camera = camera_of((moved if target is None else target).points)
    shapes = (moved,) if target is None else (moved, target)
    figure, panels, bar_axes = _sheet(_panel_size(shapes, camera), columns=2 if target is None else 3)
    if title:
        figure.suptitle(title, fontsize=12, y=1.0, va="bottom")
    before, after = (Layer(drawing, shape.points, colour) for shape, colour in ((source, SOURCE), (moved, MOVED)))
    if target is None:
        paint(panels[0], [before], camera)
        paint(panels[1], [after], camera)
        names = ["source", "moved source"]
    else:
        goal = Layer(drawing_of(target, most=_MOST), target.points, TARGET)
        residual = NearestPoint(pieces_of(target))(moved.points[drawing.chosen])
        colours, bar = _coloured(residual)
        paint(panels[0], [goal, before], camera)
        paint(panels[1], [goal, after], camera)
        paint(panels[2], [Layer(drawing, moved.points, colours)], camera)
        panels[2].set(xlim=panels[1].get_xlim(), ylim=panels[1].get_ylim())
        figure.colorbar(bar, cax=bar_axes, label="file units", extend="max")
        names = ["before: source orange, target grey", "after: source blue, target grey", "distance to the target"]
    for panel, name in zip(panels, names, strict=True):
        panel.set_title(name, fontsize=10)
        _scale_bar(panel)
    return figure


def _sheet(panel: tuple[float, float], *, columns: int) -> tuple[Figure, list[Axes], Axes]:
    """A figure of panels of one size in inches side by side, and axes for a colour bar behind the last one."""
    from matplotlib.figure import Figure

    (width, height), gap, below, above, bar = panel, 0.15, 0.35, 0.3, 0.13
    across, upwards = columns * (width + gap) + bar, below + height + above
    figure = Figure(figsize=(across, upwards))

    def axes(left: float, bottom: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / across, bottom / upwards, wide / across, high / upwards))

    panels = [axes(column * (width + gap), below, width, height) for column in range(columns)]
    bar_axes = axes(columns * (width + gap), below + 0.1 * height, bar, 0.8 * height)
    bar_axes.set_visible(columns == 3)
    return figure, panels, bar_axes


def _panel_size(shapes: tuple[Shape, ...], camera: Floats) -> tuple[float, float]:
    """Width and height in inches of a panel, as tall or wide as the shapes are, within what a page can hold."""
    d = shapes[0].dimension
    seen = np.concatenate([shape.points @ camera[:2, :d].T for shape in shapes])
    across, upwards = np.maximum(np.ptp(seen, axis=0), 1e-12 * np.abs(seen).max() or 1.0)
    width = float(np.clip(3.8 * across / upwards, 2.4, 4.4))
    return width, float(np.clip(width * upwards / across, 1.6, 3.8))


def _coloured(values: Floats) -> tuple[Floats, ScalarMappable]:
    """(v, 3) colours from 0 to the 99th percentile, so that a few far points do not make all others look alike."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = Normalize(0, float(np.percentile(values, 99)) or 1.0)
    return colormaps[SEQUENTIAL](scale(values))[:, :3], ScalarMappable(scale, SEQUENTIAL)


def _scale_bar(panel: Axes) -> None:
    """A bar of a round length at the bottom of a panel, since its axes have no ticks."""
    left, right = panel.get_xlim()
    length = round_length((right - left) / 4)
    below = panel.get_xaxis_transform()  # x as the shapes, y in heights of the panel
    panel.plot([left, left + length], [-0.02] * 2, color="black", linewidth=1.5, transform=below, clip_on=False)
    panel.text(left, -0.035, length_text(length), fontsize=8, va="top", transform=below)
    panel.set_xlim(left, right)


def round_length(about: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is at most ``about``, which is positive."""
    power = 10.0 ** np.floor(np.log10(about))
    return float(power * next(step for step in (5, 2, 1) if step * power <= about * (1 + 1e-12)))
