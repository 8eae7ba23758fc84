"""`python -m m2fp_kd` is `m2fp-kd`."""

import sys

from m2fp_kd.cli import main

if __name__ == "__main__":
    sys.exit(main())
