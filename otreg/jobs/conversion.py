"""The format of the moved shape: that of the source where it can be written, else the simplest one that holds it all.

Whether a format can hold a shape is known to its writer alone, so a trial is written to a temporary folder: that takes
a second, and an error after a registration of minutes is worse. Where digits are short far from the origin, the trial
is made where the target lies.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from otreg.errors import OutputFileError
from otreg.io import format_for, formats, write_shape
from otreg.shapes import Shape

# For sources in formats that can only be read: most programs open the first, the second holds volumes too.
SUBSTITUTES = (".ply", ".vtu")


def extension_for(shape: Shape, path: Path) -> tuple[str, str | None]:
    """The extension of the moved shape of a source file, and a warning when its own format can only be read.

    path: the file's name; its extension counts where it is one of the format's. Raises OutputFileError.
    """
    info = next(info for info in formats() if info.name == shape.format)
    if info.can_write:
        own = [extension for extension in info.extensions if path.name.lower().endswith(extension)]
        return max(own, key=len, default=info.extensions[0]), None
    first, extension = SUBSTITUTES
    try:
        check_conversion(shape, Path(f"registered{first}"))
        extension = first
    except OutputFileError:  # the caller's own check says what is wrong with the second one, if anything
        pass
    return (
        extension,
        f"{shape.path or path}: format {info.name} can only be read; the moved shape is written as {extension[1:]}",
    )


def check_conversion(shape: Shape, path: Path, format: str | None = None) -> None:
    """Raises OutputFileError now that writing the moved shape to ``path`` would raise after all the work.

    shape: the source, about where it will be moved to; format: to write, None for that of the path's extension.
    """
    info = format_for(path, format)
    if info is not None and info.name == shape.format and shape.native is not None and not info.only_single:
        return  # its own file with new coordinates: nothing can be lost
    with tempfile.TemporaryDirectory() as folder:
        try:
            write_shape(shape, Path(folder) / path.name, format=format)
        except OutputFileError as error:
            # The name in the message is that of the trial; the user knows the other one.
            raise OutputFileError(str(error).replace(str(Path(folder) / path.name), str(path))) from error
