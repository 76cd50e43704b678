"""Draws the pictures of docs/how-to-choose.md: registrations of curves in the plane, one setting changed at a time.

Needs the ``docs`` extra (matplotlib):  python docs/make_choice_pictures.py [NAME ...]
Everything is generated and registered here, so a picture shows what the library does today.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import torch

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from otreg import Frame, Measure, RegistrationSettings, Shape, measure_from_shape, register
from otreg.measures.shape_features import normals_of
from otreg.shapes import CellBlock

Array = npt.NDArray[np.float64]

IMAGES = Path(__file__).parent / "images"
PAPER, INK = "#fbfaf7", "#333333"
# Told apart by lightness too, not by hue alone.
SOURCE, TARGET, MARK = "#c8553d", "#8fb8bd", "#1d3557"


def curve(points: Array, *, closed: bool = True) -> Shape:
    """The polygon through the points in their order."""
    n = len(points)
    lines = np.stack([np.arange(n), (np.arange(n) + 1) % n], axis=1)
    return Shape(points, (CellBlock("line", lines if closed else lines[:-1]),))


def paw(n: int = 500) -> Array:
    """(n, 2) a blob with four fingers of different lengths."""
    t = 2 * np.pi * np.arange(n) / n
    fingers = sum(
        length * np.exp(-(((t - at + np.pi) % (2 * np.pi) - np.pi) ** 2) / 0.035)
        for at, length in ((0.6, 0.5), (1.2, 0.9), (1.8, 1.0), (2.4, 0.7))
    )
    radius = 0.7 + fingers + 0.12 * np.cos(t + 1)
    return radius[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1)


def bent(points: Array) -> Array:
    """The same with its fingers bent to one side, stretched and moved."""
    x, y = points.T
    angle = 0.45 * np.clip(y, 0, None) ** 1.5
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * x - 0.6 * s * y, s * x + c * y], axis=1) * [1.1, 0.95] + [0.25, -0.2]


def turned(points: Array, degrees: float) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[c, s], [-s, c]])


def found(
    source: Shape,
    target: Shape,
    *,
    normals: float = 0.0,
    landmarks: tuple[Array, Array] | None = None,
    **settings: Any,
) -> Array:
    """(n, 2) where the source's points end. normals: what a right angle between them is worth, in diagonals."""
    frame = Frame.of(target.points)
    measures: list[Measure] = []
    for shape in (source, target):
        features = normals * normals_of(shape) if normals else None
        measures.append(measure_from_shape(shape, frame, features=features))
    marks = None
    if landmarks is not None:
        here, there = (torch.from_numpy(frame.to_frame(points)) for points in landmarks)
        marks = here, there
    wanted = replace(RegistrationSettings(turning_features=normals > 0), **settings)
    registration = register(*measures, wanted, landmarks=marks)
    with torch.no_grad():
        moved: Array = registration.model(torch.from_numpy(frame.to_frame(source.points))).numpy()
    return frame.to_file(moved)


def draw(axes: Axes, source: Shape, target: Shape, title: str) -> None:
    """Both curves; the source on top."""
    for shape, colour, width in ((target, TARGET, 5.0), (source, SOURCE, 1.6)):
        for block in shape.cells:
            for line in shape.points[block.indices]:
                axes.plot(*line.T, color=colour, linewidth=width, solid_capstyle="round")
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(title, fontsize=11, color=INK)


def sheet(columns: int, *, height: float = 3.2) -> tuple[plt.Figure, list[Axes]]:
    figure, axes = plt.subplots(1, columns, figsize=(3.1 * columns, height), facecolor=PAPER, squeeze=False)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=0.88, wspace=0.04)
    return figure, list(axes[0])


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(IMAGES / f"choice_{name}.png", dpi=100, facecolor=PAPER)
    plt.close(figure)


def picture_of_models() -> None:
    source, target = curve(turned(paw(), 25) + np.array([0.6, 0.3])), curve(bent(paw(430)))
    figure, axes = sheet(4)
    draw(axes[0], source, target, "as given")
    for panel, models in zip(axes[1:], (("rigid",), ("rigid", "affine"), ("rigid", "affine", "spline")), strict=True):
        moved = source.with_points(found(source, target, models=models))
        draw(panel, moved, target, ",".join(models))
    save(figure, "models")


