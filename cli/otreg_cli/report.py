"""otreg report: write a page and pictures of one registration, or an index over many."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from otreg_cli.options import PATH, debug_option, json_option, overwrite_option


@click.command("report")
@click.argument("folder", type=PATH)
@click.option("--target", type=PATH, metavar="FILE", help="Where the target lies now, if it was moved.")
@click.option(
    "--pages",
    is_flag=True,
    help="Write the page of each result below FOLDER as well, several megabytes each, not only the index.",
)
@overwrite_option
@json_option
@debug_option
def command(*, folder: Path, target: Path | None, pages: bool, overwrite: bool, as_json: bool) -> None:
    """Write report.html and preview.png into FOLDER, the result of a registration.

    If FOLDER holds the folders of many results, as a batch leaves them, write index.html there, a table with a preview
    of each. Pages open from disk and need no network.
    """
    from otreg.report import write_index, write_report
    from otreg_cli.output import print_json, print_rows, print_warnings

    if (folder / "report.json").is_file():
        if pages:
            raise click.UsageError(
                "--pages is for folders of results; FOLDER is one result, whose page is written anyway"
            )
        written = write_report(folder, target=target, overwrite=overwrite)
        files = {"page": str(written.page), "preview": str(written.preview)}
        results, notes = 1, written.notes
    else:
        if target is not None:
            raise click.UsageError("--target is for the folder of one result; FOLDER is none, it holds no report.json")
        index = write_index(folder, pages=pages, overwrite=overwrite, on_result=_shown if sys.stderr.isatty() else None)
        files = {"index": str(index.index)}
        results, notes = index.results, index.notes
    print_warnings(notes)
    if as_json:
        print_json({"schema": "otreg.report/1", "outputs": files, "results": results, "warnings": list(notes)})
    else:
        print_rows([*files.items(), *([("results", str(results))] if "index" in files else [])])


def _shown(done: int, results: int) -> None:
    """One line on a terminal that counts; a new line when all are done."""
    click.echo(f"\r{done} of {results} results", err=True, nl=done == results)
