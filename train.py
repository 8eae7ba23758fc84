"""`python train.py OVERRIDES` in a checkout is `m2fp-kd train OVERRIDES`."""

import sys

from m2fp_kd.train import main

if __name__ == "__main__":
    sys.exit(main())
