"""What shells complete: click's scripts for bash, zsh and fish, the words that settings know, and names of formats.

The names of commands come from a table, and no command imports what computes before it runs, so that an answer takes
no longer than a help text.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import click
from click.shell_completion import CompletionItem, shell_complete

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

VARIABLE = "_OTREG_COMPLETE"  # as click derives it from the name of the command
SHELLS = ("bash", "zsh", "fish")

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete(cli: click.Command, instruction: str) -> int:
    """Answers a shell and returns the exit code: "bash_source" asks for the script, "bash_complete" for words."""
    if shell_complete(cli, {}, "otreg", VARIABLE, instruction) == 0:
        return 0
    known = " or ".join(f"{shell}_source" for shell in SHELLS)
    click.echo(f"otreg: error: {VARIABLE} must be {known}; got '{instruction}'", err=True)
    return 2


def completer(field: FieldInfo) -> Completer:
    """What completes a setting: its words, after each comma of a list, and files where it may be the path of one."""
    titles = (field.title or "").split("|")
    words = dict.fromkeys([*_literals(field.annotation), *(title for title in titles if title and not title.isupper())])
    takes_files = "FILE" in titles
    is_list = "NAMES" in titles

    def found(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",") if is_list else ("", "", incomplete)
        names = [before + comma + word for word in words if word.startswith(last) and word not in before.split(",")]
        # First, because bash forgets what came before it, and looks for files only where no word fits.
        files = [CompletionItem(incomplete, type="file")] if takes_files else []
        return [*files, *map(CompletionItem, names)]

    return found


def complete_format(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the formats that can be read."""
    from otreg.io import formats

    return [CompletionItem(info.name) for info in formats() if info.can_read and info.name.startswith(incomplete)]


def complete_output_format(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the formats that can be written."""
    from otreg.io import formats

    return [CompletionItem(info.name) for info in formats() if info.can_write and info.name.startswith(incomplete)]


def _literals(annotation: Any) -> list[str]:
    """The words that a type hint names, at any depth."""
    if typing.get_origin(annotation) is Literal:
        return [word for word in typing.get_args(annotation) if isinstance(word, str)]
    return [word for part in typing.get_args(annotation) for word in _literals(part)]
