"""Draws docs/images from the sample data: both shapes, and the result of a registration once it was run.

Needs the ``docs`` extra (matplotlib):  make demo && python docs/make_pictures.py
Triangles are drawn from back to front with one light, which is all that a small closed mesh needs.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from otreg import Shape, read_shape
from otreg.shapes import triangles_of

Array = npt.NDArray[np.float64]

ROOT = Path(__file__).parent.parent
IMAGES = Path(__file__).parent / "images"
SAND, TEAL, PAPER = (0.89, 0.70, 0.47), (0.33, 0.60, 0.63), "#fbfaf7"


def view(turn: float, lift: float) -> Array:
    """(3, 3) rows: right, up, towards the viewer; angles in degrees."""
    around, up = np.radians(turn), np.radians(lift)
    backward = np.array([np.cos(around) * np.cos(up), np.sin(around) * np.cos(up), np.sin(up)])
    right = np.array([-np.sin(around), np.cos(around), 0.0])
    return np.stack([right, np.cross(backward, right), backward])


def draw_meshes(axes: Axes, shapes: list[tuple[Shape, tuple[float, float, float], float]], camera: Array) -> None:
    """Shaded triangles of (shape, colour, opacity), back to front over all shapes."""
    corners, colours = [], []
    for shape, colour, opacity in shapes:
        triangles = (shape.points @ camera.T)[triangles_of(shape)]
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        light = np.array([-0.35, 0.6, 0.72])
        shade = 0.38 + 0.62 * np.clip(normals @ light, 0, 1)
        shine = 0.18 * np.clip(normals @ light, 0, 1) ** 24
        rgb = np.clip(np.array(colour) * shade[:, None] + shine[:, None], 0, 1)
        front = normals[:, 2] > 0
        corners.append(triangles[front])
        colours.append(np.c_[rgb, np.full(len(rgb), opacity)][front])
    every, paint = np.concatenate(corners), np.concatenate(colours)
    order = np.argsort(every[:, :, 2].mean(1))
    axes.add_collection(
        PolyCollection(every[order, :, :2], facecolors=paint[order], edgecolors=paint[order], linewidths=0.25)
    )
    frame(axes, every[:, :, :2].reshape(-1, 2))


def draw_points(axes: Axes, shape: Shape, colour: tuple[float, float, float], camera: Array, *, size: float) -> None:
    """Points shaded by their normals, back to front."""
    points = shape.points @ camera.T
    normals = np.stack([shape.point_data[name] for name in ("nx", "ny", "nz")], axis=1) @ camera.T
    shade = 0.35 + 0.65 * np.clip(normals @ np.array([-0.35, 0.6, 0.72]), 0, 1)
    order = np.argsort(points[:, 2])
    rgb = np.clip(np.array(colour) * shade[:, None], 0, 1)
    axes.scatter(points[order, 0], points[order, 1], c=rgb[order], s=size, linewidths=0)
    frame(axes, points[:, :2])


def frame(axes: Axes, points: Array) -> None:
    """Everything in sight, one unit as long upwards as sideways, no ticks."""
    axes.update_datalim(points)
    axes.autoscale_view()
    axes.set_aspect("equal")
    axes.set_axis_off()


def sheet(columns: int, *, width: float, height: float) -> tuple[plt.Figure, list[Axes]]:
    figure, axes = plt.subplots(1, columns, figsize=(width, height), facecolor=PAPER, squeeze=False)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.9, wspace=0.02)
    return figure, list(axes[0])


def picture_of_creature() -> None:
    source = read_shape(ROOT / "sample_data/creature.ply")
    target = read_shape(ROOT / "sample_data/creature_bent.ply")
    result = ROOT / "demo/registered.ply"
    panels = [("source", [(source, SAND, 1.0)]), ("target", [(target, TEAL, 1.0)])]
    if result.exists():
        panels.append(("registered source over the target", [(target, TEAL, 1.0), (read_shape(result), SAND, 0.62)]))
    figure, axes = sheet(len(panels), width=4.6 * len(panels), height=4.0)
    for panel, (title, shapes) in zip(axes, panels, strict=True):
        draw_meshes(panel, shapes, view(-55, 28))
        panel.set_title(title, fontsize=13, color="#333333")
    figure.savefig(IMAGES / "creature.png", dpi=110, facecolor=PAPER, bbox_inches="tight", pad_inches=0.1)


def picture_of_scans() -> None:
    figure, axes = sheet(2, width=9, height=4.6)
    for panel, name, colour in zip(axes, ("scan_source", "scan_target"), (SAND, TEAL), strict=True):
        draw_points(panel, read_shape(ROOT / f"sample_data/{name}.ply"), colour, np.eye(3), size=7)
        panel.set_title(name, fontsize=13, color="#333333")
    figure.savefig(IMAGES / "scans.png", dpi=110, facecolor=PAPER, bbox_inches="tight", pad_inches=0.1)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    picture_of_creature()
    picture_of_scans()
