"""Where a map is written, and in which layout: one file per direction, but for .npz, which holds both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg.errors import ArgumentError
from otreg.io import atomic_write, write_shape
from otreg.io.fields import FIELD_FORMATS
from otreg.shapes import CellBlock, Shape

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class MapOutputs:
    """What a map writes, and where.

    file: receives the map from the source to the target.
    both: also write the map from the target to the source: with .npz into the same file, under names that begin with
    ``target_``; else into a second file beside it, FILE_target.
    format: "vtu", "ply" or "npz"; None for the one that the extension of ``file`` names.
    overwrite: whether existing files may be replaced.
    piped: ``file`` stands for standard output, which results call "-" and which is one file.
    """

    file: Path
    both: bool = False
    format: str | None = None
    overwrite: bool = False
    piped: bool = False

    def __post_init__(self) -> None:
        extension = self.file.suffix if self.format is None else f".{self.format}"
        if extension.lower() not in FIELD_FORMATS:
            asked = f"'{extension}'" if self.format is None else f"the format '{self.format}'"
            raise ArgumentError(
                f"{self.file}: a map is written as {', '.join(FIELD_FORMATS)}; got {asked}. Choose one of these"
            )
        if self.piped and len(self.files()) > 1:
            raise ArgumentError(
                f"{self.file}: standard output must be one file; got both directions as {self.layout}. Choose npz"
            )

    @property
    def layout(self) -> str:
        """ "vtu", "ply" or "npz"."""
        return (self.format or self.file.suffix[1:]).lower()

    def files(self) -> dict[str, Path]:
        """The files by role: map, and target_map where the other direction has a file of its own."""
        files = {"map": self.file}
        if self.both and self.layout != "npz":
            files["target_map"] = self.file.with_name(f"{self.file.stem}_target{self.file.suffix}")
        return files

    def write(self, maps: Mapping[str, Shape]) -> None:
        """Writes the points with their fields: the role "map", and "target_map" where there is one.

        Each file appears whole or not at all. Raises OutputFileError when it exists or cannot be written.
        """
        if "target_map" in maps and self.layout == "npz":
            arrays = {**_arrays(maps["map"]), **_arrays(maps["target_map"], prefix="target_")}
            with atomic_write(self.file, overwrite=self.overwrite) as temporary, temporary.open("wb") as stream:
                np.savez(stream, allow_pickle=False, **arrays)
            return
        for role, path in self.files().items():
            write_shape(maps[role], path, format=self.layout, overwrite=self.overwrite)


def _arrays(fields: Shape, *, prefix: str = "") -> dict[str, Array]:
    """Points, cells and fields by the names that otreg's .npz files have, behind a prefix."""
    named: Mapping[str, Array] = {"points": fields.points, **_cells(fields.cells), **fields.point_data}
    return {prefix + name: values for name, values in named.items()}


def _cells(blocks: tuple[CellBlock, ...]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for k, block in enumerate(blocks):
        arrays[f"cells_{k}_{block.kind}"] = block.indices
        if block.offsets is not None:
            arrays[f"cells_{k}_{block.kind}_offsets"] = block.offsets
    return arrays
