"""Pictures of known shapes show them where they are, in the colours and at the scale that the titles say."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from otreg.report import write_preview
from otreg.report.camera import camera_of
from otreg.report.colours import MOVED, SOURCE, TARGET
from otreg.report.preview import preview_figure, round_length
from otreg.shapes import CellBlock, Shape

from .shapes import ring, sphere, turned


def pixels(figure):
    """(h, w, 3) colours from 0 to 1 of a figure, drawn without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3] / 255


def panel(image, figure, number):
    """The pixels of one panel."""
    box = figure.axes[number].get_window_extent()
    height = len(image)
    return image[round(height - box.y1) : round(height - box.y0), round(box.x0) : round(box.x1)]


def hue_like(image, colour):
    """Share of the pixels whose colour is a lighter or darker ``colour``."""
    wanted = np.array(to_rgb(colour))
    length = np.linalg.norm(image, axis=2)
    alike = (image @ wanted) / np.maximum(length * np.linalg.norm(wanted), 1e-9)
    return float(((alike > 0.995) & (np.ptp(image, axis=2) > 0.02 if np.ptp(wanted) > 0.2 else length < 1.6)).mean())


def test_each_panel_shows_what_its_title_says():
    source = sphere(16)
    target = turned(source, degrees=0, shift=9.0)  # beside it, so that neither hides the other
    figure = preview_figure(source=source, moved=target, target=target)
    image = pixels(figure)
    before, after, residual = (panel(image, figure, k) for k in range(3))
    assert hue_like(before, SOURCE) > 0.05
    assert hue_like(before, TARGET) > 0.05
    assert hue_like(before, MOVED) == 0
    assert hue_like(after, SOURCE) == 0
    # A residual of zero everywhere is the first colour of the map.
    assert hue_like(residual, matplotlib.colormaps["viridis"](0.0)[:3]) > 0.1
    assert [axes.get_title() for axes in figure.axes[:3]] == [
        "before: source orange, target grey",
        "after: source blue, target grey",
        "distance to the target",
    ]


def test_colours_follow_the_residual_distance():
    # A straight segment, and itself turned about its left end: the distance grows evenly from 0 to 1.
    x = np.linspace(0, 10, 400)
    cells = (CellBlock("line", np.stack([np.arange(399), np.arange(1, 400)], axis=1)),)
    target = Shape(points=np.c_[x, 0 * x], cells=cells)
    moved = Shape(points=np.c_[x, x / 10], cells=cells)
    figure = preview_figure(source=target, moved=moved, target=target)
    image = panel(pixels(figure), figure, 2)
    inked = np.linalg.norm(image - 1, axis=2) > 0.6
    columns = np.flatnonzero(inked.any(axis=0))
    viridis = matplotlib.colormaps["viridis"]
    for share in (0.1, 0.35, 0.6, 0.85):
        column = columns[round(share * (len(columns) - 1))]
        drawn = image[:, column][inked[:, column]]
        # The scale ends at the 99th percentile; lines blend with the paper at their edges, so the best pixel counts.
        assert np.abs(drawn - np.array(viridis(share / 0.99)[:3])).max(axis=1).min() < 0.06


def test_one_unit_is_as_long_upwards_as_sideways():
    figure = preview_figure(source=ring(50), moved=ring(50), target=ring(50))
    image = panel(pixels(figure), figure, 1)
    inked = np.linalg.norm(image - 1, axis=2) > 0.5
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    extent = np.ptp(ring(50).points, axis=0)
    # Within two pixels of lines that are three wide.
    assert abs(np.ptp(columns) / np.ptp(rows) - extent[0] / extent[1]) < 0.03


def test_a_png_is_written_without_a_display_and_without_a_target(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    write_preview(tmp_path / "two.png", source=sphere(6), moved=turned(sphere(6)), target=None)
    write_preview(tmp_path / "three.png", source=sphere(6), moved=turned(sphere(6)), target=sphere(6), title="a & b")
    with Image.open(tmp_path / "two.png") as two, Image.open(tmp_path / "three.png") as three:
        assert two.width < three.width
        assert min(two.height, three.height) > 200
        assert np.asarray(three.convert("L")).std() > 10


def test_flat_thin_and_single_pieces_can_be_drawn():
    flat = Shape(points=np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]))
    for shape in (flat, Shape(points=np.array([[1.0, 2.0], [1.0, 3.0]]))):
        assert np.isfinite(pixels(preview_figure(source=shape, moved=shape, target=shape))).all()


@pytest.mark.parametrize(("about", "length"), [(7.3, 5.0), (1.0, 1.0), (0.0199, 0.01), (4.9e6, 2e6), (50.0, 50.0)])
def test_scale_bars_are_round(about, length):
    assert round_length(about) == pytest.approx(length)


def test_the_camera_looks_along_the_thinnest_direction_with_z_up():
    points = sphere(20, radii=(5.0, 1.0, 3.0)).points
    right, up, backward = camera = camera_of(points)
    assert np.abs(camera @ camera.T - np.eye(3)).max() < 1e-12
    assert np.linalg.det(camera) == pytest.approx(1.0)
    assert up[2] > 0.85
    assert backward[1] < -0.7
    assert abs(right[0]) > 0.85
    assert (camera_of(ring(9).points) == np.eye(3)).all()
