"""Registers the pairs of sample_data and draws docs/images from them: previews, and the page in a browser.

    python docs/make_pictures.py

The previews are those that ``otreg register --report`` writes. The picture of the page needs Chromium and is left as it
is where there is none.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from otreg import Outputs, RegisterConfig, register_files
from otreg.report import write_preview, write_report
from otreg.report.result import read_result

ROOT = Path(__file__).parent.parent
IMAGES = Path(__file__).parent / "images"
SAMPLES = ROOT / "sample_data"

sys.path.insert(0, str(ROOT / "tests" / "report"))
from browser import PROGRAM, Browser  # noqa: E402  the one that the tests of the pages drive


def registered(folder: Path, source: str, target: str, *models: str) -> Path:
    """The folder with the result of registering one sample onto another with the defaults of the models."""
    out = folder / source
    config = RegisterConfig(models=models)
    register_files(SAMPLES / f"{source}.ply", SAMPLES / f"{target}.ply", config, Outputs(directory=out))
    return out


def picture(out: Path, name: str) -> None:
    """Writes the preview of a result to docs/images."""
    result = read_result(out)
    path = IMAGES / f"{name}.png"
    write_preview(path, source=result.source, moved=result.moved, target=result.target, overwrite=True)
    print(path.relative_to(ROOT))


def picture_of_page(out: Path, name: str, folder: Path) -> None:
    """Writes what a browser shows of the report of a result to docs/images."""
    page = write_report(out).page
    browser = Browser(folder / "profile")
    try:
        browser.emulate(width=1200, height=1190)
        browser.open(page)
        browser.wait_for("document.getElementById('view').dataset.ready === 'yes'")
        time.sleep(1)  # the view fades in
        (IMAGES / f"{name}.png").write_bytes(browser.screenshot())
    finally:
        browser.close()
    print((IMAGES / f"{name}.png").relative_to(ROOT))


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        creature = registered(folder, "creature", "creature_bent", "rigid", "spline")
        picture(creature, "creature")
        picture(registered(folder, "scan_source", "scan_target", "rigid"), "scans")
        if PROGRAM is not None:
            picture_of_page(creature, "report", folder)


if __name__ == "__main__":
    main()
