"""Files and folders that travel with the package: a wheel holds them beside the code, a checkout at its root."""

from pathlib import Path

PACKAGE = Path(__file__).parent
CHECKOUT = PACKAGE.parents[1]


def shipped(name: str, in_checkout: str) -> Path:
    """Return the file or folder that a wheel installs as ``m2fp_kd/NAME``.

    Args:
        name: its name below the installed package.
        in_checkout: its path below a checkout, which is used where the package has none.

    Returns:
        An absolute path; relative to the current folder where it lies below that, so that a run in a checkout
        records the same path on every machine.

    Raises:
        FileNotFoundError: the folder is in neither place.
    """
    places = (PACKAGE / name, CHECKOUT / in_checkout)
    for place in places:
        if place.exists():
            here = Path.cwd()
            return place.relative_to(here) if place.is_relative_to(here) else place
    raise FileNotFoundError(f"{' and '.join(map(str, places))} do not exist; reinstall m2fp-kd")


def conf_folder() -> Path:
    """Return the folder of the Hydra configuration, as an absolute path."""
    return shipped("conf", "conf").absolute()


def sample_folder() -> Path:
    """Return the folder of the sample data set and its teacher cache."""
    return shipped("sample", "data/sample")


def litert_converter() -> Path:
    """Return the requirements of LiteRT's converter, which no extra can install."""
    return shipped("litert-converter.txt", "litert-converter.txt")
