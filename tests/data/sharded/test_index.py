"""Bad shards: each is an early error that names the cause and the way out."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from m2fp_kd.data.sharded.index import find_shards, index_shards
from m2fp_kd.data.sharded.unpacking import unpacked
from m2fp_kd.data.sharded.urls import ShardError, expand, write_file
from m2fp_kd.labels import LABEL_SETS

CIHP = LABEL_SETS["cihp"]


def repack(path: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
    """Rewrite a shard with other files."""
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    with tarfile.open(path, "w") as tar:
        for name, content in change(files).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def indexed(pattern: str) -> None:
    index_shards([pattern], CIHP, lambda photos: None)


def without(files: dict[str, bytes], ending: str) -> dict[str, bytes]:
    gone = next(name for name in files if name.partition(".")[2] == ending)
    return {name: content for name, content in files.items() if name != gone}


def test_ranges_and_wildcards() -> None:
    assert expand("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    assert expand(["s3://x/{0..1}/{0..1}.tar", "b.tar"])[1:] == [
        "s3://x/0/1.tar",
        "s3://x/1/0.tar",
        "s3://x/1/1.tar",
        "b.tar",
    ]
    with pytest.raises(ShardError, match=r"names a-1.tar twice"):
        expand(["a-{0..1}.tar", "a-1.tar"])
    with pytest.raises(ShardError, match=r"the range {3..1} of .* is empty"):
        expand("a-{3..1}.tar")
    with pytest.raises(ShardError, match=r"data.val_urls names no shard"):
        expand([], "data.val_urls")


def test_an_index_that_is_written_again_is_the_one_of_make(shards: Path) -> None:
    made = json.loads((shards / "shards.json").read_text())
    indexed(f"{shards}/*.tar")
    again = json.loads((shards / "shards.json").read_text())
    assert again | {"made_from": made["made_from"]} == made


SECOND = "train-000001.tar"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / SECOND).unlink(), f"1 of 3 shards cannot be read: .*{SECOND}: there is no such file"),
        (lambda folder: (folder / SECOND).write_bytes(b"short"), f"{SECOND} has 5 bytes, but .* copy it again"),
        (lambda folder: (folder / "shards.json").unlink(), "shards.json: there is no such file.*m2fp-kd shards index"),
        (lambda folder: (folder / "shards.json").write_text("{"), "shards.json: no valid index"),
    ],
)
def test_a_missing_or_torn_shard_and_a_missing_index(
    shards: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(shards)
    with pytest.raises(ShardError, match=message):
        find_shards(expand(f"{shards}/train-{{000000..000002}}.tar"), CIHP)


def test_another_label_set_an_unknown_shard_and_an_unknown_protocol(shards: Path) -> None:
    with pytest.raises(ShardError, match=r"checked against other parts .* than those of 'atr'; set data.labels"):
        find_shards(expand(f"{shards}/train-*.tar"), LABEL_SETS["atr"])
    with pytest.raises(ShardError, match=r"train-000009.tar is not among the 5 shards"):
        find_shards([f"{shards}/train-000009.tar"], CIHP)
    with pytest.raises(ShardError, match=r"nope://set/shards.json: .*[Pp]rotocol"):
        find_shards(["nope://set/a.tar"], CIHP)


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Cannot connect to host bucket")

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.cat_file", unreachable)
    with pytest.raises(
        ShardError, match=r"memory://set/shards.json: cannot be read .Cannot connect.*check the address, the network"
    ):
        find_shards(["memory://set/a.tar"], CIHP)


def test_an_index_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.pipe_file", refused)
    with pytest.raises(ShardError, match=r"memory://set/shards.json: cannot be written .NotImplementedError.*a copy"):
        write_file("memory://set/shards.json", b"")


@pytest.mark.parametrize("cut", [1000, 5, 1024])
def test_indexing_a_torn_shard(shards: Path, cut: int) -> None:
    path = shards / "train-000000.tar"
    path.write_bytes(path.read_bytes().rstrip(b"\0")[:-cut])
    with pytest.raises(ShardError, match=r"train-000000.tar: is torn"):
        indexed(str(path))


def test_a_sample_without_label_or_photo_is_named(shards: Path) -> None:
    path = shards / "train-000000.tar"
    repack(path, lambda files: without(files, "png"))
    with pytest.raises(ShardError, match=r"1 of 2 photos have no label map .*such as '0000000"):
        indexed(str(path))
    repack(path, lambda files: without(files, "jpg"))
    with pytest.raises(ShardError, match=r"has .*png but no photo, such as 0000000\d.jpg"):
        indexed(str(path))


def test_a_broken_photo_a_wrong_label_and_a_compressed_tar_are_named(shards: Path) -> None:
    path = shards / "train-000000.tar"
    repack(path, lambda files: {name: b"x" if name.endswith(".jpg") else content for name, content in files.items()})
    with pytest.raises(ValueError, match=r"train-000000.tar: 0000000\d.jpg: cannot be read as a photo"):
        indexed(str(path))
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"))
    with pytest.raises(ShardError, match=r"train-000000.tar: is torn"):
        indexed(str(path))


def test_a_shard_with_persons_but_without_labels_beside_labelled_ones_is_named(shards: Path) -> None:
    index = json.loads((shards / "shards.json").read_text())
    index["shards"][SECOND]["maps"] = ["persons"]
    (shards / "shards.json").write_text(json.dumps(index))
    with pytest.raises(ShardError, match=f"{SECOND} has no labels, but other shards have"):
        find_shards(expand(f"{shards}/train-*.tar"), CIHP)


def test_maps_that_a_shard_lacks_are_not_unpacked_from_the_others(shards: Path, tmp_path: Path) -> None:
    repack(shards / SECOND, lambda files: without(files, "persons.png"))
    indexed(f"{shards}/train-*.tar")
    found, _ = find_shards(expand(f"{shards}/train-*.tar"), CIHP)
    records = unpacked(found, tmp_path / "unpacked", "Validation")
    assert len(records) == 6
    assert all(record.persons is None and record.categories and record.instances for record in records)
