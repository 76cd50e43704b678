"""The settings of a command: its flags over its file over the environment over the defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

import otreg
from otreg.config import Resolved, environment_layer, flag_layer, resolve
from otreg_cli.files import write_text
from otreg_cli.options import flag, given

Config = TypeVar("Config", bound=BaseModel)


def resolved_settings(schema: type[Config], flags: Mapping[str, Any], config_file: Path | None) -> Resolved[Config]:
    """The settings of a command, and where each came from; flags: by field name, None for those not given.

    Raises SettingsError with a line for each thing that is wrong, InputFileError when the file cannot be read.
    """
    files = []
    if config_file is not None:
        from otreg.config import file_layer

        files = [file_layer(schema, config_file)]
    return resolve(schema, environment_layer(schema, os.environ), *files, flag_layer(schema, given(flags), flag=flag))


def save_settings(config: BaseModel, file: Path, *, run: str, overwrite: bool) -> None:
    """Writes all settings of a run as YAML that ``--config`` reads as the same. Raises OutputFileError.

    run: the command and its files, for the comment above them.
    """
    from otreg.config.yaml_text import settings_yaml

    write_text(
        file, settings_yaml(config, title=f"Settings of: otreg {run} (otreg {otreg.__version__})"), overwrite=overwrite
    )
