"""A folder of photos, the command that parses it, and the same photos on another file system."""

import numpy as np
import pytest
from PIL import Image

from m2fp_kd import cli
from tests.cli.ray.needs import COUNT


@pytest.fixture
def folder(tmp_path):
    """Photos of several sizes, and a broken one."""
    (tmp_path / "photos" / "more").mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(COUNT):
        grain = Image.fromarray(random.integers(0, 256, (4, 5, 3), np.uint8))
        grain.resize((60 + index, 40)).save(tmp_path / "photos" / ("more" if index % 2 else ".") / f"{index:02}.jpg")
    (tmp_path / "photos" / "07.jpg").write_bytes(b"no photo")
    return tmp_path / "photos"


@pytest.fixture
def parse(artefact, folder, tmp_path, capsys):
    """Parse the folder; return the exit code, standard output and error."""
    made = artefact()

    def run(*options, out="out", source=folder):
        code = cli.main(["parse", "-a", str(made), str(source), "-o", str(tmp_path / out), *map(str, options)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def bucket(folder):
    """The address of a file system in memory that holds the photos, an unreadable file and a hidden one."""
    memory = pytest.importorskip("fsspec", reason="needs the ray extra").filesystem("memory")
    for path in folder.rglob("*.jpg"):
        memory.pipe_file(f"/bucket/{path.relative_to(folder).as_posix()}", path.read_bytes())
    memory.pipe_file("/bucket/notes.txt", b"text")
    memory.pipe_file("/bucket/.hidden/a.jpg", b"no photo")
    yield "memory:///bucket"
    memory.rm("/bucket", recursive=True)
