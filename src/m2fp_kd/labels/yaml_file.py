"""Read YAML files."""

from pathlib import Path
from typing import Any

from m2fp_kd.versions import install_hint


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the names and values in a YAML file.

    Raises:
        ValueError: the file is not valid YAML or not a mapping, or PyYAML is not installed.
        FileNotFoundError: the file does not exist.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ValueError(f"reading YAML needs PyYAML: {install_hint('serve')}") from error
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError("must hold names and values, one pair per line")
    return values
