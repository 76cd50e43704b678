"""Settings from a YAML file: lines like ``blur: 1%``, or the ``settings:`` of a batch file.

What was tried on one pair goes into a batch, and a pair of a batch is tried again by itself, so both kinds of file can
be given to one command. A file is a batch file when it has one of the keys that only batch files have.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from otreg.config.batch import BatchConfig
from otreg.config.layers import COMMAND_SCHEMAS, Layer, Origin
from otreg.config.parse import Problem, checked, nearest
from otreg.config.paths import beside
from otreg.config.settings import RegisterConfig
from otreg.config.yaml_tree import Keys, Place, Tree, read_tree

BATCH_KEYS = ("settings", "all", "to", "every", "pairs", "table")


def file_layer(schema: type[BaseModel], file: Path | str) -> Layer:
    """The settings of ``schema`` that a file gives, with the place of each.

    Of a batch file these are its ``settings:``; its other keys are checked by their names alone.
    Raises InputFileError when it cannot be read, SettingsError when it is not UTF-8.
    """
    file = Path(file)
    tree = read_tree(file)
    lines = tree.lines()
    prefix: Keys = ()
    if not tree.root.content.keys().isdisjoint(BATCH_KEYS):
        prefix = ("settings",)
        lines += [
            problem_line(tree, Problem((key,), f"unknown setting; {batch_hint(key)}", "unknown"))
            for key in tree.root.content
            if key not in BatchConfig.model_fields
        ]
    values = tree.values_at(prefix)
    if values is None:
        place = tree.place_of(prefix)
        lines.append((place, tree.line(place, prefix, "must be a mapping, lines like 'blur: 1%'")))
        values = {}
    _, problems = checked(schema, values)
    for problem in problems:
        if problem.kind == "unknown" and len(problem.keys) == 1:
            problem = Problem(problem.keys, f"unknown setting; {_hint(schema, str(problem.keys[0]))}", "unknown")
        if problem.keys:
            lines.append(problem_line(tree, Problem((*prefix, *problem.keys), problem.rule, problem.kind)))
    given = [name for name in values if name in schema.model_fields]
    places = {name: tree.place_of((*prefix, name)) for name in given}
    return Layer(
        values={name: beside(schema, name, values[name], file.parent) for name in given},
        origins={name: Origin("file", f"{file}:{place}") for name, place in places.items()},
        problems=tuple(line for _, line in sorted(lines)),
    )


def problem_line(tree: Tree, problem: Problem) -> tuple[Place, str]:
    """A problem of a value of the tree with its place, as users read it."""
    place = tree.place_of(problem.keys, of_key=problem.kind == "unknown")
    return place, tree.line(place, problem.keys, problem.rule)


def batch_hint(key: str) -> str:
    """What to write instead of an unknown key of a batch file."""
    if key in RegisterConfig.model_fields:
        return "write it under 'settings:'"
    return nearest(key, BatchConfig.model_fields).replace("known settings", "known keys")


def _hint(schema: type[BaseModel], key: str) -> str:
    owners = [command for command, other in COMMAND_SCHEMAS.items() if key in other.model_fields]
    this = [command for command, other in COMMAND_SCHEMAS.items() if other is schema]
    if owners and this:
        return f"{' and '.join(owners)} {'has' if len(owners) == 1 else 'have'} it, {this[0]} does not"
    if key in BatchConfig.model_fields:
        return "it belongs into a batch file"
    return nearest(key, schema.model_fields)
