"""Files in, files out: the only door to parsers."""

from otreg.io.atomic import atomic_write
from otreg.io.fields import write_fields
from otreg.io.formats import FormatInfo, format_for, formats
from otreg.io.itk import is_itk, read_itk, write_itk
from otreg.io.plain import file_hash, read_json, read_matrix, write_json, write_matrix
from otreg.io.read import check_readable, read_shape
from otreg.io.write import write_shape

__all__ = [
    "FormatInfo",
    "atomic_write",
    "check_readable",
    "file_hash",
    "format_for",
    "formats",
    "is_itk",
    "read_itk",
    "read_json",
    "read_matrix",
    "read_shape",
    "write_fields",
    "write_itk",
    "write_json",
    "write_matrix",
    "write_shape",
]
