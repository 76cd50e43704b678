"""Writes docs/benchmarks.md from the result files under benchmarks/results: python docs/make_benchmarks.py

No figure on the page is typed by hand, and a section whose result file is missing is left out.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from draw_registrations import draw_registrations

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS.parent / "benchmarks" / "results"

Row = dict[str, Any]


def main() -> None:
    sections = {
        "registration.json": registration_section,
        "transport.json": transport_section,
        "steps.json": steps_section,
    }
    page = [
        "# Benchmarks",
        "",
        "Every figure on this page comes from a file under `benchmarks/results/`, which names machine, versions and "
        "commit. `python docs/make_benchmarks.py` wrote it from them.",
    ]
    for name, section in sections.items():
        if (RESULTS / name).exists():
            page += ["", *section(json.loads((RESULTS / name).read_text()))]
    for path in sorted(RESULTS.glob("gpu-*.json")):
        page += ["", *gpu_section(json.loads(path.read_text()), path.name)]
    (DOCS / "benchmarks.md").write_text("\n".join(page) + "\n")


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table."""
    header = list(header)
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def machine_words(machine: Row) -> str:
    versions = machine["versions"]
    device = "cpu (not measured on a GPU)" if machine["device"] == "cpu" else machine["device"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {device}, "
        f"otreg {versions['otreg']} at commit {machine['commit']}, torch {versions['torch']}"
    )


# ---------------------------------------------------------------- registration


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
    if draw_registrations(result, DOCS / "images" / "registration.png"):
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
    return lines + command_times(rows) + lost_registrations(rigid, bent) + left_out(result)


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


def median(values: Iterable[float], words: str) -> str:
    found = list(values)
    return words.format(statistics.median(found)) if found else "–"


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


