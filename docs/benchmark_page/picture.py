"""The picture of benchmarks/registration.py: error against time of every tool on every pair, poses and bent shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAPER, INK = "#fbfaf7", "#333333"
# Colour and marker by tool; otreg stands out.
STYLES = {
    "otreg": ("#c8553d", "o"),
    "otreg spline": ("#c8553d", "o"),
    "open3d RANSAC + ICP": ("#2f6690", "s"),
    "kiss-matcher + small_gicp": ("#81a4cd", "D"),
    "small_gicp": ("#16425b", "v"),
    "simpleicp": ("#588157", "^"),
    "trimesh icp": ("#a3b18a", "P"),
    "pycpd rigid": ("#9a6fb0", "X"),
    "biocpd rigid": ("#d4a373", "d"),
    "pycpd deformable": ("#9a6fb0", "X"),
    "biocpd deformable": ("#d4a373", "d"),
    "trimesh nricp": ("#a3b18a", "P"),
}
# Below these an error is as good as none; they are drawn there.
LEAST_DEGREES, LEAST_RATIO = 1e-3, 1e-2


def draw_registrations(result: dict[str, Any], path: Path) -> bool:
    """Draws the rows of a result to ``path``; False where matplotlib is not installed and nothing was drawn before."""
    try:
        import matplotlib
    except ImportError:
        print("no new picture: matplotlib is not installed (the docs extra)")
        return path.exists()
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(12, 9), facecolor=PAPER, sharey="row")
    for column, given in enumerate((True, False)):
        rows = [row for row in result["rows"] if "seconds" in row and (row["start"] == "as given") is given]
        poses = [
            (row["tool"], row["seconds"], max(row["rotation_degrees"], LEAST_DEGREES))
            for row in rows
            if "rotation_degrees" in row
        ]
        bent = [
            (row["tool"], row["seconds"], max(row["error"] / row["best_affine"], LEAST_RATIO))
            for row in rows
            if row.get("best_affine") and "error" in row
        ]
        draw_panel(axes[0][column], poses, "degrees off", bar=1.0)
        draw_panel(axes[1][column], bent, "error over that of the best affine map", bar=1.0)
        axes[0][column].set_title("pairs as given" if given else "from random poses", color=INK)
        axes[1][column].set_xlabel("seconds")
        for row, drawn in enumerate((poses, bent)):
            if drawn:
                axes[row][column].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor=PAPER)
    plt.close(figure)
    return True


def draw_panel(panel: Any, found: list[tuple[str, float, float]], label: str, *, bar: float) -> None:
    """One point per run; what lies under the bar is a success."""
    for tool in dict.fromkeys(name for name, _, _ in found):
        colour, marker = STYLES[tool]
        points = [(seconds, error) for name, seconds, error in found if name == tool]
        panel.plot(*zip(*points, strict=True), color=colour, marker=marker, linestyle="none", label=tool, alpha=0.8)
    panel.axhline(bar, color=INK, linewidth=0.8, linestyle="--")
    panel.set(xscale="log", yscale="log", facecolor=PAPER, ylabel=label)
    panel.grid(True, which="major", color="#dddad2", linewidth=0.6)
