"""Every error that otreg raises on purpose.

One root, :class:`OtregError`; each named error is also the builtin that Python users expect
(``ValueError``, ``OSError``, ...), and carries the exit code that the command line uses for it.
A message is one line: which file (line, element, key), the rule, what was found, what to do; only a SettingsError has
one line for each setting that is wrong.
Not converging is a status of a result, not an exception, except under ``--strict``.
"""

from __future__ import annotations


class OtregError(Exception):
    """Root of all errors raised on purpose; ``exit_code`` is what the command line exits with."""

    exit_code = 70


class ArgumentError(OtregError, ValueError):
    """An argument, flag or configuration value broke a rule."""

    exit_code = 2


class SettingsError(ArgumentError):
    """Settings broke rules: one line for each, so that a file can be mended in one go.

    problems: the lines; as text they are joined by line ends.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(" ".join(str(problem).splitlines()) for problem in self.args)  # names of files may hold line ends

    def __str__(self) -> str:
        return "\n".join(self.problems)


class InputError(OtregError, ValueError):
    """A file could be read, but what it holds cannot be used."""

    exit_code = 3


class FormatError(InputError):
    """A file is not valid in its format, or the format is not known."""


class InputFileError(OtregError, OSError):
    """A file to read is missing, not a regular file, or not readable."""

    exit_code = 3


class OutputFileError(OtregError, OSError):
    """A file could not be written, or may not be (it exists, or it is an input)."""

    exit_code = 3


class MissingDependencyError(OtregError, ImportError):
    """An optional package is needed; the message names the extra to install."""

    exit_code = 2


class NotConvergedError(OtregError, ArithmeticError):
    """Raised only on request (``--strict``): the answer did not reach its tolerance."""

    exit_code = 4


class ResourceError(OtregError, MemoryError):
    """Not enough memory, or the asked device is not there."""

    exit_code = 5


def is_out_of_memory(failure: BaseException) -> bool:
    """Whether an exception says that memory is short, in Python's words or in those of torch."""
    if isinstance(failure, MemoryError):
        return True
    text = str(failure)  # torch raises RuntimeErrors: a subclass of its own on a GPU, this sentence on a CPU
    return isinstance(failure, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
