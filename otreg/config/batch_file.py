"""A batch file, read: every value checked before any work, every problem with its line and column, all at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from otreg.config.batch import BatchConfig
from otreg.config.layers import environment_layer
from otreg.config.pair import explicit, pair_beside
from otreg.config.parse import Problem, checked
from otreg.config.paths import settings_beside
from otreg.config.settings import RegisterConfig
from otreg.config.settings_file import batch_hint, problem_line
from otreg.config.table import read_table
from otreg.config.yaml_tree import Tree, read_tree
from otreg.errors import InputFileError, SettingsError


def load_batch(file: Path | str, *, environment: Mapping[str, str] | None = None) -> BatchConfig:
    """The batch of a YAML file, its paths taken from the folder of the file, its settings complete.

    environment: variables; settings that they name stand below those of the file.
    Raises InputFileError when the file cannot be read, SettingsError with a line for each thing that is wrong with it,
    with its table or with the variables.
    """
    file = Path(file)
    tree = read_tree(file)
    below = environment_layer(RegisterConfig, environment or {})
    lines = tree.lines()
    config, problems = checked(BatchConfig, tree.root.plain())
    for problem in problems:
        if problem.kind == "missing" and problem.keys[-1] in tree.node_at(problem.keys[:-1]).refused:
            continue  # it is there, but left empty, which has been said
        if problem.kind == "unknown" and len(problem.keys) == 1:
            problem = Problem(problem.keys, f"unknown setting; {batch_hint(str(problem.keys[0]))}", "unknown")
        lines.append(problem_line(tree, problem))
    said = [line for _, line in sorted(lines)]
    if config is None:
        said += _problems_of_table(tree)
    else:
        config = _beside(config, file.parent)
        settings, wrong = checked(RegisterConfig, {**below.values, **explicit(config.settings)})
        said += [f"{file}: settings: {problem.rule}" for problem in wrong if not problem.keys]
        places = tuple(f"{file}:{tree.place_of(('pairs', k))}" for k in range(len(config.pairs)))
        config = config.model_copy(update={"settings": settings or config.settings}).at_places(places)
        said += _problems_of_pairs(tree, config.listed_pairs)
    if said or below.problems or config is None:
        raise SettingsError(*said, *below.problems)
    return config


def _problems_of_table(tree: Tree) -> list[str]:
    """What is wrong with the table of a batch that is wrong elsewhere too."""
    table = tree.root.content.get("table")
    if table is None or not isinstance(table.content, str) or not table.content.strip():
        return []
    return _problems_of_pairs(tree, lambda: read_table(tree.file.parent / table.content, defaults=RegisterConfig()))


def _problems_of_pairs(tree: Tree, read: Callable[[], object]) -> list[str]:
    try:
        read()
    except SettingsError as error:
        return list(error.problems)
    except InputFileError as error:
        return [problem_line(tree, Problem(("table",), str(error), "value"))[1]]
    return []


def _beside(config: BatchConfig, folder: Path) -> BatchConfig:
    """The batch with all its files, patterns and folders taken from the folder of its file."""
    found: dict[str, Any] = {
        name: folder / path for name in ("to", "table", "output_dir") if (path := getattr(config, name)) is not None
    }
    if folder != Path():
        # Neither brackets nor braces in the name of the folder itself mean anything.
        for name in ("all", "every"):
            patterns = getattr(config, name)
            found[name] = tuple(os.path.join(glob.escape(str(folder)), pattern) for pattern in patterns)
        for name in ("source_landmarks", "target_landmarks"):
            if (template := getattr(config, name)) is not None:
                found[name] = os.path.join(str(folder).replace("{", "{{").replace("}", "}}"), template)
    found["pairs"] = tuple(pair_beside(pair, folder) for pair in config.pairs)
    found["settings"] = settings_beside(config.settings, folder)
    return config.model_copy(update=found)
