"""The page holds all of its data, escapes what files are called, stays small, and asks for nothing."""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from otreg.io import read_json, read_shape
from otreg.report import read_result, write_view
from otreg.report.drawing import drawing_of
from otreg.report.page import Page, html_of, script_json
from otreg.report.plots import convergence_plot, residual_plot
from otreg.report.result_page import MOST, result_page
from otreg.report.scene import SceneField, SceneShape, scene
from otreg.report.view import view_page
from otreg.shapes import Shape

from .shapes import ring, sphere, turned


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of each element by its id."""

    def __init__(self, text):
        super().__init__()
        self.found, self.scripts, self._script = [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")
            self._script = tag

    def handle_endtag(self, tag):
        if tag == "script":
            self._script = None

    def handle_data(self, data):
        if self._script:
            self.scripts[-1] += data

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]

    def ids(self):
        return [attributes["id"] for _, attributes in self.found if "id" in attributes]


def numbers(packed):
    return np.frombuffer(base64.b64decode(packed["data"]), dtype="<" + packed["kind"])


@pytest.fixture(scope="module")
def page(surface_result):
    return result_page(read_result(surface_result))


@pytest.fixture(scope="module")
def elements(page):
    return Elements(html_of(page))


def test_the_scene_holds_the_shapes_and_fields_of_the_files(surface_result, page):
    moved = read_shape(surface_result / "registered.ply")
    source = read_shape(surface_result.parent / "source.ply")
    target = read_shape(surface_result.parent / "target.ply")
    shapes = {shape["name"]: shape for shape in page.scene["shapes"]}
    for name, truth in {"source": source, "moved": moved, "target": target}.items():
        points = np.stack([numbers(column) for column in shapes[name]["points"]], axis=1)
        assert np.abs(points - truth.points).max() < 1e-6
        corners = np.stack([numbers(column) for column in shapes[name]["corners"]], axis=1)
        assert (corners == truth.cells[0].indices).all()
        assert shapes[name]["kind"] == "surface"
    fields = {field["name"]: field for field in page.scene["fields"]}
    assert set(fields) == {"residual", "back", "displacement", "jacobian", "matched"}
    way = np.linalg.norm(moved.points - source.points, axis=1)
    assert np.abs(numbers(fields["displacement"]["values"]) - way).max() < 1e-6
    assert np.abs(numbers(fields["jacobian"]["values"]) - 1).max() < 1e-6  # a rigid map
    assert fields["jacobian"]["scale"] == "diverging"
    assert {one["name"] for one in page.scene["arrows"]} == {"way", "brenier"}


def test_the_data_in_the_page_are_those_of_the_scene(page, elements):
    [data] = [json.loads(text) for text in elements.scripts if text.startswith("{")]
    assert data["scene"] == page.scene
    assert [plot["id"] for plot in data["plots"]] == ["convergence", "residuals"]


def test_every_control_has_a_label_and_every_picture_a_text(elements):
    labelled = {attributes.get("for") for attributes in elements.of("label")}
    for control in [*elements.of("input"), *elements.of("select")]:
        # Boxes to tick stand inside of their labels.
        assert control["id"] in labelled or control.get("type") == "checkbox", control
    assert len(elements.of("input")) == 6
    [view] = [attributes for attributes in elements.of("div") if attributes.get("id") == "view"]
    assert view["tabindex"] == "0"
    assert "arrow keys" in view["aria-label"]
    pictures = [attributes for attributes in elements.of("div") if attributes.get("role") == "img"]
    assert len(pictures) == 2
    assert all(len(picture["aria-label"]) > 40 for picture in pictures)
    ids = elements.ids()
    assert len(ids) == len(set(ids))
    for _, attributes in elements.found:
        for reference in ("aria-labelledby", "aria-describedby", "for"):
            assert attributes.get(reference, ids[0]) in ids


def test_nothing_is_asked_from_a_network(page, elements):
    for tag, attributes in elements.found:
        for name in ("src", "href", "action"):
            assert attributes.get(name, "data:,").startswith("data:"), (tag, attributes)
    [policy] = [a["content"] for a in elements.of("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_the_numbers_are_on_the_page_with_their_errors(surface_result, page):
    record = read_json(surface_result / "report.json")
    text = html_of(page)
    both = record["quality"]["distances"]["symmetric"]
    assert f"{both['mean']:.4g} ± {both['mean_error']:.2g} ({both['percent']['mean']:.3g} %)" in text
    assert f"between {record['divergence']['lower']:.4g} and {record['divergence']['upper']:.4g}" in text
    assert record["inputs"]["source"]["sha256"] in text
    assert record["status"] in text


def test_names_from_files_are_never_taken_for_html(tmp_path):
    evil = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>'
    shape = sphere(4)
    named = Shape(
        points=shape.points, cells=shape.cells, point_data={evil: np.arange(len(shape.points), dtype=np.float64)}
    )
    text = html_of(view_page(named))
    assert "<img" not in text
    assert "alert(2)</script>" not in text
    found = Elements(text)
    assert len(found.scripts) == 3
    [data] = [json.loads(one) for one in found.scripts if one.startswith("{")]
    assert data["scene"]["fields"][0]["label"] == evil


def test_a_name_that_is_not_utf_8_does_not_stop_the_page(tmp_path):
    path = tmp_path / "page.html"
    write_view(path, Shape(points=np.eye(3), path=tmp_path / "caf\udce9.ply"))
    assert "caf?.ply" in path.read_text(encoding="utf-8")


def test_json_in_a_script_cannot_end_it():
    text = script_json({"a": "</script><!-- & -->"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "</script><!-- & -->"}


def test_large_shapes_stay_below_ten_megabytes_and_say_what_is_drawn(tmp_path):
    path = tmp_path / "page.html"
    large = sphere(250)
    values = {f"field {k}": np.random.default_rng(k).random(len(large.points)) for k in range(20)}
    shape = Shape(points=large.points, cells=large.cells, point_data=values)
    write_view(path, shape, turned(large))
    assert len(large.points) > 100_000
    assert path.stat().st_size < 10e6
    assert re.search(r"drawn with [\d,]+ of its 124,502 points", path.read_text(encoding="utf-8"))


def test_a_report_of_large_shapes_stays_below_ten_megabytes(surface_result):
    found = read_result(surface_result)
    large = sphere(150)
    random = np.random.default_rng(0)
    fields = {
        "registration_displacement": random.standard_normal(large.points.shape),
        "brenier_displacement": random.standard_normal(large.points.shape),
        "matched_mass": random.random(len(large.points)),
    }
    moved = replace(turned(large), point_data=fields)
    text = html_of(result_page(replace(found, source=large, moved=moved, target=turned(large, degrees=5))))
    assert len(large.points) > MOST
    assert len(text.encode()) < 9.5e6


def test_coordinates_far_from_the_origin_keep_their_digits():
    shape = ring(200).with_points(ring(200).points + np.array([4.5e6, 5.5e6]))
    drawing = drawing_of(shape, most=1000)
    made = scene([SceneShape("first", "first", drawing, shape.points, "#000000")])
    points = np.stack([numbers(column) for column in made["shapes"][0]["points"]], axis=1)
    assert np.abs(points + made["offset"] - shape.points).max() < 1e-6
    assert made["offset"] == [4_500_000, 5_500_000]


def test_colour_scales_start_at_zero_or_are_even_on_both_sides():
    shape = ring(100)
    drawing = drawing_of(shape, most=1000)
    values = np.linspace(2.0, 5.0, 100)
    fields = [SceneField("a", "x", "x", "", values), SceneField("a", "y", "y", "", values, centre=3.0)]
    one, two = scene([SceneShape("a", "a", drawing, shape.points, "#000000")], fields=fields)["fields"]
    assert (one["low"], one["high"]) == (0.0, pytest.approx(4.97, abs=0.01))
    assert one["largest"] == 5.0
    assert (two["low"] + two["high"]) / 2 == pytest.approx(3.0)


def test_steps_are_plotted_in_file_units():
    step = {"divergence": 0.01, "marginal_error": 1e-3, "blur": 0.1}
    stages = [{"name": "rigid", "steps": [step, step]}, {"name": "spline", "steps": [step]}]
    plot = convergence_plot(stages, diagonal=50.0)
    assert [trace["y"][0] for trace in plot.traces] == [pytest.approx(25.0), 1e-3, pytest.approx(5.0)]
    assert plot.layout["shapes"][0]["x0"] == 2.5
    assert "rigid (2 steps), then spline (1 steps)" in plot.text
    assert convergence_plot([{"name": "rigid", "steps": []}], diagonal=50.0) is None


def test_the_histogram_counts_everything():
    there = np.concatenate([np.full(990, 0.1), np.full(10, 100.0)])
    plot = residual_plot(there, np.zeros(5))
    for trace in plot.traces:
        assert sum(trace["y"]) == pytest.approx(100.0)
    assert plot.layout["xaxis"]["range"][1] < 1
    assert "The last step also counts the 1 % that are farther, up to 100" in plot.text
    assert sum(residual_plot(np.zeros(3), np.zeros(3)).traces[0]["y"]) == pytest.approx(100.0)


def test_a_page_in_the_plane_has_no_third_axis(curve_result):
    made = result_page(read_result(curve_result))
    assert made.scene["dimension"] == 2
    assert all(len(shape["points"]) == 2 for shape in made.scene["shapes"])
    assert "look from +z" not in html_of(made)


def test_a_page_of_nothing_solved_has_no_status():
    drawing = drawing_of(sphere(4), most=100)
    page = Page("t", scene([SceneShape("first", "t", drawing, sphere(4).points, "#000000")]), "text")
    assert 'class="status' not in html_of(page)


def test_warnings_and_a_bad_end_have_their_place(surface_result):
    found = read_result(surface_result)
    record = {**found.record, "warnings": ["a <b> warning"], "converged": False}
    text = html_of(result_page(replace(found, record=record)))
    assert "a &lt;b&gt; warning" in text
    assert 'class="status bad"' in text


def test_landmarks_have_a_table(surface_result):
    found = read_result(surface_result)
    landmarks = {"names": ["no<se"], "before": [3.25], "after": [0.125]}
    text = html_of(result_page(replace(found, record={**found.record, "landmarks": landmarks})))
    assert '<tr><th scope="row">no&lt;se</th><td>3.25</td><td>0.125</td></tr>' in text
