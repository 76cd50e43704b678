"""Registration of real pairs, by otreg and its peers: benchmarks/results/registration.json."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmark_page.common import Row, machine_words, median, peers, table, titled_lists
from benchmark_page.picture import draw_registrations

IMAGES = Path(__file__).resolve().parents[1] / "images"


def registration_section(result: Row) -> list[str]:
    rows = [row for row in result["rows"] if "skipped" not in row]
    rigid = [row for row in rows if row["kind"] == "rigid"]
    bent = [row for row in rows if row["kind"] in ("nonrigid", "landmarks")]
    loose = [row for row in rows if row["kind"] == "no truth"]
    lines = [
        "## Registration of real pairs, side by side",
        "",
        f"`{result['command']}` on {machine_words(result['machine'])}, {peers(result['machine']['peers'])}, threads of "
        f"each tool: {result['machine']['threads']}; [results](../benchmarks/results/registration.json). Every tool "
        "gets each pair as it is given and from random poses (turned at random, one diagonal away), in a process of "
        f"its own that has warmed up; a solve of more than {result['limit_seconds']:.0f} s is killed. What no tool is "
        "told: how the shapes lie, and how much of them overlaps. One set of settings per tool:",
        "",
        *(f"* {name}: {words}" for name, words in result["settings"].items() if name not in result["unavailable"]),
    ]
    if result["unavailable"]:
        lines += [
            "",
            "Not installed, and so left out: " + "; ".join(f"{k} ({v})" for k, v in result["unavailable"].items()),
        ]
    if draw_registrations(result, IMAGES / "registration.png"):
        lines += ["", "![Error against time of every tool on every pair](images/registration.png)"]
    lines += [
        "",
        "### Poses",
        "",
        "A success is a rotation less than 1° and a centre less than 0.5 % of the target's diagonal off. "
        "Medians are over all runs that ended, memory is the largest; what a process held before the solve is not "
        "counted.",
        "",
        *rates(rigid, "rotation error", "rotation_degrees", "{:.2f}°"),
        "",
        *pair_table(rigid, pose_cell),
        "",
        "The bunny's scans overlap by 93 %, 65 % and 47 % of the source; cow, bunny_adaptive and skull are one surface "
        "meshed twice, nefertiti_two_samples are two clouds of random points on one.",
        "",
        "### Bent shapes",
        "",
        "Mean distance between a moved vertex and the target's vertex of the same index, over the target's diameter. "
        "Best rigid and best affine are maps *fitted on that truth*; a success is below the best affine one (for the "
        "four landmarks of the femur, which fit any affine map, below the best rigid one). fsaverage5 are cortical "
        "surfaces, white matter to pial and pial to inflated; of ict_refined every triangle of a face was cut in four.",
        "",
        *rates(bent, "error over that of the best affine map", "ratio", "{:.2f}"),
        "",
        *pair_table(bent, bent_cell, ("best rigid", "best_rigid"), ("best affine", "best_affine")),
    ]
    if loose:
        lines += [
            "",
            "### Without a truth",
            "",
            "Share of the source's points within 1 % of the diagonal of the target, before and after, and the root "
            "mean square distance of the nearer half of them.",
            "",
            *table(
                ("pair", "start", "tool", "before", "after", "nearer half", "seconds"),
                ((row["pair"], row["start"], row["tool"], *loose_cells(row), seconds_of(row)) for row in loose),
            ),
        ]
    return lines + command_times(result, rows) + lost_registrations(rigid, bent) + left_out(result)


def rates(rows: list[Row], title: str, key: str, words: str) -> list[str]:
    """A table with a line per tool: successes, median error, median time and largest memory."""
    body = []
    for tool in dict.fromkeys(row["tool"] for row in rows):
        own = [row | ratio_of(row) for row in rows if row["tool"] == tool]
        done = [row for row in own if "seconds" in row]
        starts = [[row for row in own if (row["start"] == "as given") is given] for given in (True, False)]
        body.append(
            [
                tool,
                *(f"{sum(bool(row.get('success')) for row in some)} of {len(some)}" for some in starts),
                median((row[key] for row in done if key in row), words),
                median((row["seconds"] for row in done), "{:.2f}"),
                f"{max((row['peak_mib'] for row in done), default=0):,}",
            ]
        )
    header = ("tool", "successes as given", "from random poses", f"median {title}", "median seconds", "MiB")
    return table(header, body)


def ratio_of(row: Row) -> Row:
    """The error over the best affine map's, where there is one."""
    return {"ratio": row["error"] / row["best_affine"]} if "error" in row and row.get("best_affine") else {}


