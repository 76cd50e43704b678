"""otreg schema: print the JSON Schema of settings files, and of what commands print."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from otreg_cli.options import debug_option

FILES = ("register", "distance", "map", "batch")


def _complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from otreg.records import record_kinds

    return [CompletionItem(name) for name in (*FILES, *record_kinds()) if name.startswith(incomplete)]


@click.command("schema")
@click.argument("kind", default="register", shell_complete=_complete)
@debug_option
def command(*, kind: str) -> None:
    """Print the JSON Schema of settings files.

    KIND is register (the default), distance, map or batch; or the kind of a JSON object that otreg prints, as it stands
    under "schema" there: otreg.register/1. Editors check and complete files by these schemas (draft 2020-12).
    """
    from otreg.errors import ArgumentError
    from otreg.records import record_kinds, record_schema
    from otreg_cli.output import print_json

    if kind in FILES:
        from otreg.config.json_schema import json_schema

        print_json(json_schema(kind))
    elif kind in record_kinds():
        print_json(record_schema(kind))
    else:
        known = ", ".join((*FILES, *record_kinds()))
        raise ArgumentError(f"KIND must be one of {known}; got '{kind}'")
