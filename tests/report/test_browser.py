"""The pages in a real browser: drawn, reacting to every control, silent on the console, and without a network."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from otreg.report import write_index, write_report, write_view

from .browser import Browser, needs_browser
from .shapes import sphere, turned

pytestmark = [needs_browser, pytest.mark.slow]

READY = "document.getElementById('view').dataset.ready === 'yes'"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    tab = Browser(tmp_path_factory.mktemp("profile"))
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def pages(surface_result, curve_result, tmp_path_factory):
    """A folder with the pages of both results and their index."""
    folder = tmp_path_factory.mktemp("pages")
    for name, one in (("surface", surface_result), ("curve", curve_result)):
        write_report(shutil.copytree(one, folder / name))
    write_index(folder)
    return folder


def seen(browser):
    """The view as it is drawn now, (h, w, 3); once two pictures in a row are the same."""
    browser.evaluate("document.getElementById('view').scrollIntoView()")
    box = browser.evaluate("(() => { const b = document.getElementById('view').getBoundingClientRect();"
                           " return [b.left, b.top, b.right, b.bottom].map(Math.round); })()")  # fmt: skip
    last = None
    for _ in range(40):
        with Image.open(io.BytesIO(browser.screenshot())) as image:
            now = np.asarray(image.convert("RGB"), dtype=float)[box[1] + 3 : box[3] - 3, box[0] + 3 : box[2] - 3]
        if last is not None and now.shape == last.shape and np.abs(now - last).max() < 8:
            return now
        last = now
    raise AssertionError("the view does not come to rest")


def changed(before, after):
    """Share of the pixels that differ visibly."""
    return float((np.abs(before - after).max(axis=2) > 24).mean())


def choose(browser, control, value):
    """Sets a control as a user does, with its events."""
    name = "checked" if isinstance(value, bool) else "value"
    browser.evaluate(
        f"(() => {{ const c = document.getElementById('{control}'); c.{name} = {json.dumps(value)};"
        " c.dispatchEvent(new Event('input')); c.dispatchEvent(new Event('change')); })()"
    )


def opened(browser, path, **look):
    browser.emulate(**look)
    browser.open(path)
    browser.wait_for(READY)
    return seen(browser)


def errors(browser):
    # A hint about speed that plotly's own canvas gets is none of the page's errors.
    return [message for message in browser.messages if "willReadFrequently" not in message]


def test_the_3d_view_is_drawn_and_every_control_changes_it(browser, pages):
    view = opened(browser, pages / "surface" / "report.html")
    # The paper is the most common colour; the shapes and the grid are the rest.
    assert (np.abs(view - np.median(view, axis=(0, 1))).max(axis=2) > 24).mean() > 0.05
    for control, value in (
        ("colour-by", "displacement"),
        ("colour-by", ""),
        ("show-target", False),
        ("opacity-moved", 0.3),
        ("arrows", "way"),
        ("arrow-length", "3"),
        ("show-source", True),
        ("show-moved", False),
    ):
        choose(browser, control, value)
        after = seen(browser)
        assert changed(view, after) > 1e-3, (control, value)
        view = after
    assert errors(browser) == []
    assert browser.requests == [(pages / "surface" / "report.html").as_uri()]


def test_the_view_turns_with_the_keyboard_and_comes_back(browser, pages):
    start = opened(browser, pages / "surface" / "report.html")
    browser.evaluate("document.getElementById('view').focus()")
    for key in ("ArrowLeft", "ArrowUp", "+"):
        before = seen(browser)
        browser.press(key)
        assert changed(before, seen(browser)) > 1e-3, key
    browser.press("0")
    assert changed(start, seen(browser)) < 1e-3
    browser.evaluate("document.querySelector('[data-look=\"+z\"]').click()")
    assert changed(start, seen(browser)) > 1e-3
    assert errors(browser) == []


def test_dark_and_narrow_windows_have_views_as_well(browser, pages):
    light = opened(browser, pages / "surface" / "report.html")
    dark = opened(browser, pages / "surface" / "report.html", dark=True)
    assert np.median(light) > 200
    assert np.median(dark) < 60
    narrow = opened(browser, pages / "surface" / "report.html", width=420)
    assert narrow.shape[1] < 420
    assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert errors(browser) == []


def test_a_plane_curve_is_drawn_with_equal_axes(browser, pages):
    view = opened(browser, pages / "curve" / "report.html")
    assert (np.abs(view - np.median(view, axis=(0, 1))).max(axis=2) > 24).mean() > 0.01
    scales = browser.evaluate(
        "(() => { const l = document.getElementById('view')._fullLayout;"
        " return [l.xaxis._length / (l.xaxis.range[1] - l.xaxis.range[0]),"
        " l.yaxis._length / (l.yaxis.range[1] - l.yaxis.range[0])]; })()"
    )
    assert scales[0] == pytest.approx(scales[1], rel=1e-3)
    browser.evaluate("document.getElementById('view').focus()")
    browser.press("ArrowRight")
    moved = seen(browser)
    assert changed(view, moved) > 1e-3
    choose(browser, "arrows", "way")
    assert changed(moved, seen(browser)) > 1e-3
    assert errors(browser) == []
    assert browser.requests == [(pages / "curve" / "report.html").as_uri()]


def test_two_files_in_the_viewer(browser, tmp_path):
    write_view(tmp_path / "view.html", sphere(10), turned(sphere(10), shift=4.0))
    view = opened(browser, tmp_path / "view.html")
    choose(browser, "show-second", False)
    assert changed(view, seen(browser)) > 0.01
    assert errors(browser) == []


def test_the_index_sorts_by_any_column(browser, pages):
    browser.emulate()
    browser.open(pages / "index.html")
    names = "Array.from(document.querySelectorAll('tbody th'), e => e.dataset.value)"
    assert browser.evaluate(names) == ["curve", "surface"]
    button = "document.querySelectorAll('thead button')[0]"
    browser.evaluate(f"{button}.click()")
    assert browser.evaluate(names) == ["surface", "curve"]
    assert browser.evaluate(f"{button}.parentElement.getAttribute('aria-sort')") == "descending"
    column = "document.querySelectorAll('thead button')[2]"
    values = "Array.from(document.querySelectorAll('tbody tr'), r => Number(r.cells[3].dataset.value))"
    browser.evaluate(f"{column}.click()")
    up = browser.evaluate(values)
    assert up == sorted(up)
    browser.wait_for("Array.from(document.images).every(i => i.complete && i.naturalWidth > 0)")
    assert browser.messages == []
    assert all(request.startswith("file://") for request in browser.requests)
