"""`python train.py OVERRIDES` in a checkout is `m2fp-kd train OVERRIDES`."""

import sys

if __name__ == "__main__":
    try:
        from m2fp_kd.train import main
    except ModuleNotFoundError as error:
        sys.exit(
            f"m2fp-kd: {error.name} is not installed in {sys.prefix}; `make install` makes an environment, and "
            "`.venv/bin/python train.py` runs in it"
        )
    sys.exit(main())
