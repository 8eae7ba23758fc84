"""Get ONNX Runtime Web and what unpacks it, from npm or from files, and keep what a page needs in the user's cache."""

import base64
import hashlib
import lzma
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from m2fp_kd.runtime.files import atomic_folder


@dataclass(frozen=True)
class Package:
    """A package of npm.

    Attributes:
        name: its name.
        version: its version.
        digest: SHA-512 of its archive, base64, as npm publishes it.
    """

    name: str
    version: str
    digest: str

    @property
    def archive(self) -> str:
        """Name of the file that `npm pack` writes."""
        return f"{self.name}-{self.version}.tgz"


RUNTIME = Package(
    "onnxruntime-web",
    "1.30.0",
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)
UNPACKER = Package(
    "xz-decompress",
    "0.2.3",
    "O8v6HG8T0PrKBcpyWA13GkSYWFvncwzuzcLx5A7++l3HsE3atmoetXjIxrZ/JV/nbvSZ7WS4+3XvREZuVn+rEA==",
)

SCRIPTS = {"dist/ort.wasm.bundle.min.mjs": "ort.wasm.js", "dist/ort.webgpu.bundle.min.mjs": "ort.webgpu.js"}
"""Script of the runtime -> name on the page; servers know the type of `.js` better than that of `.mjs`."""

BINARIES = {
    "dist/ort-wasm-simd-threaded.wasm": "ort.wasm.wasm.xz",
    "dist/ort-wasm-simd-threaded.asyncify.wasm": "ort.webgpu.wasm.xz",
}
"""WebAssembly of the runtime -> compressed file on the page, a seventh of its size. In gzip, which browsers unpack
themselves, it would be a quarter: WebAssembly repeats itself over longer distances than gzip looks back."""

WINDOW = 1 << 25
"""Bytes over which the compression looks for repetitions: more than either file has."""

UNPACKING_SCRIPT, UNPACKING_MODULE = "dist/package/xz-decompress.min.js", "xz.js"
MODULE = (
    b"const module = { exports: {} }, exports = module.exports, require = () => globalThis;\n",
    b"\nexport const { XzReadableStream } = module.exports;\n",
)
"""Text before and after the unpacker's script, which is written for CommonJS, that makes it an ES module."""

PATIENCE = 600
"""Seconds that npm may take for 33 MB."""


class RuntimeFilesError(ValueError):
    """Raised if a package cannot be obtained; the message names the cause and the fix."""


def runtime_files(archives: Sequence[Path] = ()) -> Path:
    """Return the folder of the files, which npm downloads once for each user.

    Args:
        archives: archives of the packages that `npm pack` has downloaded elsewhere; none to use the cache or npm.

    Raises:
        RuntimeFilesError: npm is missing or cannot download the packages, or the archives are others.
        FileNotFoundError: there is no such archive.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "m2fp-kd" / RUNTIME.name
    kept = root / RUNTIME.version
    if archives:
        _keep(archives, kept)
    elif not all((kept / name).is_file() for name in (*SCRIPTS.values(), *BINARIES.values(), UNPACKING_MODULE)):
        with _downloaded() as found:
            _keep(found, kept)
    return kept


@contextmanager
def _downloaded() -> Iterator[list[Path]]:
    """Download the archives with npm; they are gone after the context."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeFilesError(
            f"npm, which downloads {RUNTIME.name} {RUNTIME.version}, is not installed; {_way_out()}"
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", *_wanted(), "--pack-destination", folder]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise RuntimeFilesError(f"npm has not downloaded {RUNTIME.name} in {PATIENCE} s; {_way_out()}") from error
        if done.returncode:
            cause = _cause(done.stderr)
            raise RuntimeFilesError(f"npm cannot download {' and '.join(_wanted())} ({cause}); {_way_out()}")
        yield [Path(folder) / package.archive for package in (RUNTIME, UNPACKER)]


def _wanted() -> list[str]:
    return [f"{package.name}@{package.version}" for package in (RUNTIME, UNPACKER)]


def _way_out() -> str:
    files = f"{RUNTIME.archive} {UNPACKER.archive}"
    return f"run `npm pack {' '.join(_wanted())}` on a machine with network and pass the files: --runtime {files}"


def _cause(output: str) -> str:
    """Return the error code in npm's output, else its last line."""
    lines = [line.removeprefix("npm").strip() for line in output.splitlines() if line.strip()]
    coded = [line for line in lines if " code " in f" {line} "]
    return (coded or lines or ["no reason given"])[-1 if not coded else 0]


def _keep(archives: Sequence[Path], folder: Path) -> None:
    """Check the archives and write the files that a page needs to a folder."""
    runtime, unpacker = (_find(package, archives) for package in (RUNTIME, UNPACKER))
    with atomic_folder(folder) as temporary:
        with tarfile.open(runtime) as packed:
            for name, ours in SCRIPTS.items():
                (temporary / ours).write_bytes(_member(packed, name))
            for name, ours in BINARIES.items():
                (temporary / ours).write_bytes(_compressed(_member(packed, name)))
        with tarfile.open(unpacker) as packed:
            (temporary / UNPACKING_MODULE).write_bytes(_member(packed, UNPACKING_SCRIPT).join(MODULE))


def _find(package: Package, archives: Sequence[Path]) -> Path:
    """Return the archive of a package."""
    for archive in archives:
        if not archive.is_file():
            raise FileNotFoundError(f"{archive}: no such file; `npm pack {' '.join(_wanted())}` downloads it")
        with archive.open("rb") as file:
            if base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode() == package.digest:
                return archive
    names = ", ".join(map(str, archives))
    raise RuntimeFilesError(f"{package.name} {package.version} is missing: {names} has another SHA-512; {_way_out()}")


def _compressed(data: bytes) -> bytes:
    """Return data in the xz format, with the only checksum that the page's unpacker knows."""
    return lzma.compress(data, check=lzma.CHECK_CRC32, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": WINDOW}])


def _member(packed: tarfile.TarFile, name: str) -> bytes:
    member = packed.extractfile(f"package/{name}")
    assert member is not None, name
    return member.read()
