"""Packing a folder into shards."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.cli import main
from m2fp_kd.data.sharded.index import find_shards
from m2fp_kd.data.sharded.unpacking import unpacked
from m2fp_kd.labels import LABEL_SETS


def packed(root: Path, folder: Path, *options: str) -> int:
    return main(["shards", "make", str(root), str(folder), "--labels", "cihp", "--megabytes", "0.014", *options])


def test_a_stopped_call_continues_and_leaves_finished_shards_alone(
    m2fp_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    assert packed(m2fp_folder, folder) == 0
    assert "9 photos, 0.0 MB in 5 shards" in capsys.readouterr().out
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    (folder / "train-000001.tar").unlink()
    os.utime(folder / "train-000000.tar", (1, 1))
    assert packed(m2fp_folder, folder) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert (folder / "train-000000.tar").stat().st_mtime == 1


def test_a_folder_with_other_content_is_refused(
    m2fp_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "thesis.tex").touch()
    assert packed(m2fp_folder, folder) == 2
    assert "has other files, such as thesis.tex; choose a new folder" in capsys.readouterr().err
    (folder / "thesis.tex").unlink()
    assert packed(m2fp_folder, folder) == 0
    assert packed(m2fp_folder, folder, "--megabytes", "50") == 2
    assert "shards of other photos, or made with other options" in capsys.readouterr().err


def test_bad_labels_are_found_before_anything_is_written(
    m2fp_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((48, 64), 77, np.uint8)).save(m2fp_folder / "Training" / "Category_ids" / "00000002.png")
    assert packed(m2fp_folder, tmp_path / "out") == 2
    assert "1 of 9 photos cannot be used (00000002.png)" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.tar"))


def test_names_with_dots_and_png_photos_come_back(m2fp_folder: Path, tmp_path: Path) -> None:
    split = m2fp_folder / "Validation"
    for kind in ("Category_ids", "Human_ids", "Instance_ids"):
        (split / kind / "00000100.png").rename(split / kind / "100%.v1.final.png")
    Image.open(split / "Images" / "00000100.jpg").save(split / "Images" / "100%.v1.final.png")
    (split / "Images" / "00000100.jpg").unlink()
    packed(m2fp_folder, tmp_path / "out")
    shards, _ = find_shards(sorted(map(str, tmp_path.glob("out/val-*.tar"))), LABEL_SETS["cihp"])
    records = unpacked(shards, tmp_path / "unpacked", "Validation")
    assert [record.name for record in records] == ["00000101", "00000102", "100%.v1.final"]
    assert records[2].image.read_bytes() == (split / "Images" / "100%.v1.final.png").read_bytes()


def test_the_package_webdataset_reads_the_shards(shards: Path, m2fp_folder: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="pip install webdataset to compare with it")
    urls = [str(path) for path in sorted(shards.glob("train-*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    assert sorted(sample["__key__"] for sample in samples) == [f"{seed:08d}" for seed in range(6)]
    for sample in samples:
        training = m2fp_folder / "Training"
        assert sample["jpg"] == (training / "Images" / f"{sample['__key__']}.jpg").read_bytes()
        assert sample["png"] == (training / "Category_ids" / f"{sample['__key__']}.png").read_bytes()
        assert {"persons.png", "instances.png"} <= set(sample)