def command_times(rows: list[Row]) -> list[str]:
    """How long the installed command takes on the pairs as they are given."""
    timed = [row for row in rows if "command_seconds" in row]
    if not timed:
        return []
    timed.sort(key=lambda row: (row["tool"], max(row["points"])))
    return [
        "",
        "### The command, file to file",
        "",
        "Seconds of `otreg register` from the start of the interpreter to the last file, pairs as given: the median of "
        "runs that were minutes apart, and the fastest and slowest.",
        "",
        *table(
            ("pair", "points", "models", "seconds", "from, to"),
            (
                (
                    row["pair"],
                    f"{row['points'][0]:,} and {row['points'][1]:,}",
                    row["tool"],
                    f"{row['command_seconds']:.1f}",
                    f"{min(row['command_runs']):.1f}, {max(row['command_runs']):.1f}",
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
    lines = ["", "### What we lose"]
    for title, entries in parts.items():
        lines += ["", f"{title}: {'nothing.' if not entries else ''}".rstrip()]
        lines += ["", *(f"* {entry}" for entry in entries)] if entries else []
    return lines


def left_out(result: Row) -> list[str]:
    skipped = [row for row in result["rows"] if "skipped" in row]
    entries = [f"{row['tool']} on {row['pair']}, {row['start']}: {row['skipped']}" for row in skipped]
    entries += [f"{case['pair']}, {case['start']}: {case['reason']}" for case in result["not_run"]]
    return ["", "Not measured:", "", *(f"* {entry}" for entry in entries)] if entries else []


# ---------------------------------------------------------------- transport


def transport_section(result: Row) -> list[str]:
    rows = result["rows"]
    first: dict[str, str] = {}
    for row in rows:
        if "variant" in row:
            first.setdefault(row["tool"], row["variant"])
    main_rows = [row for row in rows if row.get("variant", first.get(row["tool"])) == first.get(row["tool"])]
    limit = result["limit_seconds"]
    variants = ", ".join(f"{tool} ({variant})" for tool, variant in first.items())
    lines = [
        "## Optimal transport, side by side",
        "",
        f"`{result['command']}` on {machine_words(result['machine'])}, {peers(result['machine']['peers'])}, threads of "
        f"each tool: {result['machine']['threads']}; [results](../benchmarks/results/transport.json). All tools get "
        "the same clouds (equal weights, lengths in diagonals of the target) and find the debiased divergence for the "
        "cost |x − y|²/2 with conserved mass, and the displacement of every source point. Each has a process of its "
        "own that has warmed up, so that imports and just-in-time compilation are not counted; they take turns, and "
        f"the best time counts (up to {result['rounds']} turns, one for long runs). A solve of more than {limit:.0f} s "
        "is stopped.",
        "",
        f"Compared everywhere: {variants}. POT's `emd2` finds exact transport without blur, another quantity.",
        "",
        "![Error against time, and time against the number of points](images/transport.png)",
        "",
        "Cells: seconds, then the relative error of the value, then that of the map (rms), against a reference:",
        "",
        *references(result["references"]),
    ]
    for geometry, blur in dict.fromkeys((row["geometry"], row["blur"]) for row in main_rows):
        here = [row for row in main_rows if (row["geometry"], row["blur"]) == (geometry, blur)]
        tools = [tool for tool in first if any(row["tool"] == tool for row in here)]
        lines += ["", f"### {geometry.capitalize()}, blur {blur:.0%} of the diagonal", ""]
        counts = sorted({row["points"] for row in here})
        lines += table(
            ("points a side", *tools),
            ([f"{count:,}", *(cell(one(here, count, tool), limit) for tool in tools)] for count in counts),
        )
    lines += memory_table(main_rows, first) + speed_ratios(main_rows) + scaling(result)
    return lines + lost_transports(main_rows, result)


def references(found: list[Row]) -> list[str]:
    """Which reference was used for how many points, and how far it had converged."""
    words = {
        "dense": "otreg's dense float64 solver, marginal error asked for 1e-9",
        "cells 0.15": "otreg with cells of 0.15 blur, marginal error asked for 1e-6",
        "cells 0.3": "otreg with cells of 0.3 blur, marginal error asked for 1e-5",
    }
    lines = []
    for variant, sentence in words.items():
        own = [row for row in found if row["variant"] == variant]
        done = [row for row in own if "marginal_error" in row]
        if not own:
            continue
        counts = ", ".join(f"{count:,}" for count in sorted({row["points"] for row in own}))
        reached = f"reached {max(row['marginal_error'] for row in done):.0e} at worst" if done else "never finished"
        missing = f"; {len(own) - len(done)} of {len(own)} did not finish" if len(done) < len(own) else ""
        lines.append(f"* with {counts} points: {sentence} ({reached}{missing})")
    return lines


def one(rows: list[Row], count: int, tool: str) -> Row | None:
    return next((row for row in rows if (row["points"], row["tool"]) == (count, tool)), None)


def cell(row: Row | None, limit: float) -> str:
    if row is None or "skipped" in row:
        return "–"
    if "over_seconds" in row:
        return f"> {limit:.0f} s"
    if "seconds" not in row:
        return row.get("failed", "failed")
    text = f"{row['seconds']:.3g} s"
    if "value_error" in row:
        text += f"<br>{percent(row['value_error'], sign=True)}, {percent(row['map_error'])}"
    return text if row.get("converged", True) else text + "<br>not converged"


def percent(value: float, *, sign: bool = False) -> str:
    return f"{100 * value:{'+' if sign else ''}.2g} %"


def memory_table(rows: list[Row], first: dict[str, str]) -> list[str]:
    counts = sorted({row["points"] for row in rows if row["points"] >= 100_000})
    tools = [tool for tool in first if any(row["tool"] == tool and row["points"] in counts for row in measured(rows))]
    body = []
    for count in counts:
        peaks = [
            [row["peak_mib"] for row in measured(rows) if (row["points"], row["tool"]) == (count, tool)]
            for tool in tools
        ]
        body.append([f"{count:,}", *(f"{max(own):,} MiB" if own else "–" for own in peaks)])
    if not body:
        return []
    return [
        "",
        "### Memory",
        "",
        "Peak during a solve above what the process held before it (clouds, imports), largest over the geometries and "
        "blurs:",
        "",
        *table(("points a side", *tools), body),
    ]


def speed_ratios(rows: list[Row]) -> list[str]:
    """How many times as long GeomLoss's multiscale solver takes, with both errors."""
    body = []
    for row in rows:
        if row["tool"] != "geomloss multiscale" or row["points"] < 10_000 or "skipped" in row:
            continue
        own = next((o for o in measured(rows) if o["tool"] == "otreg" and same_case(o, row)), None)
        seconds = row.get("seconds", row.get("over_seconds"))
        if seconds is None or own is None:
            continue
        more = "" if "seconds" in row else "> "
        body.append(
            [
                row["geometry"],
                f"{row['blur']:.0%}",
                f"{row['points']:,}",
                f"{more}{seconds / own['seconds']:.0f}",
                errors(own),
                errors(row),
            ]
        )
    if not body:
        return []
    return [
        "",
        "### Times as fast as GeomLoss's multiscale solver",
        "",
        *table(("geometry", "blur", "points", "times", "errors of otreg (value, map)", "of GeomLoss"), body),
    ]


def errors(row: Row) -> str:
    return f"{percent(row['value_error'], sign=True)}, {percent(row['map_error'])}" if "value_error" in row else "–"


def scaling(result: Row) -> list[str]:
    lines = ["", "### Growth"]
    if result["growth"]:
        lines += ["", "Slope of log time against log points, from 10,000 points on (1 is linear):", ""]
    lines += [
        f"* {found['geometry']}, blur {found['blur']:.0%}: {found['slope']:.2f} "
        f"(from size to size: {', '.join(f'{slope:.2f}' for slope in found['slopes_between'])})"
        for found in result["growth"]
    ]
    return lines


def steps_section(result: Row) -> list[str]:
    lines = [
        "## What a step costs after the first",
        "",
        f"`{result['command']}` on {machine_words(result['machine'])}; [results](../benchmarks/results/steps.json). "
        f"Two closed surfaces of {result['points']:,} points; from step to step the source turns by "
        f"{result['degrees']} degrees and moves by {result['shift_blurs']} blurs. Medians; a cold solve reuses "
        "nothing, not even the target.",
        "",
    ]
    for kind, words in (
        ("registration level", "Steps as the optimiser of a registration takes them, on its cells:"),
        ("solver", "The solver by itself, asked for the value and the map at all points:"),
    ):
        rows = [row for row in result["rows"] if row["kind"] == kind]
        lines += [
            words,
            "",
            *table(
                ("blur", "reach", "step", "cold solve", "ratio", "sweeps", "of the cold solve"),
                (
                    (
                        f"{row['blur']:.0%}",
                        "none" if row["reach"] is None else f"{row['reach']:.0%}",
                        f"{row['seconds']:.3f} s",
                        f"{row['cold_seconds']:.3f} s",
                        f"{row['ratio']:.2f}",
                        f"{row['sweeps']:.0f}",
                        f"{row['cold_sweeps']:.0f}",
                    )
                    for row in rows
                ),
            ),
            "",
        ]
    return lines[:-1]


# ---------------------------------------------------------------- one GPU


def gpu_section(result: Row, name: str) -> list[str]:
    """What benchmarks/gpu.py found; a run that was cut short has fewer parts."""
    lines = [
        f"## On a GPU: {result['machine']['device']}",
        "",
        f"`{result['command']}` on {machine_words(result['machine'])}; [results](../benchmarks/results/{name}), "
        f"{result['seconds']} s in all.",
    ]
    ceilings = result.get("ceilings") or {}
    if "exponentials_per_second" in ceilings:
        lines += [
            "",
            f"The card by itself: {ceilings['exponentials_per_second']:.2g} exponentials (exp2, float32) and "
            f"{ceilings['bytes_per_second']:.2g} bytes a second.",
        ]
    if "softmins" in result:
        lines += ["", "One softmin, with the row sums alone or with the barycentres:", ""]
        lines += table(
            (
                "reduction",
                "rows",
                "columns",
                "pairs summed",
                "barycentres",
                "seconds",
                "with the search",
                "pairs a second",
            ),
            (softmin_cells(row) for row in result["softmins"]),
        )
    registration = result.get("registration", {})
    if "seconds" in registration:
        lines += [
            "",
            f"A rigid registration of {registration['points']:,} points: {registration['seconds']:.2f} s, root mean "
            f"square error {registration['rms_error']:.1e} of the diagonal.",
        ]
    if "solves" in result:
        lines += ["", "Value and map at all points, two closed surfaces:", ""]
        lines += table(
            ("points", "blur", "tool", "seconds", "error of the value", "of the map", "peak MiB"),
            (solve_cells(row) for row in result["solves"]),
        )
    return lines


def softmin_cells(row: Row) -> tuple[str, ...]:
    if "failed" in row:
        return (row["reduction"], f"{row['points']:,}", "–", "–", str(row["moments"]), row["failed"], "–", "–")
    shown = (
        f"{row['rows']:,}",
        f"{row['columns']:,}",
        f"{100 * row['share_of_pairs']:.3g} %",
        "yes" if row["moments"] else "no",
    )
    times = f"{row['seconds']:.2g}", f"{row['seconds_with_search']:.2g}", f"{row['pairs_per_second']:.2g}"
    return (row["reduction"], *shown, *times)


def solve_cells(row: Row) -> tuple[str, ...]:
    case = f"{row['points']:,}", percent(row["blur"]), row["tool"]
    if "seconds" not in row:
        return (*case, row.get("skipped") or row["failed"], "–", "–", "–")
    errors = (percent(row[key]) if key in row else "–" for key in ("value_error", "map_error"))
    return (*case, f"{row['seconds']:.2g}", *errors, str(row.get("peak_mib", "–")))


def lost_transports(rows: list[Row], result: Row) -> list[str]:
    """Where a peer was faster, or more accurate than otreg's default, and what could not be measured."""
    faster, truer, open_ended = [], [], []
    for row in measured(rows):
        own = next((o for o in measured(rows) if o["tool"] == "otreg" and same_case(o, row)), None)
        words = f"{row['tool']} on {row['geometry']}, blur {row['blur']:.0%}, {row['points']:,} points"
        if row is own and not row.get("converged", True):
            open_ended.append(words.removeprefix("otreg on "))
        if row is own or own is None:
            continue
        if row["seconds"] < own["seconds"]:
            faster.append(f"{words} ({row['seconds']:.2g} s against {own['seconds']:.2g} s)")
        if "value_error" in row and "value_error" in own:
            better = [
                name for name, key in (("value", "value_error"), ("map", "map_error")) if abs(row[key]) < abs(own[key])
            ]
            if better:
                truer.append(f"{words} ({' and '.join(better)})")
    unavailable = [f"{tool}: {reason}" for tool, reason in result["unavailable"].items()]
    not_run = [
        f"{case['geometry']}, blur {case['blur']:.0%}, {case['points']:,} points: {case['reason']}"
        for case in result["not_run"]
    ]
    parts = {
        "Faster than otreg": faster,
        "More accurate than otreg at its default tolerance": truer,
        "otreg did not converge": open_ended,
        "Could not run here": unavailable,
        "Not measured": not_run,
    }
    lines = ["", "### What we lose, and what is missing"]
    for title, entries in parts.items():
        lines += ["", f"{title}: {'nothing.' if not entries else ''}".rstrip()]
        lines += ["", *(f"* {entry}" for entry in entries)] if entries else []
    return lines


def measured(rows: list[Row]) -> list[Row]:
    return [row for row in rows if "seconds" in row]


def same_case(one: Row, other: Row) -> bool:
    return all(one[key] == other[key] for key in ("geometry", "blur", "points"))


def peers(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {found}" for name, found in versions.items())


if __name__ == "__main__":
    main()
