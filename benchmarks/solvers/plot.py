"""The picture of benchmarks/transport.py: error against time, and time against the number of points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAPER, INK = "#fbfaf7", "#333333"
# Colour and marker by tool; otreg stands out.
STYLES = {
    "otreg": ("#c8553d", "o"),
    "geomloss multiscale": ("#2f6690", "s"),
    "geomloss online": ("#81a4cd", "D"),
    "geomloss tensorized": ("#16425b", "v"),
    "POT sinkhorn_log": ("#588157", "^"),
    "POT emd2": ("#a3b18a", "P"),
    "flash-sinkhorn": ("#9a6fb0", "X"),
}


def draw(result: dict[str, Any], path: Path) -> None:
    """Draws the rows of a result at its finest blur to ``path``, a column per geometry; needs matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed (the docs extra)")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    blur = min(row["blur"] for row in result["rows"])
    rows = [row for row in result["rows"] if row["blur"] == blur and "variant" in row]
    geometries = list(dict.fromkeys(row["geometry"] for row in rows))
    # As many points as all variants were tried with, in most geometries 10,000.
    count = max(row["points"] for row in rows if row["variant"] not in firsts(rows).values())
    figure, axes = plt.subplots(
        3, len(geometries), figsize=(4.6 * len(geometries), 11), facecolor=PAPER, squeeze=False, sharey="row"
    )
    for column, geometry in enumerate(geometries):
        here = [row for row in rows if row["geometry"] == geometry]
        curve = [row for row in here if row["points"] == count]
        draw_errors(axes[0][column], curve, "value_error")
        draw_errors(axes[1][column], curve, "map_error")
        draw_times(axes[2][column], here, firsts(rows))
        axes[0][column].set_title(f"{geometry}, blur {blur:.0%} of the diagonal", color=INK)
        for panel in axes[:, column]:
            panel.set(xscale="log", yscale="log", facecolor=PAPER)
            panel.grid(True, which="major", color="#dddad2", linewidth=0.6)
        axes[0][column].set_xlabel(f"seconds, {count:,} points a side")
        axes[1][column].set_xlabel(f"seconds, {count:,} points a side")
        axes[2][column].set_xlabel("points a side")
    for row, label in enumerate(("relative error of the value", "relative error of the map (rms)", "seconds")):
        axes[row][0].set_ylabel(label)
    handles = {
        label: line for panel in axes.flat for line, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=len(handles), frameon=False)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor=PAPER)
    plt.close(figure)


def firsts(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The variant of each tool that is compared everywhere: the one that comes first."""
    found: dict[str, str] = {}
    for row in rows:
        found.setdefault(row["tool"], row["variant"])
    return found


def draw_errors(panel: Any, rows: list[dict[str, Any]], key: str) -> None:
    for tool, (colour, marker) in STYLES.items():
        points = sorted((row["seconds"], abs(row[key])) for row in rows if row["tool"] == tool and key in row)
        if points:
            panel.plot(*zip(*points, strict=True), color=colour, marker=marker, label=tool)


def draw_times(panel: Any, rows: list[dict[str, Any]], first: dict[str, str]) -> None:
    for tool, (colour, marker) in STYLES.items():
        own = [row for row in rows if row["tool"] == tool and row["variant"] == first.get(tool)]
        points = sorted((row["points"], row["seconds"]) for row in own if "seconds" in row)
        if points:
            panel.plot(*zip(*points, strict=True), color=colour, marker=marker, label=tool)
        killed = [(row["points"], row["over_seconds"]) for row in own if "over_seconds" in row]
        if killed:  # an arrow up: the time is more than this
            panel.plot(*zip(*killed, strict=True), color=colour, marker=r"$\uparrow$", markersize=11, linestyle="none")
