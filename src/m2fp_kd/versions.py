"""Versions of the installed libraries, and a check of those that must match: `python -m m2fp_kd.versions`."""

import json
from importlib.metadata import PackageNotFoundError, distribution, version
from urllib.parse import urlsplit
from urllib.request import url2pathname

from m2fp_kd import __version__

NAME = "m2fp-kd"

REPORTED = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "timm",
    "nncf",
    "onnx",
    "onnxruntime",
    "openvino",
    "torchao",
    "numpy",
)

# torch minor version -> the version built for it. A mismatch otherwise shows up late, as a missing operator.
TORCHVISION = {"2.14": "0.29"}
TORCHAO = {"2.14": "0.18"}


class VersionError(RuntimeError):
    """Raised for versions of libraries that were not built for each other."""


def installed_versions() -> dict[str, str]:
    """Return the versions of this package and of the installed libraries that a result can depend on."""
    found = {NAME: __version__}
    for name in REPORTED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def install_hint(extras: str) -> str:
    """Return the pip command that adds extras, separated by commas, to this installation."""
    try:
        record = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return f"pip install '.[{extras}]' in the checkout"
    if record is None:  # by PEP 610: installed from an index
        return f"pip install '{NAME}[{extras}]'"
    source = json.loads(record)
    if "dir_info" not in source:
        return f"pip install '{NAME}[{extras}] @ {source['url']}'"
    option = "--editable " if source["dir_info"].get("editable") else ""
    return f"pip install {option}'{url2pathname(urlsplit(source['url']).path)}[{extras}]'"


def check_versions(installed: dict[str, str] | None = None) -> None:
    """Refuse a torch / torchvision / torchao combination that was not built together.

    Args:
        installed: library -> version; None for this environment.

    Raises:
        VersionError: the versions do not match; the message names them and the pairs that do.
    """
    installed = installed_versions() if installed is None else installed
    torch_minor = ".".join(installed.get("torch", "").split(".")[:2])
    for library, pairs in (("torchvision", TORCHVISION), ("torchao", TORCHAO)):
        found = installed.get(library)
        if found is None:
            continue
        wanted = pairs.get(torch_minor)
        if wanted is None or not found.startswith(f"{wanted}."):
            tried = ", ".join(f"torch {left}.* with {library} {right}.*" for left, right in pairs.items())
            raise VersionError(
                f"torch {installed.get('torch')} and {library} {found} do not match; wanted: {tried}. "
                "Reinstall with --constraint constraints.txt"
            )


if __name__ == "__main__":
    check_versions()
    print("  ".join(f"{name} {number}" for name, number in installed_versions().items()))
