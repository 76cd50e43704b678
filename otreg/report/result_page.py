"""The page of one registration, and its preview, from what its folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from otreg.jobs.outputs import check_outputs
from otreg.quality import SAMPLES, NearestPoint, determinants, pieces_of, sampled_distances
from otreg.report.colours import MOVED, SOURCE, TARGET
from otreg.report.drawing import Drawing, drawing_of
from otreg.report.page import Listing, Page, Table, rows_of, write_page
from otreg.report.plots import Plot, convergence_plot, residual_plot
from otreg.report.preview import write_preview
from otreg.report.result import Result, read_result
from otreg.report.scene import SceneArrows, SceneField, SceneShape, scene
from otreg.report.words import number_text, percent_text

PAGE, PREVIEW = "report.html", "preview.png"
# Vertices of each shape on a page: a page of three shapes is then well below 10 MB, half of which is plotly.
MOST = 30_000
# Arrows of each kind, evenly spread: more would hide the shape.
_ARROWS = 400


@dataclass(frozen=True)
class WrittenReport:
    """The files of one report. page, preview: paths; notes: what could not be shown, one sentence each."""

    page: Path
    preview: Path
    notes: tuple[str, ...]


def write_report(folder: Path, *, target: Path | None = None, overwrite: bool = False) -> WrittenReport:
    """Writes report.html and preview.png into the folder of a registration, from what it holds and the target's file.

    target: where the target lies now, if not where it was. Without it the report shows the source alone, and says so.
    Raises OutputFileError before any work; InputFileError, FormatError or InputError about the folder and the target.
    """
    page, preview = folder / PAGE, folder / PREVIEW
    check_outputs([page, preview], inputs=[], overwrite=overwrite)
    result = read_result(folder, target=target)
    write_result_preview(result, preview, overwrite=overwrite)
    write_page(result_page(result), page, overwrite=overwrite)
    return WrittenReport(page, preview, result.notes)


def write_result_preview(result: Result, path: Path, *, overwrite: bool = False) -> None:
    """Writes the preview of a result. Raises OutputFileError."""
    write_preview(path, source=result.source, moved=result.moved, target=result.target, overwrite=overwrite)


def result_page(result: Result) -> Page:
    """What the page of a registration says."""
    record = result.record
    drawing = drawing_of(result.moved, most=MOST)
    distances = None
    if result.target is not None:
        distances = sampled_distances(pieces_of(result.moved), pieces_of(result.target), samples=SAMPLES)
    source, target = (Path(record["inputs"][role]["path"]).name for role in ("source", "target"))
    plots = (
        convergence_plot(record["stages"], diagonal=float(record["frame"]["scale"])),
        None if distances is None else residual_plot(*distances),
    )
    return Page(
        title=f"{source} → {target}",
        status=str(record["status"]),
        converged=bool(record["converged"]),
        advice=(*map(str, record["warnings"]), *result.notes),
        scene=_scene(result, drawing),
        view_text=_view_text(result, source, target),
        tables=_tables(record),
        plots=tuple(plot for plot in plots if isinstance(plot, Plot)),
        lists=_lists(record),
    )


def _scene(result: Result, drawing: Drawing) -> dict[str, Any]:
    source, moved = result.source, result.moved
    chosen = drawing.chosen
    way, brenier = (moved.point_data.get(f"{name}_displacement") for name in ("registration", "brenier"))
    assert way is not None  # read_result has looked
    length, volume = np.linalg.norm(way[chosen], axis=1), determinants(result.point_map, source.points[chosen])
    fields = [
        SceneField("moved", "displacement", "way from the source", "file units", length),
        SceneField("moved", "jacobian", "Jacobian determinant", "", volume, centre=1.0),
    ]
    matched = moved.point_data.get("matched_mass")
    if matched is not None:
        fields.append(SceneField("moved", "matched", "matched mass", "share of a point's mass", matched[chosen]))
    some = drawing_of(moved, most=_ARROWS).chosen
    arrows = [SceneArrows("way", "source to moved source", source.points[some], way[some])]
    if brenier is not None:
        arrows.append(SceneArrows("brenier", "Brenier map", moved.points[some], brenier[some]))
    shapes = [
        SceneShape("source", "source", drawing, source.points, SOURCE, visible=result.target is None),
        SceneShape("moved", "moved source", drawing, moved.points, MOVED),
    ]
    if result.target is None:
        return scene(shapes, fields=fields, arrows=arrows)
    goal = drawing_of(result.target, most=MOST)
    there = NearestPoint(pieces_of(result.target))(moved.points[chosen])
    back = NearestPoint(pieces_of(moved))(result.target.points[goal.chosen])
    fields = [
        SceneField("moved", "residual", "distance to the target", "file units", there),
        SceneField("target", "back", "target's distance to the moved source", "file units", back),
        *fields,
    ]
    shapes.append(SceneShape("target", "target", goal, result.target.points, TARGET, opacity=0.35))
    return scene(shapes, fields=fields, arrows=arrows, coloured_by="residual")


def _view_text(result: Result, source: str, target: str) -> str:
    text = f"The source {source} ({len(result.source.points):,} points) as it was and where it was moved to"
    text += "." if result.target is None else f", and the target {target} ({len(result.target.points):,} points)."
    both = result.record["quality"]["distances"]["symmetric"]
    return (
        f"{text} The moved source and the target are {number_text(both['mean'], 3)} file units apart on average, and "
        f"{number_text(both['maximum'], 3)} at most."
    )


def _tables(record: Mapping[str, Any]) -> tuple[Table, ...]:
    divergence = record["divergence"]
    rows = [
        (
            "divergence",
            number_text(divergence["value"]),
            f"between {number_text(divergence['lower'])} and {number_text(divergence['upper'])}",
            str(divergence["unit"]).split(";")[0],
        ),
        ("distance of the mass", number_text(divergence["distance"]), "", "file units"),
        ("marginal error", number_text(divergence["marginal_error"], 2), "", "share of the mass"),
    ]
    quality = record["quality"]
    rows += _quality_rows(quality)
    tables = [_distance_table(quality["distances"])]
    bend = record.get("bend")
    if bend is not None:
        why = "raised, as the shape would have folded" if bend.get("stiffened") else ""
        rows.append(("stiffness of the spline", number_text(bend["stiffness"]), why, ""))
    landmarks = record.get("landmarks")
    if landmarks is not None:
        tables.append(_landmark_table(landmarks))
    tables.append(Table("Numbers", ("", "value", "", "unit"), tuple(rows)))
    return tuple(tables)


def _distance_table(distances: Mapping[str, Mapping[str, Any]]) -> Table:
    names = {"mean": "mean", "rms": "root mean square", "percentile95": "95 % are within", "maximum": "maximum"}
    ways = ("source_to_target", "target_to_source", "symmetric")

    def cell(way: str, name: str) -> str:
        one = distances[way]
        error = f" ± {number_text(one['mean_error'], 2)}" if name == "mean" else ""
        return f"{number_text(one[name])}{error} ({percent_text(one['percent'][name])})"

    there, back = distances["source_to_target"], distances["target_to_source"]
    note = (
        f"In file units, and in percent of the target's diagonal: from {there['samples']:,} points of the moved source "
        f"to the {there['measured_to']} of the target, and from {back['samples']:,} points of the target to the "
        f"{back['measured_to']} of the moved source. ± is the standard error of the mean; the maximum is that of these "
        "points."
    )
    head = ("", "moved source to target", "target to moved source", "both")
    rows = tuple((label, *(cell(way, name) for way in ways)) for name, label in names.items())
    return Table("Distances between the shapes", head, rows, note)


def _quality_rows(quality: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    jacobian, flipped = quality["jacobian"], quality["flipped_faces"]
    rows = [
        ("Chamfer distance", number_text(quality["chamfer"]), "sum of both mean squares", "squared file units"),
        ("overlap", number_text(quality["overlap_mass"]), "", "share of the source's mass"),
        (
            "Jacobian determinant",
            f"{number_text(jacobian['smallest'])} to {number_text(jacobian['largest'])}",
            f"at {number_text(jacobian['points'])} points; below 0 space folds",
            "",
        ),
    ]
    if flipped is not None:
        rows.append(
            ("flipped faces", number_text(flipped["count"]), f"of {number_text(flipped['checked'])} checked", "")
        )
    return rows


def _landmark_table(landmarks: Mapping[str, Any]) -> Table:
    rows = tuple(
        (str(name), number_text(before), number_text(after))
        for name, before, after in zip(landmarks["names"], landmarks["before"], landmarks["after"], strict=True)
    )
    note = "Distances of landmarks from their partners, in file units."
    return Table("Landmarks", ("landmark", "before", "after"), rows, note)


def _lists(record: Mapping[str, Any]) -> tuple[Listing, ...]:
    names = ("inputs", "outputs", "sampling", "frame", "computed_on")
    provenance = {name: record[name] for name in names if name in record}
    times = {
        f"seconds to {name}" if name != "total" else "seconds": f"{s:.3g}" for name, s in record["seconds"].items()
    }
    more = {**times, "platform": record["platform"], "versions": record["versions"]}
    return (
        Listing("Settings", tuple(rows_of(record["settings"]))),
        Listing("Settings as resolved (lengths in diagonals of the target)", tuple(rows_of(record["resolved"]))),
        Listing("Where it comes from", tuple(rows_of({**provenance, **more}))),
    )
