"""Command lines of the package: checked options, help with examples, exit codes, one-line errors."""

import argparse
import errno
import logging
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any, NoReturn

from m2fp_kd import __version__
from m2fp_kd.versions import install_hint

DEBUG = "--debug"
FULL_ERROR = "HYDRA_FULL_ERROR"
"""Option and environment variable that print the traceback of an error."""

ERROR = 2

HINTS = {
    errno.ENOSPC: "free some space and repeat the command",
    errno.EDQUOT: "free some space and repeat the command",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f) and repeat the command",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EADDRINUSE: "choose another port, or stop the program that uses it",
}
"""Error of the operating system -> what to do."""


def teaching(text: str) -> dict[str, Any]:
    """Return the arguments that end a parser's help with this text, with its line breaks."""
    return {"formatter_class": argparse.RawDescriptionHelpFormatter, "epilog": text}


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return the `type` of an option that takes a whole number in a range."""
    allowed = f"a whole number from {least} to {most}" if most is not None else f"a whole number of at least {least}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be {allowed}, not {text!r}") from None
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"must be {allowed}, not {text!r}")
        return value

    return parse


def number(above: float = 0, most: float = 1e9, least: float | None = None) -> Callable[[str], float]:
    """Return the `type` of an option that takes a number above a bound (or from `least` on) and at most `most`."""
    allowed = f"a number from {least:g} to {most:g}" if least is not None else f"a number above {above:g}, to {most:g}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not ((value >= least if least is not None else value > above) and value <= most):
            raise argparse.ArgumentTypeError(f"must be {allowed}, not {text!r}")
        return value

    return parse


def several(allowed: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Return the `type` of an option that takes words of a list, separated by commas; it returns them in its order."""

    def parse(text: str) -> tuple[str, ...]:
        chosen = [word.strip() for word in text.split(",")]
        if unknown := [word for word in chosen if word not in allowed]:
            raise argparse.ArgumentTypeError(f"there is no {unknown[0]!r}; choose from {', '.join(allowed)}")
        return tuple(word for word in allowed if word in chosen)

    return parse


class RenamedOption(argparse.Action):
    """Option of the last version; it warns and stores its value under its destination, the present option."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        warnings.warn(f"{option_string} is an old name; use --{self.dest}", FutureWarning, stacklevel=2)
        setattr(namespace, self.dest, values)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise SystemExit(_fail(f"{message.removeprefix('argument ')} (`{self.prog} -h` explains the options)"))


def run_command(commands: Iterable[ModuleType], arguments: Sequence[str] | None = None, epilog: str = "") -> int:
    """Run the command of `m2fp-kd` that the arguments name.

    Args:
        commands: modules, each with a function `add` that adds a command to argparse's subparsers and sets its
            defaults `run` (takes the options, returns the exit code) and `extras` (the extras that it imports).
        arguments: command line without the program's name; None for that of this process.
        epilog: end of the program's help.

    Returns:
        As in `reported`.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    program = _Parser(prog="m2fp-kd", description="Human parsing on a CPU.", **teaching(epilog))
    program.add_argument("--version", action="version", version=f"m2fp-kd {__version__}")
    program.add_argument(DEBUG, action="store_true", help="print the traceback of an error")
    subparsers = program.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        command.add(subparsers)
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning
        # Pillow's notes on damaged metadata name no photo; damaged pixels are errors.
        warnings.filterwarnings("ignore", module="PIL")
        logging.getLogger("PIL").setLevel(logging.CRITICAL)
        if any(not word or (word.startswith("--") and word.endswith("=")) for word in words):
            program.error("an argument is empty; is a variable of the shell not set?")
        options = program.parse_args([word for word in words if word != DEBUG])
        options.debug = DEBUG in words
        return reported(lambda: options.run(options), lambda: options.extras, options.debug)


def reported(run: Callable[[], int], extras: Callable[[], str], debug: bool = False) -> int:
    """Run a command and print its errors.

    An error that a user can cause is one line, the last of the output. Any other is a defect of the package: its
    traceback comes before the line.

    Args:
        run: the command; returns its exit code.
        extras: returns the extras that the command imports.
        debug: raise every error; the environment variable HYDRA_FULL_ERROR does the same.

    Returns:
        The command's own exit code; 2 after an error; 130 where the user interrupted it; 141 where the reader of its
        output closed the pipe.
    """
    try:
        code = run()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, closed the pipe. Python must not write its buffer there at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if debug or os.environ.get(FULL_ERROR) == "1":
            raise
        if isinstance(error, ModuleNotFoundError) and not (error.name or "m2fp_kd").startswith("m2fp_kd"):
            return _fail(f"{error.name} is not installed in {sys.prefix}: {install_hint(extras())}")
        if not expected(error):
            traceback.print_exception(error)
            return _fail(f"{type(error).__name__}: {one_line(error)}; this is a defect of m2fp-kd, please report it")
        return _fail(one_line(error))


def expected(error: Exception) -> bool:
    """Return whether a user can cause an error: those of the package, of a value, of a file and of memory."""
    ours = type(error).__module__.startswith("m2fp_kd.")
    return ours or isinstance(error, OSError | ValueError | MemoryError | FloatingPointError)


def _fail(message: str) -> int:
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    print(f"m2fp-kd: {printable(message)}", file=sys.stderr)
    return ERROR


def one_line(error: Exception) -> str:
    """Return an error's text in one line, with the file and, where one is known, the way out."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror is not None:
        text = f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
        text += f"; {hint}" if (hint := HINTS.get(error.errno or 0)) else ""
    return " ".join(text.split())


def print_result(text: str) -> None:
    """Print a line to standard output at once.

    Raises:
        OSError: it cannot be written; the error names standard output.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def printable(text: str) -> str:
    """Return a text in which bytes of a file name that control a terminal, or are no text, are escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii", "replace")
        for letter in text
    )


def _print_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"m2fp-kd: {printable(str(message))}", file=sys.stderr)
