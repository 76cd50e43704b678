"""The door: finds the command, runs it, and turns whatever goes wrong into one line and an exit code.

Nothing heavy is imported here; a command's module is imported when it is invoked, so that ``otreg --help`` answers at
once.
"""

from __future__ import annotations

import difflib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

import click
from click.shell_completion import CompletionItem

import otreg
from otreg.errors import OtregError, SettingsError, is_out_of_memory
from otreg_cli import completion
from otreg_cli.interrupt import Interruptible, exit_code, word

USAGE, INPUT, RESOURCES, BUG = 2, 3, 5, 70

# Command -> its module (which holds a click command called ``command``) and its line in `otreg --help`.
COMMANDS = {
    "register": ("otreg_cli.register", "Move a shape onto another one."),
    "batch": ("otreg_cli.batch", "Register many pairs, several at the same time."),
    "apply": ("otreg_cli.apply", "Move any shape or points with a transform found before."),
    "invert": ("otreg_cli.invert", "Write the transform that undoes another one."),
    "compose": ("otreg_cli.compose", "Write several transforms as one."),
    "distance": ("otreg_cli.distance", "Say how far apart two shapes are."),
    "map": ("otreg_cli.map", "Write where each point of a shape goes under optimal transport."),
    "config": ("otreg_cli.config", "Show where settings come from, or write a file of them."),
    "schema": ("otreg_cli.schema", "Print the JSON Schema of settings files."),
    "report": ("otreg_cli.report", "Write a page and pictures of a registration, or an index of many."),
    "view": ("otreg_cli.view", "Look at shapes in a browser."),
    "info": ("otreg_cli.info", "Say what is in a shape file."),
    "convert": ("otreg_cli.convert", "Write a shape in another file format."),
    "doctor": ("otreg_cli.doctor", "Say whether otreg can compute here, and what to do if not."),
}


class LazyGroup(click.Group):
    """A group that knows the names of its commands, and imports one when it is asked for."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(name, help=line) for name, (_, line) in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise click.UsageError(error.message + hint, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


# Read when torch and numba load OpenMP. Its idle threads spin for long by default, and take the cores from the threads
# that work: a registration took 60 s instead of 5 s on two cores that other programs used as well. But threads that
# sleep at once have to be woken for each of many short loops: those of GNU OpenMP wait for some 0.1 ms first.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 some jobs of a batch are not done, 2 usage, 3 input or output file, 4 did not "
    "converge (--strict), 5 memory or device, 70 a bug in otreg, 130 interrupted, 143 terminated.",
)
@click.version_option(otreg.__version__, "-V", "--version", prog_name="otreg")
def cli() -> None:
    """Register shapes by optimal transport.

    Start with: otreg register SOURCE TARGET
    """


def main() -> None:
    """Runs the command of ``sys.argv`` and exits with its code."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.update({name: os.environ.get(name, value) for name, value in WAITING.items()})
    if instruction := os.environ.get(completion.VARIABLE):
        sys.exit(completion.complete(cli, instruction))
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command; errors become one line on stderr, with a traceback only under ``--debug``."""
    if not sys.warnoptions:
        # What libraries say to programmers is no business of the user; otreg's own warnings do not come this way.
        warnings.simplefilter("ignore")
    state = {"debug": False}
    interruptible = Interruptible()
    try:
        with interruptible:
            # Not cli.main(): click would answer some exceptions itself, with exit codes of its own.
            with cli.make_context("otreg", list(arguments), obj=state) as context:
                cli.invoke(context)
            if sys.stdout is not None:  # it is None when the shell has closed it
                sys.stdout.flush()
        code = 0
    except click.exceptions.Exit as answered:  # --help and --version
        code = answered.exit_code
    except BrokenPipeError:
        # The reader of the output (head, less) has seen enough. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except click.exceptions.NoArgsIsHelpError as question:
        click.echo(question.format_message(), err=True)
        return USAGE
    except BaseException as caught:
        # Libraries turn an interrupt into errors of their own.
        failure = KeyboardInterrupt() if interruptible.caught else caught
        if isinstance(failure, SystemExit | GeneratorExit):
            raise
        if state["debug"]:
            traceback.print_exc()
        message, code = explain(failure, came=interruptible.caught)
        with suppress(OSError):  # where even stderr cannot be written, the exit code still says it
            for line in message.splitlines():
                click.echo(f"otreg: error: {line}", err=True)
    return code


def explain(failure: BaseException, *, came: signal.Signals | None = None) -> tuple[str, int]:
    """What to say about an exception, and the exit code for its kind; came: the signal that caused an interrupt.

    It is one line, but for settings, of which each wrong one has its own.
    """
    if isinstance(failure, SettingsError):
        return "\n".join(map(_one_line, failure.problems)), failure.exit_code
    if isinstance(failure, OtregError):
        return _one_line(str(failure)), failure.exit_code
    if isinstance(failure, click.UsageError):
        command = failure.ctx.command_path if failure.ctx else "otreg"
        return f"{_one_line(failure.format_message())} Try '{command} --help'.", USAGE
    if isinstance(failure, click.ClickException):
        return _one_line(failure.format_message()), USAGE
    if _is_interrupt(failure):
        return word(came or signal.SIGINT), exit_code(came or signal.SIGINT)
    if is_out_of_memory(failure):
        return "not enough memory; use fewer points (--sampling 10000) or a coarser --blur", RESOURCES
    if isinstance(failure, RuntimeError) and "no locator available" in str(failure):  # numba's, from the first import
        return "compiled code finds no folder to stay in; set NUMBA_CACHE_DIR to one, and see otreg doctor", RESOURCES
    if isinstance(failure, OSError) and failure.strerror:
        where = f"{failure.filename}: " if failure.filename else ""
        return f"{where}{failure.strerror}", INPUT
    kind = type(failure).__name__
    return f"{kind}: {_one_line(str(failure))}; this is a bug in otreg, run with --debug and report what it prints", BUG


def _is_interrupt(failure: BaseException | None) -> bool:
    # A Ctrl-C that falls into compiled code arrives as the cause of a SystemError.
    while failure is not None:
        if isinstance(failure, KeyboardInterrupt | click.Abort):
            return True
        failure = failure.__cause__
    return False


def _one_line(text: str) -> str:
    return " ".join(text.split())
