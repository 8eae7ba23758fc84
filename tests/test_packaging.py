"""The wheel and the source archive are complete, and an installed wheel trains from any folder."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from m2fp_kd import __version__

pytest.importorskip("hatchling", reason="needs the dev extra")

ROOT = Path(__file__).parents[1]


def build(target: str, source: Path, folder: Path) -> Path:
    """Build the "wheel" or "sdist" of the code in `source` into an empty folder."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def files(folder: Path, prefix: str) -> set[str]:
    """The files of a folder as a wheel names them below `prefix`."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {f"{prefix}/{path.as_posix()}" for path in found if "__pycache__" not in path.parts}


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `m2fp-kd` of the package installed in `site`, from another folder."""
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "m2fp_kd", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    """A folder with the wheel's content, as an installation has it."""
    folder = tmp_path_factory.mktemp("site-packages")
    ZipFile(wheel).extractall(folder)
    return folder


def test_the_wheel_holds_the_package_the_configuration_and_the_sample(wheel) -> None:
    packed = {name for name in ZipFile(wheel).namelist() if name.startswith("m2fp_kd/")}
    conf, sample = files(ROOT / "conf", "m2fp_kd/conf"), files(ROOT / "data" / "sample", "m2fp_kd/sample")
    assert packed == files(ROOT / "src" / "m2fp_kd", "m2fp_kd") | conf | sample | {"m2fp_kd/litert-converter.txt"}
    for name in (
        "py.typed", "demo/model.onnx", "demo/card.json", "labels/tables/cihp-to-lip.yaml", "conf/config.yaml",
        "evaluation/report/templates/report.html.j2", "serve/static/index.html",
        "sample/teacher/targets.bin", "pipeline/assemble/student.py",
    ):  # fmt: skip
        assert f"m2fp_kd/{name}" in packed


def test_its_metadata_names_version_licence_and_command(wheel) -> None:
    archive, folder = ZipFile(wheel), f"m2fp_kd-{__version__}.dist-info"
    metadata = archive.read(f"{folder}/METADATA").decode()
    assert f"Version: {__version__}\n" in metadata and "License-Expression: Apache-2.0\n" in metadata
    assert archive.read(f"{folder}/entry_points.txt").decode() == "[console_scripts]\nm2fp-kd = m2fp_kd.cli:main\n"
    assert f"{folder}/licenses/LICENSE" in archive.namelist()


def test_an_installation_finds_its_configuration_and_sample(site, tmp_path) -> None:
    done = run(site, tmp_path, "train", "backbone=mobilenetv3", "--cfg", "job", "--resolve")
    assert done.returncode == 0, done.stderr
    assert f"root: {site / 'm2fp_kd' / 'sample'}\n" in done.stdout
    assert f"cache: {site / 'm2fp_kd' / 'sample' / 'teacher'}\n" in done.stdout


def test_the_source_archive_gives_the_same_wheel(wheel, tmp_path) -> None:
    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = build("wheel", source, tmp_path / "again")
    assert ZipFile(again).namelist() == ZipFile(wheel).namelist()


@pytest.mark.long
def test_an_installation_trains_quantises_and_parses_in_an_empty_folder(site, tmp_path) -> None:
    short = ("trainer.max_epochs=1", "data.module.limit=32", "logger=csv", "name=short")
    done = run(site, tmp_path, "train", "backbone=mobilenetv3", *short)
    assert (tmp_path / "runs" / "short" / "report.html").is_file(), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["runs"], "everything is written below the current folder"
    photo = next((site / "m2fp_kd" / "sample" / "Validation" / "Images").iterdir())
    assert run(site, tmp_path, "parse", "-a", "runs/short/artefacts/int8", str(photo)).returncode == 0
    assert (tmp_path / "parsed" / f"{photo.stem}_mosaic.jpg").is_file()
