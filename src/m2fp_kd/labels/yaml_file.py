"""Reading what a user wrote down."""

from pathlib import Path
from typing import Any


def read_yaml(path: Path) -> dict[str, Any]:
    """The names and values in a YAML file.

    Raises:
        ValueError: it is no YAML or holds something else, or PyYAML is not installed.
        FileNotFoundError: there is no such file.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ValueError("reading YAML needs PyYAML: pip install 'm2fp-kd[train]'") from error
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError("should hold names and values, one a line")
    return values
