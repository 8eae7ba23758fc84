"""Get ONNX Runtime Web, from npm or from a file, and keep what a page needs of it in the user's cache."""

import base64
import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from m2fp_kd.runtime.files import atomic_folder

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
DIGEST = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""SHA-512 of the package's archive, base64, as npm publishes it."""

ARCHIVE = f"{PACKAGE}-{VERSION}.tgz"

SCRIPTS = {"ort.wasm.bundle.min.mjs": "ort.wasm.js", "ort.webgpu.bundle.min.mjs": "ort.webgpu.js"}
"""Script in the archive -> name on the page; servers know the type of `.js` better than that of `.mjs`."""

BINARIES = {
    "ort-wasm-simd-threaded.wasm": "ort.wasm.wasm.gz",
    "ort-wasm-simd-threaded.asyncify.wasm": "ort.webgpu.wasm.gz",
}
"""WebAssembly in the archive -> compressed file on the page, a quarter of its size."""

PATIENCE = 600
"""Seconds that npm may take for 33 MB."""


class RuntimeFilesError(ValueError):
    """Raised where ONNX Runtime Web cannot be had; the message names the cause and the fix."""


def runtime_files(archive: Path | None = None) -> Path:
    """Return the folder of ONNX Runtime Web's files, which npm downloads once for each user.

    Args:
        archive: archive of the package that `npm pack` has downloaded elsewhere; None to use the cache or npm.

    Raises:
        RuntimeFilesError: npm is missing or cannot download the package, or the archive is another one.
        FileNotFoundError: there is no such archive.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "m2fp-kd" / PACKAGE
    kept = root / VERSION
    if archive is not None:
        _keep(archive, kept)
    elif not all((kept / name).is_file() for name in (*SCRIPTS.values(), *BINARIES.values())):
        with _downloaded() as found:
            _keep(found, kept)
    return kept


@contextmanager
def _downloaded() -> Iterator[Path]:
    """Download the archive with npm; it is gone after the context."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeFilesError(f"npm, which downloads {PACKAGE} {VERSION}, is not installed; {_way_out()}")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", folder]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise RuntimeFilesError(f"npm has not downloaded {PACKAGE} in {PATIENCE} s; {_way_out()}") from error
        if done.returncode:
            raise RuntimeFilesError(f"npm cannot download {PACKAGE} {VERSION} ({_cause(done.stderr)}); {_way_out()}")
        yield Path(folder) / ARCHIVE


def _way_out() -> str:
    return f"run `npm pack {PACKAGE}@{VERSION}` on a machine with network and pass the file: --runtime {ARCHIVE}"


def _cause(output: str) -> str:
    """Return the error code in npm's output, else its last line."""
    lines = [line.removeprefix("npm").strip() for line in output.splitlines() if line.strip()]
    coded = [line for line in lines if " code " in f" {line} "]
    return (coded or lines or ["no reason given"])[-1 if not coded else 0]


def _keep(archive: Path, folder: Path) -> None:
    """Check an archive and write the files that a page needs to a folder."""
    if not archive.is_file():
        raise FileNotFoundError(f"{archive}: no such file; `npm pack {PACKAGE}@{VERSION}` downloads it")
    with archive.open("rb") as file:
        digest = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if digest != DIGEST:
        raise RuntimeFilesError(f"{archive}: is not {PACKAGE} {VERSION} (its SHA-512 differs); {_way_out()}")
    with tarfile.open(archive) as packed, atomic_folder(folder) as temporary:
        for name, ours in SCRIPTS.items():
            (temporary / ours).write_bytes(_member(packed, name))
        for name, ours in BINARIES.items():
            (temporary / ours).write_bytes(gzip.compress(_member(packed, name), 6, mtime=0))


def _member(packed: tarfile.TarFile, name: str) -> bytes:
    member = packed.extractfile(f"package/dist/{name}")
    assert member is not None, name
    return member.read()
