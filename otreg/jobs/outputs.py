"""Where a job writes, settled and checked before any work begins.

A registration may take minutes; that its output exists already, is one of its inputs, or has a format that nobody can
write must be said in the first instant.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from otreg.errors import ArgumentError, OutputFileError
from otreg.io import format_for, formats


@dataclass(frozen=True)
class Outputs:
    """What a registration writes, and where.

    directory: folder that receives every file: the moved shape, the transform, the fields and the report.
    shape: file that receives the moved shape (instead of ``registered.*`` in the folder).
    shape_format: name of that file's format; None for the one that its extension names.
    overwrite: whether existing files may be replaced.
    piped: that file stands for standard output, which results call "-".
    Without a directory only the shape is written; one of the two must be given.
    """

    directory: Path | None = None
    shape: Path | None = None
    overwrite: bool = False
    shape_format: str | None = None
    piped: bool = False

    def __post_init__(self) -> None:
        if self.directory is None and self.shape is None:
            raise ArgumentError("outputs need a directory or a shape file; got neither")
        if self.shape is None and self.shape_format is not None:
            raise ArgumentError(
                f"a format must be that of a shape file; got '{self.shape_format}' without one. Name the file, or omit "
                "the format: in a directory the shape keeps its own"
            )

    def files(self, extension: str, *, linear: bool) -> dict[str, Path]:
        """The files of a job by role: shape, transform, matrix (linear models only), fields, report.

        extension: of the moved shape in the folder, with its dot; linear: whether the map has a matrix.
        """
        files = {}
        if self.directory is not None:
            files["shape"] = self.directory / f"registered{extension}"
            files["transform"] = self.directory / "transform.json"
            if linear:
                files["matrix"] = self.directory / "transform.txt"
            files["fields"] = self.directory / "brenier.vtu"
            files["report"] = self.directory / "report.json"
        if self.shape is not None:
            files["shape"] = self.shape
        return files

    def checked_files(self, extension: str, *, linear: bool, inputs: Iterable[Path]) -> dict[str, Path]:
        """The ``files``, if all of them may be written. Raises OutputFileError, FormatError; touches nothing."""
        files = self.files(extension, linear=linear)
        check_outputs(files.values(), inputs=inputs, overwrite=self.overwrite)
        if self.shape is not None:
            check_writable_format(self.shape, self.shape_format)
        return files


def check_outputs(files: Iterable[Path], *, inputs: Iterable[Path], overwrite: bool) -> None:
    """Raises OutputFileError for the first file that may not or cannot be written; touches nothing."""
    taken = {_identity(path): path for path in inputs}
    seen: dict[object, Path] = {}
    for path in files:
        identity = _identity(path)
        if identity in taken:
            raise OutputFileError(f"{path}: the output is also an input; choose another name")
        if identity in seen:
            raise OutputFileError(f"{path}: two outputs have this name; choose another for one of them")
        seen[identity] = path
        if path.is_dir():
            raise OutputFileError(f"{path}: is a folder, a file is to be written there; choose another name")
        if os.path.lexists(path) and not overwrite:
            raise OutputFileError(f"{path}: exists already; choose another name or give --overwrite")
        _check_parent(path)


def check_writable_format(path: Path, format: str | None = None) -> None:
    """Raises OutputFileError when otreg cannot write the format of that name or, without one, of the path's extension.

    Raises FormatError for a name that is unknown.
    """
    info = format_for(path, format)
    if info is not None and info.can_write:
        return
    found = f"'{path.suffix}'" if path.suffix else "no extension"
    rule = f"its extension must be that of a format that can be written; got {found}"
    if info is not None:
        rule = f"format {info.name} can only be read"
    writable = sorted({extension for info in formats() if info.can_write for extension in info.extensions})
    raise OutputFileError(f"{path}: {rule}. Give the output one of {' '.join(writable)}")


def _identity(path: Path) -> object:
    """The same for two names of one file: device and inode if it exists, the resolved path otherwise."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def _check_parent(path: Path) -> None:
    parent = path.absolute().parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise OutputFileError(f"{path}: cannot be created, because {parent} is not a folder; choose another name")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputFileError(f"{path}: no permission to write in {parent}; choose another folder")
