"""The comparison of installations on a folder."""

import os
import sys
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image

from benchmarks.parse_folder import COLUMNS, Cost, Variant, main, variant
from tests.runtime.conftest import artefact  # noqa: F401


def test_the_start_is_subtracted():
    start, whole = Cost(1.0, 0.8, 0.0, 1e6), Cost(6.0, 8.8, 3.0, 5e6)
    assert whole.row(start, photos=100, cores=2) == pytest.approx([20, 50, 80, 80, 0.5, 5])


def test_variants_are_interpreters_and_commits():
    with ExitStack() as stack:
        name = f"{sys.executable} --jobs 2"
        assert variant(name, stack) == Variant(name, [sys.executable, "-m", "m2fp_kd", "parse"], {}, ["--jobs", "2"])
        with pytest.raises(SystemExit, match="nothing: neither a commit nor a Python interpreter"):
            variant("nothing", stack)


def test_a_folder_needs_photos(tmp_path):
    with pytest.raises(SystemExit, match="has 0 photos; at least 2 are needed"):
        main([str(tmp_path), sys.executable])


def test_the_table(artefact, tmp_path, capsys, monkeypatch):  # noqa: F811
    (tmp_path / "photos").mkdir()
    for index in range(3):
        Image.fromarray(np.full((40, 60, 3), 80 * index, np.uint8)).save(tmp_path / "photos" / f"{index}.png")
    monkeypatch.setitem(os.environ, "PYTHONPATH", ":".join(sys.path))
    name = f"{sys.executable} -a {artefact()} --threads 1"
    main([str(tmp_path / "photos"), name, "--turns", "1"])
    head, _, row, *_ = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in head.split("|")[1:-1]] == list(COLUMNS)
    assert row.startswith(f"| {name} | ") and row.count("|") == head.count("|")
    with pytest.raises(SystemExit, match="unrecognized arguments: --colour"):
        main([str(tmp_path / "photos"), f"{sys.executable} --colour", "--turns", "1"])
