"""Set up an emulated Arm machine for programs: QEMU's user mode, a small Debian root, and wheels for aarch64.

Everything is fetched with apt and pip as this machine has them configured, and unpacked (380 MB) in the user's cache,
without root rights and without installing anything. QEMU is that of Debian 13, because version 7.2 of
Debian 12 crashes on `import onnxruntime`. Python is that of Debian 12: 3.11, the oldest that the runtime takes.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from m2fp_kd.runtime.files import atomic_folder

REPOSITORY = Path(__file__).parents[2]
CONSTRAINTS = REPOSITORY / "constraints.txt"

FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "m2fp-kd" / "arm64"

QEMU = ("trixie", "qemu-user")
ROOT = ("bookworm", "python3", "libstdc++6", "libgomp1", "zlib1g")
"""Debian's release, then packages that are taken from it with what they depend on."""

WHEELS = ("numpy", "pillow", "onnxruntime", "openvino", "ncnn", "ai-edge-litert")
"""Python packages, in the versions of `constraints.txt`."""

GLIBC = range(17, 37)
"""Minor versions of glibc 2 whose wheels Debian 12 runs."""

CPUS = {"cortex-a76": "Raspberry Pi 5", "cortex-a72": "Raspberry Pi 4", "cortex-a53": "Raspberry Pi 3"}
"""Name in QEMU -> a board that has it. Only the first has the dot products of ARMv8.2."""

TOOLS = ("apt-get", "dpkg-deb", "tar")


class EmulatorError(RuntimeError):
    """Raised where the emulator is not set up, or cannot be; the message names the fix."""


@dataclass(frozen=True)
class Emulator:
    """An emulated machine in a folder: `qemu-aarch64`, `root`, `site` (wheels), and `made_of`, which describes them."""

    folder: Path = FOLDER

    def missing(self) -> str | None:
        """Return why the emulator cannot be used; None where it can."""
        if platform.machine() != "x86_64":
            return f"compares Arm with x86-64, but this machine is {platform.machine()}"
        made_of = self.folder / "made_of"
        if not made_of.is_file():
            return f"{self.folder} holds no emulator; run make arm64"
        if made_of.read_text(encoding="utf-8") != wanted():
            return f"{self.folder} holds other versions than constraints.txt; run make arm64"
        return None

    def python(self, cpu: str) -> list[str]:
        """Return the words that start Python on an emulated CPU."""
        root = self.folder / "root"
        return [str(self.folder / "qemu-aarch64"), "-cpu", cpu, "-L", str(root), str(root / "usr" / "bin" / "python3")]

    def environment(self) -> Mapping[str, str]:
        """Return the environment of that Python: the wheels and this package, nothing of this machine's Python."""
        path = os.pathsep.join(map(str, (self.folder / "site", REPOSITORY / "src")))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LD_"))}
        return kept | {"PYTHONPATH": path, "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def prepare(self) -> None:
        """Fetch what is missing, in about a minute.

        Raises:
            EmulatorError: this machine is no x86-64 Debian, or apt or pip failed.
        """
        if self.missing() is None:
            return
        _require_debian()
        print(f"fetching QEMU, a Debian root and wheels for aarch64 into {self.folder}: a minute", flush=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(self.folder) as new:
            for package in _download(new / "apt", *QEMU, architecture="amd64"):
                if package.name.startswith("qemu-user_"):
                    _unpack(package, new, "./usr/bin/qemu-aarch64", "--strip-components=3")
            for package in _download(new / "apt", *ROOT, architecture="arm64"):
                _unpack(package, new / "root")
            shutil.rmtree(new / "apt")
            _install_wheels(new / "site")
            (new / "made_of").write_text(wanted(), encoding="utf-8")


def wanted() -> str:
    """Return a description of what `Emulator.prepare` makes, to compare with what was made earlier."""
    pins = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if line.split("==")[0] in WHEELS]
    return "\n".join([*QEMU, *ROOT, *WHEELS, *pins]) + "\n"


def _require_debian() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if platform.machine() != "x86_64" or missing or platform.freedesktop_os_release().get("ID") != "debian":
        raise EmulatorError(
            f"needs Debian on x86-64 with {', '.join(TOOLS)} (Debian 12 or later; in a container of the image debian "
            "too): QEMU 10 and the Arm root come from Debian's packages"
        )


def _archive() -> str:
    """Return the address of the Debian archive that this machine's apt uses."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    listed = _run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    )
    for line in listed.splitlines():
        codename, component, address = line.split(" ", 2)
        if (codename, component) == (release, "main"):
            return address
    raise EmulatorError(f"apt knows no archive of {release or 'this Debian'}: add it to /etc/apt, then apt-get update")


def _download(folder: Path, release: str, *packages: str, architecture: str) -> Sequence[Path]:
    """Download packages of a release with what they depend on, by an apt that knows nothing of this machine's."""
    own = folder / architecture
    for name in ("state/lists/partial", "cache/archives/partial"):
        (own / name).mkdir(parents=True)
    (own / "status").touch()
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (own / "own.list").write_text(f"deb [signed-by={keys}] {_archive()} {release} main\n", encoding="utf-8")
    settings = {
        "Dir::State": own / "state",
        "Dir::State::status": own / "status",
        "Dir::Cache": own / "cache",
        "Dir::Etc::sourcelist": own / "own.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "--quiet=2", *(f"--option={name}={value}" for name, value in settings.items())]
    _run([*apt, "update"])
    _run([*apt, "--yes", "--no-install-recommends", "--download-only", "install", *packages])
    return sorted((own / "cache" / "archives").glob("*.deb"))


def _unpack(package: Path, folder: Path, *how: str) -> None:
    folder.mkdir(exist_ok=True)
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "--extract", "--directory", folder, *how], stdin=archive.stdout, check=True)


def _install_wheels(folder: Path) -> None:
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in reversed(GLIBC)]
    where = ["--python-version=3.11", "--implementation=cp", "--only-binary=:all:", f"--target={folder}"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", f"--constraint={CONSTRAINTS}"]
    _run([*pip, *platforms, "--platform=manylinux2014_aarch64", *where, *WHEELS])


def _run(words: Sequence[str]) -> str:
    """Run a command and return what it prints.

    Raises:
        EmulatorError: it failed; the message has the command's last line.
    """
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"})
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise EmulatorError(f"{Path(words[0]).name} failed: {last}")
    return done.stdout
