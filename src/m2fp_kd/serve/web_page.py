"""Export an artefact as a static web page that parses photos in the visitor's browser."""

import json
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from m2fp_kd.runtime.artefact import CARD_NAME, ArtefactError, find_model, load_card
from m2fp_kd.runtime.files import atomic_folder, file_sha256
from m2fp_kd.serve.guard import HEADERS, POLICY
from m2fp_kd.serve.models import facts_of
from m2fp_kd.serve.onnxruntime_web import runtime_files

STATIC = Path(__file__).parent / "static"

SERVICE_ONLY = ("docs.html", "docs.js", "docs.css")
"""Files of the service's pages that a static page does not need."""

OFFLINE = "offline.js"
"""The service worker. It lies at the top of the folder, because it serves the paths below its own."""

DEVICE_POLICY = POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'")
"""Content-Security-Policy of a page that runs a model."""

DEVICE_HEADERS = HEADERS | {
    "Content-Security-Policy": DEVICE_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
"""Headers of such a page. The last two isolate it, without which WebAssembly has one thread."""

LIMITS = {"megabytes": 200, "megapixels": 64, "photos": 1}
"""Limits of a photo on a visitor's device, as `/api/models` gives those of a server."""

LICENCES = {"LICENSE": "LICENSE.onnxruntime", "ThirdPartyNotices.txt": "ThirdPartyNotices.onnxruntime.txt"}
"""Licence in the installed ONNX Runtime -> name on the page; npm's package has none."""


def device_files(folder: Path) -> Path:
    """Return the files that a device needs, of an exported page.

    Raises:
        FileNotFoundError: the folder holds no exported page.
    """
    device = (folder / "device").absolute()
    if not (device / "facts.json").is_file():
        raise FileNotFoundError(f"{folder}: is no page of `m2fp-kd export web`")
    return device


def export(artefact: Path, folder: Path, runtime: Sequence[Path] = ()) -> None:
    """Write a folder that any web server can serve.

    Args:
        artefact: ONNX model file or its folder.
        folder: new or empty folder.
        runtime: archives of ONNX Runtime Web, as in `runtime_files`.

    Raises:
        FileNotFoundError: there is no such artefact or archive.
        ArtefactError: the artefact is no ONNX file, or its card is missing or describes another file.
        ValueError: the folder is not empty, or ONNX Runtime Web cannot be obtained.
        OSError: the folder cannot be written; nothing is left of it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: is not an empty folder; choose another one")
    model = find_model(artefact)
    if model.suffix != ".onnx":
        raise ArtefactError(f"{model}: ONNX Runtime Web runs .onnx files; pass the ONNX artefact")
    card = load_card(model)
    facts = facts_of("lite", model, card) | {"id": f"device-{file_sha256(model)[:16]}", "compute_precision": "f32"}
    files = runtime_files(runtime)
    with atomic_folder(folder) as temporary:
        _copy_page(temporary)
        device = temporary / "device"
        shutil.copytree(files, device)
        shutil.copyfile(model, device / "model.onnx")
        _write(device / CARD_NAME, card.to_dict())
        _write(device / "facts.json", {"facts": facts, "limits": LIMITS})
        _copy_licences(device)
        _list_files(temporary)


def _copy_page(folder: Path) -> None:
    """Copy the service's page, which then parses on the device only."""
    shutil.copytree(STATIC, folder / "static", ignore=shutil.ignore_patterns(*SERVICE_ONLY))
    (folder / "static" / OFFLINE).rename(folder / OFFLINE)
    page = (folder / "static" / "index.html").rename(folder / "index.html")
    page.write_text(device_page(page.read_text(encoding="utf-8"), "device", meta=True), encoding="utf-8")


def device_page(page: str, sources: str, meta: bool = False) -> str:
    """Return the page's HTML for other sources of answers.

    Args:
        page: text of `index.html`.
        sources: "device", "server" or both, separated by a space, the preferred one first.
        meta: put the policy, less what only a header may say, into the HTML, for servers that send none.
    """
    page = page.replace('data-sources="server"', f'data-sources="{sources}"')
    policy = DEVICE_POLICY.partition("; frame-ancestors")[0]
    tag = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    return page.replace('<meta charset="utf-8">\n', f'<meta charset="utf-8">\n{tag}') if meta else page


def _copy_licences(folder: Path) -> None:
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")
    for name, ours in LICENCES.items():
        shutil.copyfile(Path(spec.origin).parent / name, folder / ours)


def _list_files(folder: Path) -> None:
    """Write what the service worker needs to know: the files that it keeps, each with its hash, and the headers."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != OFFLINE)
    hashes = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    text = f"self.FILES = {json.dumps(hashes, indent=1)};\nself.HEADERS = {json.dumps(DEVICE_HEADERS, indent=1)};\n"
    (folder / "files.js").write_text(text, encoding="utf-8")


def _write(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=1), encoding="utf-8")
