"""The Hydra entry: `m2fp-kd train OVERRIDES` trains, distils, quantises and checks; `--help` explains the groups."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# OpenMP reads the policy once, when torch loads it. A passive thread yields its core while it waits; with other work
# on the machine, spinning threads slow training down tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from m2fp_kd.command import DEBUG, FULL_ERROR, reported
from m2fp_kd.config import quoted, register_resolvers
from m2fp_kd.preflight import check, remove_empty
from m2fp_kd.renamed import new_names
from m2fp_kd.shipped import conf_folder
from m2fp_kd.signals import dying_with

log = logging.getLogger("m2fp_kd.train")  # the module runs as __main__

EXTRAS = "train,compress,serve"

register_resolvers()


class SettingError(ValueError):
    """Raised for an option or value that Hydra, OmegaConf or Lightning refuses."""


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")
def train(cfg: DictConfig) -> float | None:
    """Run the stage that the composed configuration names.

    Returns:
        The student's or teacher's val/mIoU, 0..1, or a pretrained backbone's val/correlation, -1..1, which a sweep
        maximises; None where nothing was scored.
    """
    try:
        check(cfg)
    except (OSError, ValueError):
        remove_empty(Path(HydraConfig.get().runtime.output_dir))
        raise
    if "pytorch_lightning" not in sys.modules:  # takes seconds to import; --help and wrong options should not
        log.info("loading PyTorch and Lightning")
    from m2fp_kd.pipeline import run

    with _variable(FULL_ERROR, None):  # processes that Lightning starts print their own errors in one line
        scores = run(cfg)
    return scores.get("val/mIoU", scores.get("val/correlation"))


def main() -> int:
    """Train with the overrides on the command line; options under an old name are accepted with a warning.

    Returns:
        The exit code; an error is printed as `m2fp_kd.command.reported` does.
    """
    logging.raiseExceptions = False  # on a full disk, `train.log` would print a traceback for every line
    debug = DEBUG in sys.argv
    sys.argv[1:] = quoted(new_names([word for word in sys.argv[1:] if word != DEBUG]))
    with dying_with("the same command continues the run"):
        return reported(_train, lambda: EXTRAS, debug)


def _train() -> int:
    """Run Hydra, which raises errors instead of printing them with a traceback where this variable is set.

    A failed gate is a result and no error: the limits that do not hold are printed last, and the exit code is 1.
    """
    try:
        with _variable(FULL_ERROR, "1"):
            train()
    except Exception as error:
        if type(error).__name__ == "ParityError":  # its module takes seconds to import
            print(error, file=sys.stderr)
            return 1
        if found := _refusal(error):
            raise found from error
        raise
    return 0


def _refusal(error: Exception) -> Exception | None:
    """Return a library's error about a setting as one of ours; None for any other error."""
    if isinstance(error, InstantiationException):
        # Hydra wraps what a class raises; its own errors about a class have no cause.
        cause = error.__cause__
        if isinstance(cause, TypeError) and "keyword argument" in str(cause):  # an option that the class lacks
            return SettingError(f"{str(error).rpartition('full_key: ')[2]}: {cause}")
        return (_refusal(cause) or cause) if isinstance(cause, Exception) else SettingError(str(error))
    if isinstance(error, OverrideParseException):
        advice = "quote a value with special characters for the shell and for Hydra, as in 'KEY=\"VALUE\"'"
        return SettingError(f"{error.override}: {error.message}; {advice}")
    if isinstance(error, HydraException):
        return SettingError(f"{error} {error.__cause__ or ''}".strip())
    if isinstance(error, OmegaConfBaseException) or type(error).__name__ == "MisconfigurationException":
        return SettingError(str(error))
    return None


@contextmanager
def _variable(name: str, value: str | None) -> Iterator[None]:
    """Set an environment variable inside the context, or remove it."""
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


if __name__ == "__main__":
    sys.exit(main())
