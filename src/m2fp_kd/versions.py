"""Which libraries are installed, and whether those that must match do. `python -m m2fp_kd.versions` checks."""

from importlib.metadata import PackageNotFoundError, version

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

# torch minor version -> what was built for it. A mismatch otherwise shows up late, as a missing operator.
TORCHVISION = {"2.14": "0.29"}
TORCHAO = {"2.14": "0.18"}


def installed_versions() -> dict[str, str]:
    """Versions of the libraries that a result can depend on; those that are not installed are left out."""
    found = {}
    for name in REPORTED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def check_versions(installed: dict[str, str] | None = None) -> None:
    """Refuse a torch / torchvision / torchao combination that was not built together.

    Raises:
        RuntimeError: naming what is installed and the pair wanted.
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
            raise RuntimeError(
                f"torch {installed.get('torch')} and {library} {found} do not match; wanted: {tried}. "
                "Reinstall with --constraint constraints.txt"
            )


if __name__ == "__main__":
    check_versions()
    print("  ".join(f"{name} {number}" for name, number in installed_versions().items()))
