"""Which format a file has: its content decides where it is unambiguous, the extension otherwise.

What is certainly no shape (a web page, a git-LFS pointer, a picture, an archive, a pickle) is named as what it is.
"""

from __future__ import annotations

import re
from pathlib import Path

from otreg.errors import FormatError
from otreg.io.formats import BY_EXTENSION, BY_NAME, Codec, extension_of
from otreg.io.source import read_bytes, regular_file
from otreg.io.stl import HEADER, is_binary_stl

HEAD = 4096  # bytes that are looked at

NOT_SHAPES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "is a git-LFS pointer, not the file itself; run 'git lfs pull'"),
    (b"BZh", "is bzip2-compressed; unpack it first"),
    (b"\xfd7zXZ", "is xz-compressed; unpack it first"),
    (b"7z\xbc\xaf", "is a 7z archive; unpack it first"),
    (b"\x89PNG", "is a picture (PNG), not a shape"),
    (b"\xff\xd8\xff", "is a picture (JPEG), not a shape"),
    (b"GIF8", "is a picture (GIF), not a shape"),
    (b"%PDF", "is a PDF document, not a shape"),
    (b"\x7fELF", "is a program, not a shape"),
    (b"\xff\xfe", "is UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text; save it as UTF-8"),
)
GZIP = b"\x1f\x8b"
# Bytes that only one format has, and where they stand.
MARKS: tuple[tuple[bytes, int, str], ...] = (
    (b"\x93NUMPY", 0, "npy"),
    (b"glTF", 0, "gltf"),
    (b"LASF", 0, "las"),
    (b"\xff\xff\xfe", 0, "freesurfer"),
    (b"n+1\0", 344, "nifti"),
    (b"n+2\0", 4, "nifti"),
)
# Pickle protocols 2 to 5 start with \x80 and the protocol's number. Reading one can run code, so it is never tried.
PICKLE = re.compile(rb"\x80[\x02-\x05]")
WEB_PAGE = re.compile(rb"\s*(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
MARKUP = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


def format_of(path: Path) -> tuple[Codec, tuple[str, ...]]:
    """The codec for a file, and a warning if its content and its extension disagree.

    Raises InputFileError when it cannot be read, FormatError when it is no shape or of no known format.
    """
    head = head_of(path)
    try:
        name = _by_content(head, regular_file(path), extension_of(path))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    by_extension = BY_EXTENSION.get(extension_of(path))
    if name is None:
        if by_extension is not None:
            return by_extension, ()
        known = " ".join(BY_EXTENSION)
        suffix = f"extension '{path.suffix}'" if path.suffix else "a name without extension"
        raise FormatError(f"{path}: its format is unknown ({suffix}); pass --format, or use one of {known}")
    codec = BY_NAME[name]
    if by_extension is None or by_extension is codec:
        return codec, ()
    return codec, (f"the extension says {by_extension.name}, the content {codec.name}; read as {codec.name}",)


def head_of(path: Path, codec: Codec | None = None) -> bytes:
    """The first bytes of a file that may be a shape. Raises FormatError when it is empty or certainly no shape.

    codec: that the file will be read with, if the user named it.
    """
    if regular_file(path) == 0:
        raise FormatError(f"{path}: the file is empty")
    head = read_bytes(path, HEAD)
    for magic, sentence in NOT_SHAPES:
        if head.startswith(magic):
            raise FormatError(f"{path}: {sentence}")
    if PICKLE.match(head):
        raise FormatError(f"{path}: is a Python pickle, which can run code when read; save it as .npy, .npz or .ply")
    if WEB_PAGE.match(head):
        raise FormatError(f"{path}: is a web page (HTML), not a shape; the download went wrong")
    packed = extension_of(path) in (".nii", ".nii.gz") if codec is None else codec.name == "nifti"
    if head.startswith(GZIP) and not packed:
        raise FormatError(f"{path}: is gzip-compressed; unpack it first")
    if not head.strip(b"\0"):
        raise FormatError(f"{path}: holds only zero bytes; the file is damaged")
    return head


def _xml_format(text: bytes) -> str | None:
    root = re.search(rb"<VTKFile[^>]*\btype\s*=\s*[\"'](\w+)", text)
    if root is None:
        return "xdmf" if b"<Xdmf" in text else "gifti" if b"<GIFTI" in text else None
    name = {b"PolyData": "vtp", b"UnstructuredGrid": "vtu"}.get(root.group(1))
    if name is None:
        raise FormatError(f"is a VTK file of {root.group(1).decode()}, not a shape")
    return name


def _by_content(head: bytes, size: int, suffix: str) -> str | None:
    """The name of the format that the first bytes show without doubt, or None."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for mark, place, name in MARKS:
        if head[place : place + len(mark)] == mark:
            return name
    if re.match(rb"ply[ \t]*[\r\n]", text):
        return "ply"
    if text.startswith(b"# vtk DataFile Version"):
        return "vtk"
    if text.startswith(b"$MeshFormat"):
        return "gmsh"
    if text.startswith(b"MeshVersionFormatted"):
        return "medit"
    if head.startswith(b"PK\x03\x04"):
        first = head[30 : 30 + int.from_bytes(head[26:28], "little")]  # name of the first file in it
        if first.endswith(b".npy"):
            return "npz"
        if suffix not in (".npz", ".3mf"):
            raise FormatError("is an archive (zip); unpack it first")
    if text.startswith(b"<"):
        return _xml_format(text)
    if re.match(rb"(ST)?C?N?4?n?OFF\d*\s", text):
        return "off"
    if is_binary_stl(head, size) and size > HEADER:
        return "stl"
    if re.match(rb"solid\b[^\n]*\n\s*facet\s+normal", text, re.IGNORECASE):
        return "stl"
    if re.match(rb"(#[^\n]*\n)*\s*VERSION\s+\.?[0-9][^\n]*\n\s*(FIELDS|COLUMNS)\b", text):
        return "pcd"
    return None
