"""`python -m m2fp_kd.evaluation.differences` is `m2fp-kd diff`."""

import sys
from collections.abc import Sequence

from m2fp_kd.command import run_command
from m2fp_kd.evaluation.differences import command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command([command], ["diff", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    sys.exit(main())