def pair_table(rows: list[Row], cell_of: Callable[[Row], str], *references: tuple[str, str]) -> list[str]:
    """A table with a line per pair and start and a column per tool."""
    tools = list(dict.fromkeys(row["tool"] for row in rows))
    body = []
    for pair, start in sorted(dict.fromkeys((row["pair"], row["start"]) for row in rows)):
        here = {row["tool"]: row for row in rows if (row["pair"], row["start"]) == (pair, start)}
        known = [next((row[key] for row in here.values() if key in row), None) for _, key in references]
        shown = ["–" if value is None else f"{value:.4f}" for value in known]
        body.append([pair, start, *shown, *(cell_of(here[tool]) if tool in here else "–" for tool in tools)])
    return table(("pair", "start", *(title for title, _ in references), *tools), body)


def pose_cell(row: Row) -> str:
    if "rotation_degrees" not in row:
        return why_none(row)
    text = f"{row['rotation_degrees']:.2f}°, {row['translation_percent']:.2f} %<br>{row['seconds']:.2g} s"
    text = f"**{text}**" if row["success"] else text
    return text + "<br>(ambiguous)" if row.get("ambiguous") else text


def bent_cell(row: Row) -> str:
    if "error" not in row:
        return why_none(row)
    text = f"{row['error']:.4f}, {row['seconds']:.2g} s"
    return f"**{text}**" if row["success"] else text


def loose_cells(row: Row) -> tuple[str, str, str]:
    if "inliers" not in row:
        return "–", "–", why_none(row)
    return f"{row['inliers_before']:.1%}", f"{row['inliers']:.1%}", f"{row['trimmed_rms_percent']:.3f} %"


def why_none(row: Row) -> str:
    return f"> {row['over_seconds']:.0f} s" if "over_seconds" in row else "failed"


def seconds_of(row: Row) -> str:
    return f"{row['seconds']:.2g}" if "seconds" in row else "–"


def command_times(result: Row, rows: list[Row]) -> list[str]:
    """How long the installed command takes on the pairs as they are given."""
    timed = [row for row in rows if "command_seconds" in row]
    if not timed:
        return []
    timed.sort(key=lambda row: (row["tool"], max(row["points"])))
    rounds = ", ".join(f"{seconds:.1f}" for seconds in result["import_torch_seconds"])
    return [
        "",
        "### The command, file to file",
        "",
        "Seconds of `otreg register` from the start of the interpreter to the last file, pairs as given: the median, "
        f"and each run, minutes apart. How fast the machine was then: `import torch` alone took {rounds} s.",
        "",
        *table(
            ("pair", "points", "models", "median", "runs"),
            (
                (
                    row["pair"],
                    f"{row['points'][0]:,} and {row['points'][1]:,}",
                    row["tool"],
                    f"{row['command_seconds']:.1f}",
                    ", ".join(f"{seconds:.1f}" for seconds in row["command_runs"]),
                )
                for row in timed
            ),
        ),
    ]


def lost_registrations(rigid: list[Row], bent: list[Row]) -> list[str]:
    """What went wrong, by rules: otreg fails, a peer is nearer to the truth, a peer is faster and succeeds as well."""
    failed, nearer, faster = [], [], []
    for rows, key, words in ((rigid, "rms_percent", "{:.3f} %"), (bent, "error", "{:.4f}")):
        for own in (row for row in rows if row["tool"].startswith("otreg")):
            where = f"{own['pair']}, {own['start']}"
            if not own.get("success"):
                failed.append(where + (" (reported as ambiguous)" if own.get("ambiguous") else ""))
            for row in rows:
                if row is own or (row["pair"], row["start"]) != (own["pair"], own["start"]) or key not in row:
                    continue
                if key not in own or row[key] < own[key]:
                    found = f" ({words.format(row[key])} against {words.format(own[key])})" if key in own else ""
                    nearer.append(f"{row['tool']} on {where}{found}")
                if row["success"] and row["seconds"] < own.get("seconds", 0):
                    faster.append(f"{row['tool']} on {where} ({row['seconds']:.2g} s against {own['seconds']:.2g} s)")
    parts = {"otreg fails on": failed, "Nearer to the truth than otreg": nearer, "Succeed in less time": faster}
    return ["", "### What we lose", *titled_lists(parts)]


def left_out(result: Row) -> list[str]:
    skipped = [row for row in result["rows"] if "skipped" in row]
    entries = [f"{row['tool']} on {row['pair']}, {row['start']}: {row['skipped']}" for row in skipped]
    entries += [f"{case['pair']}, {case['start']}: {case['reason']}" for case in result["not_run"]]
    return ["", "Not measured:", "", *(f"* {entry}" for entry in entries)] if entries else []