def picture_of_blur() -> None:
    source, target = curve(paw()), curve(bent(paw(430)))
    figure, axes = sheet(3)
    for panel, blur in zip(axes, (0.1, 0.03, 0.01), strict=True):
        moved = found(source, target, models=("affine", "spline"), blur=blur, reach=2 * blur)
        draw(panel, source.with_points(moved), target, f"--blur {blur:.0%}")
    save(figure, "blur")


def picture_of_reach() -> None:
    whole = turned(paw(), 8) + np.array([0.12, 0.1])
    source, target = curve(whole[whole[:, 1] < 1.1], closed=False), curve(paw(430))
    figure, axes = sheet(4)
    draw(axes[0], source, target, "as given: the finger tips are missing")
    for panel, reach in zip(axes[1:], (None, 0.1, 0.02), strict=True):
        moved = found(source, target, reach=reach, init="none")
        draw(panel, source.with_points(moved), target, f"--reach {'none' if reach is None else f'{reach:.0%}'}")
    save(figure, "reach")


def picture_of_stiffness() -> None:
    t = 2 * np.pi * np.arange(430) / 430

    def bean(ripple: float) -> Array:
        radius = 1 + 0.25 * np.cos(t) + 0.15 * np.cos(3 * t + 0.4) + ripple * np.sin(23 * t)
        return radius[:, None] * np.stack([1.3 * np.cos(t), 0.7 * np.sin(t)], axis=1)

    rippled = bean(0.03)
    rippled[:, 1] += 0.35 * rippled[:, 0] ** 2
    source, target = curve(bean(0.0)), curve(rippled)
    figure, axes = sheet(4, height=2.9)
    for panel, stiffness in zip(axes, (0.0003, RegistrationSettings().stiffness, 0.1, 1.0), strict=True):
        moved = found(source, target, models=("affine", "spline"), stiffness=stiffness)
        draw(panel, source.with_points(moved), target, f"--stiffness {stiffness:g}")
    save(figure, "stiffness")


def picture_of_landmarks() -> None:
    t = 2 * np.pi * np.arange(400) / 400
    gear = (1 + 0.12 * np.cos(6 * t))[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1)
    source, target = curve(gear), curve(turned(gear, 130))
    marks = gear[[0, 70]], turned(gear, 130)[[0, 70]]
    figure, axes = sheet(3)
    placed = {
        "as given": (source.points, marks[0]),
        "without landmarks": (both := found(source, target), both[[0, 70]]),
        "with two landmarks": (both := found(source, target, landmarks=marks), both[[0, 70]]),
    }
    for panel, (title, (points, here)) in zip(axes, placed.items(), strict=True):
        draw(panel, source.with_points(points), target, title)
        for k, marker in enumerate("os"):
            panel.plot(*marks[1][k], marker, color="white", markeredgecolor=MARK, markersize=11)
            panel.plot(*here[k], marker, color=MARK, markersize=6)
    save(figure, "landmarks")


def picture_of_normals() -> None:
    t = np.linspace(-1.2, 1.2, 200)
    upper, lower = (radius * np.stack([np.sin(t), np.cos(t)], axis=1) for radius in (2.04, 1.96))
    source = curve(upper[::-1] - np.array([0.0, 0.2]), closed=False)
    target = curve(np.concatenate([upper, lower[::-1]]))
    figure, axes = sheet(3, height=1.9)
    draw(axes[0], source, target, "as given: the upper side alone")
    draw(
        axes[1],
        source.with_points(found(source, target, init="none", blur=0.02, reach=0.04)),
        target,
        "--features none",
    )
    moved = found(source, target, init="none", blur=0.02, reach=0.04, normals=0.1)
    draw(axes[2], source.with_points(moved), target, "--features normals")
    for panel in axes:
        panel.set_xlim(-0.75, 0.75)
        panel.set_ylim(1.5, 2.15)
    save(figure, "normals")


PICTURES = {
    "models": picture_of_models,
    "blur": picture_of_blur,
    "reach": picture_of_reach,
    "stiffness": picture_of_stiffness,
    "landmarks": picture_of_landmarks,
    "normals": picture_of_normals,
}

if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PICTURES:
        PICTURES[name]()
