"""otreg view: look at shapes in a browser."""

from __future__ import annotations

import os
import platform
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

import click

from otreg_cli.options import PATH, debug_option, json_option, overwrite_option, reading_options


@click.command("view")
@click.argument("first", type=PATH)
@click.argument("second", type=PATH, required=False)
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Write the page to FILE, and do not open it.")
@overwrite_option
@json_option
@reading_options
@debug_option
def command(
    *, first: Path, second: Path | None, output: Path | None, overwrite: bool, as_json: bool, reading: dict[str, Any]
) -> None:
    """Show the shape of the file FIRST, and that of SECOND with it, in a web browser.

    The page is one file that needs no network. Where there is no display, as over ssh, it is written and not opened.
    """
    from otreg.jobs import Reading
    from otreg.jobs.outputs import check_outputs
    from otreg.jobs.reading import warnings_of
    from otreg.report import write_view
    from otreg_cli.output import print_json, print_rows, print_warnings

    files = [first] if second is None else [first, second]
    if output is not None:
        check_outputs([output], inputs=files, overwrite=overwrite)
    reader = Reading(**reading)
    shapes = [reader.shape(file) for file in files]
    page = output if output is not None else Path(tempfile.mkdtemp(prefix="otreg-view-")) / f"{first.stem}.html"
    write_view(page, *shapes, overwrite=overwrite)
    opened = output is None and has_display() and webbrowser.open(page.absolute().as_uri())
    warnings = warnings_of(*shapes)
    print_warnings(warnings)
    if as_json:
        print_json({"schema": "otreg.view/1", "outputs": {"page": str(page)}, "opened": opened, "warnings": warnings})
        return
    print_rows([("page", str(page))])
    if output is None and not opened:
        click.echo("There is no display here: copy the page to a computer with a browser and open it there.", err=True)


def has_display() -> bool:
    """Whether a browser that is started here would be seen by whoever types: not over ssh, not without a desktop."""
    if os.environ.get("SSH_CONNECTION") and not os.environ.get("DISPLAY"):
        return False
    if platform.system() == "Linux":
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True
