"""`m2fp-kd export web`: what is written, and that an error leaves nothing behind."""

import base64
import errno
import hashlib
import json
import lzma
import re
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from m2fp_kd import cli
from m2fp_kd.runtime.artefact import FORMAT
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.serve import onnxruntime_web, web_page


@pytest.fixture
def archives(tmp_path, monkeypatch) -> list[Path]:
    """Small archives in place of ONNX Runtime Web's and the unpacker's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    members = {
        "RUNTIME": (*onnxruntime_web.SCRIPTS, *onnxruntime_web.BINARIES),
        "UNPACKER": (onnxruntime_web.UNPACKING_SCRIPT,),
    }
    paths = []
    for which, names in members.items():
        package = getattr(onnxruntime_web, which)
        paths.append(tmp_path / package.archive)
        with tarfile.open(paths[-1], "w:gz") as packed:
            for name in names:
                source = tmp_path / "package" / name
                source.parent.mkdir(parents=True, exist_ok=True)
                source.write_text(f"content of {name}")
                packed.add(source, f"package/{name}")
        digest = base64.b64encode(hashlib.sha512(paths[-1].read_bytes()).digest()).decode()
        monkeypatch.setattr(onnxruntime_web, which, replace(package, digest=digest))
    return paths


def web(capsys, *arguments: object) -> tuple[int, str]:
    """Run the command and return its exit code and last line of errors."""
    code = cli.main(["export", "web", *map(str, arguments)])
    return code, (capsys.readouterr().err.strip().splitlines() or [""])[-1]


def test_the_page_is_complete(artefact, archives, tmp_path, capsys) -> None:
    page = tmp_path / "page"
    page.mkdir()  # an empty one may exist
    assert web(capsys, "-a", artefact(), "-o", page, "--runtime", *archives)[0] == 0
    found = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()}
    device = {
        "model.onnx", "card.json", "facts.json", "ort.wasm.js", "ort.wasm.wasm.xz", "ort.webgpu.js",
        "ort.webgpu.wasm.xz", "xz.js", "LICENSE.onnxruntime", "ThirdPartyNotices.onnxruntime.txt",
    }  # fmt: skip
    assert {name.removeprefix("device/") for name in found if name.startswith("device/")} == device
    assert {"index.html", "offline.js", "files.js", "static/device/worker.js"} <= found
    assert not any("docs" in name for name in found)
    packed = lzma.decompress((page / "device" / "ort.wasm.wasm.xz").read_bytes())
    assert packed == b"content of dist/ort-wasm-simd-threaded.wasm"
    listed = json.loads(re.search(r"self.FILES = ({.*?});", (page / "files.js").read_text(), re.S)[1])
    assert listed.keys() == found - {"offline.js", "files.js"}
    assert all(file_sha256(page / name) == digest for name, digest in listed.items())
    html = (page / "index.html").read_text()
    assert 'data-sources="device"' in html and "wasm-unsafe-eval" in html and "frame-ancestors" not in html
    assert json.loads((page / "device" / "card.json").read_text())["format"] == FORMAT
    assert f"const FORMAT = {FORMAT};" in (web_page.STATIC / "device" / "model.js").read_text()
    unpacker = (page / "device" / "xz.js").read_text()
    assert unpacker.splitlines()[1:-1] == ["content of dist/package/xz-decompress.min.js"]
    for archive in archives:
        archive.unlink()  # the cache keeps what a page needs
    assert web(capsys, "-a", tmp_path / "artefact", "-o", tmp_path / "again")[0] == 0


def test_a_folder_with_files_is_left_alone(artefact, archives, tmp_path, capsys) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    code, line = web(capsys, "-a", artefact(), "-o", folder, "--runtime", *archives)
    assert (code, line) == (2, f"m2fp-kd: {folder}: is not an empty folder; choose another one")
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_what_cannot_be_exported(artefact, archives, tmp_path, capsys) -> None:
    out = ["-o", tmp_path / "page", "--runtime", *archives]
    assert "gone: no such artefact" in web(capsys, "-a", tmp_path / "gone", *out)[1]
    (tmp_path / "model.xml").write_text("")
    assert "ONNX Runtime Web runs .onnx files" in web(capsys, "-a", tmp_path / "model.xml", *out)[1]
    model = artefact() / "model.onnx"
    model.write_bytes(model.read_bytes() + b" ")
    assert "is not the file that card.json beside it describes" in web(capsys, "-a", model, *out)[1]
    assert not (tmp_path / "page").exists()
    assert cli.main(["export", "triton", "-o", str(tmp_path / "page"), "--runtime", *map(str, archives)]) == 2
    assert "--runtime belongs to export web" in capsys.readouterr().err


def test_a_model_without_a_card(artefact, archives, tmp_path, capsys) -> None:
    onnx = pytest.importorskip("onnx", reason="changing ONNX files needs the compress extra")
    path = artefact() / "model.onnx"
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    (path.parent / "card.json").unlink()
    code, line = web(capsys, "-a", path, "-o", tmp_path / "page", "--runtime", *archives)
    assert code == 2 and "has no card.json beside it and none embedded" in line
    assert not (tmp_path / "page").exists()


def test_without_npm_or_network(artefact, archives, tmp_path, capsys, monkeypatch) -> None:
    out = ["-a", artefact(), "-o", tmp_path / "page"]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    _, line = web(capsys, *out)
    assert "npm, which downloads onnxruntime-web 1.30.0, is not installed; run `npm pack onnxruntime-web@" in line
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "browser.md").read_text(encoding="utf-8")
    files = line.partition("--runtime ")[2]
    assert line.split("`")[1] in guide and f"--runtime {files}\n" in guide
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\necho 'npm error network' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(npm))
    _, line = web(capsys, *out)
    assert (
        "npm cannot download onnxruntime-web@1.30.0 and xz-decompress@0.2.3 (error code ENOTFOUND)" in line
        and "--runtime" in line
    )
    other = tmp_path / "other.tgz"
    other.write_bytes(b"other")
    _, line = web(capsys, *out, "--runtime", archives[0], other)
    assert "xz-decompress 0.2.3 is missing: " in line and "other.tgz has another SHA-512; run `npm pack onnx" in line
    assert "gone.tgz: no such file" in web(capsys, *out, "--runtime", tmp_path / "gone.tgz")[1]
    assert not (tmp_path / "page").exists() and not (tmp_path / "cache" / "m2fp-kd" / "onnxruntime-web").exists()


def test_a_full_disk_leaves_nothing(artefact, archives, tmp_path, capsys, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(web_page, "_copy_licences", full)
    code, line = web(capsys, "-a", artefact(), "-o", tmp_path / "deep" / "page", "--runtime", *archives)
    assert code == 2 and "No space left on device; free some space" in line
    assert list((tmp_path / "deep").iterdir()) == []


def test_serve_needs_an_exported_page(artefact, tmp_path, capsys) -> None:
    assert cli.main(["serve", "-a", str(artefact()), "--port", "0", "--web", str(tmp_path)]) == 2
    assert "is no page of `m2fp-kd export web`" in capsys.readouterr().err
