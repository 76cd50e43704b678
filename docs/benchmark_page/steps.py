"""What a step costs after the first: benchmarks/results/steps.json."""

from __future__ import annotations

from benchmark_page.common import Row, machine_words, table


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
