"""What one GPU does: benchmarks/results/gpu-*.json."""

from __future__ import annotations

from benchmark_page.common import Row, machine_words, percent, table


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
