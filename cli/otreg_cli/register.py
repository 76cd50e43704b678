"""otreg register: move a shape onto another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otreg.config import RegisterConfig
from otreg_cli.options import (
    PATH,
    config_option,
    debug_option,
    json_option,
    overwrite_option,
    reading_options,
    settings_options,
    strict_option,
    to_option,
)
from otreg_cli.pipes import DASH, input_files, maybe_output_file, refuse_mixed_output, stem, written_format
from otreg_cli.progress_option import ProgressMode, chosen_progress, progress_option
from otreg_cli.settings import resolved_settings, save_settings

# What --report adds to the results.
PAGE, PREVIEW = "report.html", "preview.png"


@click.command("register")
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Write the moved shape to FILE.")
@click.option(
    "-d",
    "--output-dir",
    type=PATH,
    metavar="DIR",
    help="Write all results to DIR.  [default: SOURCE_to_TARGET/ here; nothing but FILE with -o alone]",
)
@to_option
@click.option(
    "--landmarks",
    nargs=2,
    type=PATH,
    metavar="FILE FILE",
    help="Points of SOURCE and their partners on TARGET (.csv, .mrk.json, .fcsv, ...), joined by name, or by order "
    "where one of the files has no names. Enough of them also say where to start.",
)
@config_option
@click.option(
    "--save-config", type=PATH, metavar="FILE", help="Write the settings of this run to FILE, for --config to read."
)
@click.option(
    "--report",
    "pages",
    is_flag=True,
    help="Also write report.html, an interactive page of 5 to 10 MB, and preview.png.",
)
@settings_options(RegisterConfig)
@overwrite_option
@json_option
@strict_option
@progress_option
@reading_options
@debug_option
def command(
    *,
    source: Path,
    target: Path,
    output: Path | None,
    output_dir: Path | None,
    to: str | None,
    landmarks: tuple[Path, Path] | None,
    config_file: Path | None,
    save_config: Path | None,
    pages: bool,
    overwrite: bool,
    as_json: bool,
    strict: bool,
    progress: ProgressMode | None,
    quiet: bool,
    verbose: bool,
    reading: dict[str, Any],
    **settings: Any,
) -> None:
    """Move the shape of the file SOURCE onto that of TARGET.

    Writes the moved shape, the transform, the fields of the last transport and a report. The transform goes from source
    to target; shares like 1% are of the target's diagonal, other lengths are in the unit of the files. A "-" stands
    for standard input, or, as FILE, for standard output, which gets the format --to or --format; all else is then on
    stderr.
    """
    refuse_mixed_output(output, as_json=as_json)
    resolved = resolved_settings(RegisterConfig, settings, config_file)

    from otreg.config import SPLINES
    from otreg.errors import NotConvergedError
    from otreg.jobs import Outputs, Reading
    from otreg.jobs.outputs import check_outputs
    from otreg_cli.output import divergence_rows, file_rows, landmark_row, print_json, print_rows, print_warnings
    from otreg_cli.progress import compiling_told
    from otreg_cli.progress import progress as shown_progress

    if save_config == DASH:
        raise click.UsageError("--save-config needs the name of a file; 'otreg config show' prints settings.")
    if save_config is not None:
        check_outputs([save_config], inputs=[source, target], overwrite=overwrite)
    if output is None and output_dir is None:
        output_dir = Path(f"{stem(source)}_to_{stem(target)}")
    if pages:
        if output_dir is None:
            raise click.UsageError("--report writes into the folder of all results: name it with -d DIR")
        check_outputs([output_dir / name for name in (PAGE, PREVIEW)], inputs=[source, target], overwrite=overwrite)
    to = written_format(output, to, reading["format"])
    with (
        maybe_output_file(output, to) as shape_file,
        input_files(source, target) as ((source_file, target_file), piped),
        shown_progress(chosen_progress(progress, verbose=verbose, quiet=quiet)) as shown,
    ):
        outputs = Outputs(
            directory=output_dir, shape=shape_file, overwrite=overwrite, shape_format=to, piped=output == DASH
        )
        read = Reading(**reading, piped=piped)
        linear = resolved.config.models[-1] not in SPLINES
        outputs.checked_files(
            source_file.suffix.lower(), linear=linear, inputs=[source_file, target_file, *(landmarks or ())]
        )
        read.check(source_file, target_file)
        from otreg.jobs import register_files  # PyTorch comes with it, so errors that need none are said before

        with compiling_told(shown.compiling):
            report = register_files(
                source_file,
                target_file,
                resolved.config,
                outputs,
                landmarks=landmarks,
                on_step=shown.step,
                reading=read,
            )
        if pages:
            assert output_dir is not None
            from otreg.report import write_report

            write_report(output_dir, target=target_file, overwrite=overwrite)

    if save_config is not None:
        save_settings(resolved.config, save_config, run=f"register {source} {target}", overwrite=overwrite)
    if not quiet:
        print_warnings([*resolved.warnings, *report.warnings])
    if as_json:
        print_json(report.record)
    elif not quiet:
        drawn = (
            [("page", str(output_dir / PAGE)), ("preview", str(output_dir / PREVIEW))] if pages and output_dir else []
        )
        rows = [*file_rows(report.record["outputs"]), *drawn, *divergence_rows(report.divergence)]
        if report.landmarks is not None:
            rows.append(landmark_row(report.landmarks))
        rows.append(("status", report.status))
        print_rows(rows, err=output == DASH)
    if strict and not report.converged:
        raise NotConvergedError(f"did not converge: {report.status}")
