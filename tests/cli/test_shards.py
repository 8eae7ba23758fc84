"""Shares of a folder: together they have every photo once, and their results are those of one call."""

import json

import numpy as np
import pytest
from PIL import Image

from m2fp_kd import cli
from m2fp_kd.shards import Shard

NAMES = [f"{folder}{index}.png" for folder in ("", "below/", "é ü/") for index in range(6)]


@pytest.fixture
def parse(artefact, tmp_path):
    for index, name in enumerate(NAMES):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 9, 3), 10 * index, np.uint8)).save(tmp_path / "photos" / name)
    folder = str(artefact())

    def run(*options, out="out"):
        words = ["parse", str(tmp_path / "photos"), "-a", folder, "-o", str(tmp_path / out), *options]
        return cli.main([*words, "--jobs", "1"])

    return run


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_shares_have_every_photo_once(parse, tmp_path):
    assert parse(out="alone") == 0
    shares = []
    for number in range(1, 5):
        assert parse("--shard", f"{number}/4", out=f"share{number}") == 0
        shares.append(files(tmp_path / f"share{number}"))
    assert sum(map(len, shares)) == len(files(tmp_path / "alone"))
    assert {path: content for share in shares for path, content in share.items()} == files(tmp_path / "alone")


def test_one_file_for_all_photos_is_written_after_all_shares(parse, tmp_path, capsys):
    assert parse("--format", "coco", out="alone") == 0
    for number in (1, 2):
        assert parse("--format", "coco", "--shard", f"{number}/2") == 0
        assert not (tmp_path / "out" / "annotations.json").exists()
    assert "after all shares, --resume without --shard writes annotations.json" in capsys.readouterr().err
    assert parse("--format", "coco", "--resume") == 0
    assert f"{len(NAMES)} already there" in capsys.readouterr().err
    found, right = (json.loads((tmp_path / out / "annotations.json").read_text()) for out in ("out", "alone"))
    assert found == right


def test_a_stopped_share_continues(parse, tmp_path, capsys):
    assert parse("--shard", "1/2") == 0
    next((tmp_path / "out").rglob("*_mosaic.jpg")).unlink()
    capsys.readouterr()
    assert parse("--shard", "1/2", "--resume") == 0
    assert "1 parsed, " in capsys.readouterr().err


def test_a_share_without_photos_is_done(parse, tmp_path, capsys):
    empty = next(number for number in range(1, 1000) if not any(Shard(number, 999).holds(n[:-4]) for n in NAMES))
    assert parse("--shard", f"{empty}/999") == 0
    assert "0 parsed" in capsys.readouterr().err and not files(tmp_path / "out")


@pytest.mark.parametrize("text", ["0/4", "5/4", "2", "/", "2/", "-1/4", "1.5/4", "1/0", "²/4", "1/4/2"])
def test_other_shares_are_refused(text, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["parse", "x.jpg", f"--shard={text}"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(
        "m2fp-kd: --shard: must be I/N, the share I from 1 to N of N, such as 2/8"
    )
