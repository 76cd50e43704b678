"""Writes docs/benchmarks.md from the result files under benchmarks/results: python docs/make_benchmarks.py

No figure on the page is typed by hand, and a section whose result file is missing is left out.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmark_page.gpu import gpu_section
from benchmark_page.registration import registration_section
from benchmark_page.steps import steps_section
from benchmark_page.transport import transport_section

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS.parent / "benchmarks" / "results"


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


if __name__ == "__main__":
    main()
