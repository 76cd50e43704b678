"""Where the installed command begins: Ctrl-C is seen to before anything else is imported."""

from otreg_cli.interrupt import end_at_once_from_now_on

end_at_once_from_now_on()


def main() -> None:
    """Runs the command of ``sys.argv`` and exits with its code."""
    from otreg_cli.main import main as run_command

    run_command()
