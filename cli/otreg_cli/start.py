"""Where the installed command begins and ends: Ctrl-C is seen to before anything else is imported."""

import gc
import os
import sys
from contextlib import suppress

from otreg_cli.interrupt import end_at_once_from_now_on

end_at_once_from_now_on()

# New objects before Python looks for garbage among them. Imports make very many that stay, and with its own bound of
# 700 Python would go through them hundreds of times. Arrays do not wait for this: they go when they are last used.
OBJECTS = 1_000_000


def main() -> None:
    """Runs the command of ``sys.argv`` and ends the process with its code."""
    gc.set_threshold(OBJECTS)
    from otreg_cli.main import main as run_command

    try:
        run_command()
    except SystemExit as ended:
        if isinstance(ended.code, int):
            _end(ended.code)
        raise


def _end(code: int) -> None:
    """Ends the process at once: all files are closed, and Python would take apart, object by object, what torch loads.

    Returns only where what was printed cannot be written, which Python shall then say.
    """
    with suppress(OSError, ValueError):
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code)
