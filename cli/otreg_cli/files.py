"""Small text files that commands write: whole or not at all, and never over another one unless that was asked for."""

from __future__ import annotations

from pathlib import Path


def write_text(path: Path, text: str, *, overwrite: bool) -> None:
    """Writes UTF-8 text. Raises OutputFileError when the file exists, or cannot be written."""
    from otreg.io import atomic_write

    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
