"""Several transforms as one: the first moves first. Of one alone, this writes the same map as another kind of file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path

from otreg.errors import ArgumentError, InputError
from otreg.jobs.frame_choice import FrameChoice, stated_space
from otreg.jobs.invert import WrittenTransform, origin
from otreg.jobs.outputs import check_outputs
from otreg.jobs.provenance import versions
from otreg.jobs.spaces import matched
from otreg.jobs.transform_files import check_transform_name, read_transform, write_transform
from otreg.models.chain import compose, preimage_residual, with_provenance, with_space


def compose_transforms(
    transform_paths: Sequence[Path], out_path: Path, *, overwrite: bool = False, frame: FrameChoice | None = None
) -> WrittenTransform:
    """Writes ``out_path``: the map that moves by the first of the transform files, then by the second, and so on.

    The result lives in the space of the first; linear maps become one matrix. The extension says which kind of file.
    frame: "RAS" or "LPS" for transforms that do not say where the axes of their files point, "none" to take them as
    they are. Raises OutputFileError before any work; InputFileError, FormatError or InputError about the transforms;
    ArgumentError for none of them.
    """
    if not transform_paths:
        raise ArgumentError("compose needs at least 1 transform; got none")
    check_outputs([out_path], inputs=transform_paths, overwrite=overwrite)
    check_transform_name(out_path)
    stated = stated_space(frame)
    first_path, *other_paths = transform_paths
    first = with_space(read_transform(first_path), stated)
    maps = [first]
    for path in other_paths:
        other = read_transform(path)
        if other.dimension != first.dimension:
            raise InputError(
                f"{path}: moves points of {other.dimension} coordinates, {first_path} points of {first.dimension}; "
                "only transforms of one dimension can be composed"
            )
        maps.append(matched(other, first.space, frame, map_path=path, points_path=first_path))
    whole = reduce(compose, maps)
    residual = preimage_residual(whole)
    whole = with_provenance(whole, {"composed of": [origin(path) for path in transform_paths], "versions": versions()})
    write_transform(whole, out_path, overwrite=overwrite)
    return WrittenTransform(out_path, linear=whole.matrix() is not None, residual=residual)
