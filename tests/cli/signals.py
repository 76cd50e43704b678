"""What a test that interrupts a command must do first."""

import signal


def listening() -> None:
    """For ``preexec_fn``: the child hears Ctrl-C, which jobs in the background are born deaf to."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
