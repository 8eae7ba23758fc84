"""`python -m m2fp_kd.cli` is `m2fp-kd`."""

import sys

from m2fp_kd.cli import main

sys.exit(main())
