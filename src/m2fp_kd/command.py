"""Command lines of the package: help with examples, exit codes, one-line errors."""

import argparse
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

from m2fp_kd import __version__
from m2fp_kd.versions import install_hint


def teaching(text: str) -> dict[str, Any]:
    """Return the arguments that end a parser's help with this text, with its line breaks."""
    return {"formatter_class": argparse.RawDescriptionHelpFormatter, "epilog": text}


class RenamedOption(argparse.Action):
    """Option of the last version; it warns and stores its value under its destination, the present option."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        warnings.warn(f"{option_string} is an old name; use --{self.dest}", FutureWarning, stacklevel=2)
        setattr(namespace, self.dest, values)


def run_command(commands: Iterable[ModuleType], arguments: Sequence[str] | None = None, epilog: str = "") -> int:
    """Run the command of `m2fp-kd` that the arguments name.

    Args:
        commands: modules, each with a function `add` that adds a command to argparse's subparsers and sets its
            defaults `run` (takes the options, returns the exit code) and `extras` (the extras that it imports).
        arguments: command line without the program's name; None for that of this process.
        epilog: end of the program's help.

    Returns:
        The command's own exit code; 2 after an error, which is printed in one line; 130 where the user interrupted it;
        141 where the reader of its output closed the pipe.
    """
    program = argparse.ArgumentParser(prog="m2fp-kd", description="Human parsing on a CPU.", **teaching(epilog))
    program.add_argument("--version", action="version", version=f"m2fp-kd {__version__}")
    subparsers = program.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        command.add(subparsers)
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning
        warnings.filterwarnings("ignore", module="PIL")  # damaged metadata; damaged pixels are errors
        options = program.parse_args(arguments)
        try:
            code = options.run(options)
            sys.stdout.flush()
            return code
        except KeyboardInterrupt:
            print("\nstopped", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # The reader, such as `head`, closed the pipe. Python must not write its buffer there at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("m2fp_kd"):
                raise
            return _fail(f"{error.name} is not installed: {install_hint(options.extras)}")
        except (OSError, ValueError) as error:
            return _fail(_one_line(error))


def _fail(message: str) -> int:
    print(f"m2fp-kd: {message}", file=sys.stderr)
    return 2


def _one_line(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    return " ".join(text.split())


def _print_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"m2fp-kd: {message}", file=sys.stderr)
