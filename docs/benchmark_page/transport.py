"""Transport between clouds, by otreg and its peers: benchmarks/results/transport.json."""

from __future__ import annotations

from benchmark_page.common import Row, machine_words, peers, percent, table, titled_lists


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
    return ["", "### What we lose, and what is missing", *titled_lists(parts)]


def measured(rows: list[Row]) -> list[Row]:
    return [row for row in rows if "seconds" in row]


def same_case(one: Row, other: Row) -> bool:
    return all(one[key] == other[key] for key in ("geometry", "blur", "points"))
