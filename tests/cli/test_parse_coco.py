"""One COCO file for all photos: exact, complete after interruptions, and within bounded memory."""

import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from m2fp_kd import cli
from m2fp_kd.cli import dataset
from m2fp_kd.runtime import placed
from m2fp_kd.runtime.geometry import read_image
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.provenance import TeacherCard
from tests.runtime.rasterised import beyond_a_pixel

COUNT = 6


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(COUNT):
        grain = Image.fromarray(random.integers(0, 256, (3, 4, 3), np.uint8))
        grain.resize((60 + index, 40)).save(tmp_path / "photos" / ("deep" if index % 2 else "") / f"{index}.png")
    return tmp_path / "photos"


@pytest.fixture
def parse(artefact, folder, tmp_path, capsys):
    """Parse the folder into a COCO file; return the exit code and what was printed as error."""

    def run(*options, out="out", sources=(folder,), kind="coco"):
        target = ["-o", str(tmp_path / out), "--format", kind]
        code = cli.main(["parse", "-a", str(artefact()), *map(str, sources), *target, *map(str, options)])
        return code, capsys.readouterr().err

    return run


def read(tmp_path, out="out"):
    return json.loads((tmp_path / out / "annotations.json").read_text())


@pytest.mark.parametrize("kind", ["coco", "coco-polygons"])
def test_pycocotools_reads_the_masks_of_the_part_maps(parse, artefact, folder, tmp_path, kind):
    coco = pytest.importorskip("pycocotools.coco", reason="needs pycocotools, of the dev extra")
    code, printed = parse("--write", "map", kind=kind)
    assert code == 0 and f"annotations.json: {COUNT} photos, their names relative to {folder}" in printed
    found = coco.COCO(tmp_path / "out" / "annotations.json")
    assert sorted(found.imgs) == list(range(1, COUNT + 1)) and sorted(found.anns) == list(range(1, len(found.anns) + 1))
    assert {one["name"] for one in found.cats.values()} == {"green", "blue"} and min(found.cats) == 1
    parser = Parser.load(artefact())
    for image in found.imgs.values():
        part_map = parser.part_map(folder / image["file_name"])
        assert part_map.shape == (image["height"], image["width"])
        annotations = found.imgToAnns[image["id"]]
        assert {one["category_id"] for one in annotations} == set(np.unique(part_map[part_map > 0]))
        for one in annotations:
            mask, again = part_map == one["category_id"], found.annToMask(one).astype(bool)
            assert beyond_a_pixel(mask, again) == 0 and (kind == "coco-polygons" or (mask == again).all())
            assert one["area"] == mask.sum() and one["iscrowd"] == 0


@pytest.mark.parametrize("licence", [None, "CC BY-NC 4.0; photos: research use"])
def test_the_artefacts_licence_is_in_the_file(artefact, folder, tmp_path, licence):
    model = artefact(teacher=TeacherCard(licence=licence))
    options = ["-a", str(model), "-o", str(tmp_path / "out"), "--format", "coco"]
    assert cli.main(["parse", str(folder), *options]) == 0
    found = read(tmp_path)
    assert found["info"]["licence"] == licence
    assert found["licenses"] == ([{"id": 1, "name": licence, "url": ""}] if licence else [])
    assert all("license" not in image for image in found["images"]), "it is not the photos' licence"


def test_labels_of_another_program_are_not_replaced(parse, tmp_path):
    (tmp_path / "out").mkdir()
    mine = tmp_path / "out" / "annotations.json"
    mine.write_text('{"info": {"version": "1.0"}, "images": []}')
    for options in ([], ["--resume"]):
        code, printed = parse(*options)
        assert code == 2 and "was not written by m2fp-kd" in printed
    assert mine.read_text().endswith("[]}") and list(mine.parent.iterdir()) == [mine], "it is found before any work"
    mine.unlink()
    mine.mkdir()
    assert "was not written by m2fp-kd" in parse()[1]
    mine.rmdir()
    assert [parse()[0], parse()[0], parse("--resume")[0]] == [0, 0, 0], "its own file is replaced"


def test_with_a_format_only_the_chosen_results_are_written(parse, tmp_path):
    assert parse()[0] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"annotations.json", ".coco", "deep"}
    assert parse("--write", "json", out="both")[0] == 0
    assert len(list((tmp_path / "both").rglob("[0-9].json"))) == COUNT


def test_names_are_relative_to_what_the_sources_share(parse, folder, tmp_path):
    parse(sources=[folder / "deep"])
    assert [one["file_name"] for one in read(tmp_path)["images"]] == ["1.png", "3.png", "5.png"]
    parse(sources=[folder / "0.png", folder / "deep", folder / "*" / "1.png"])
    assert [one["file_name"] for one in read(tmp_path)["images"]] == ["0.png", "deep/1.png", "deep/3.png", "deep/5.png"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_resumed_folder_has_the_file_of_an_uninterrupted_one(parse, tmp_path, monkeypatch, number, code):
    signals = iter([number])

    def stopping(path, *arguments):
        if path.stem == "3":
            for one in signals:
                os.kill(os.getpid(), one)
        return read_image(path, *arguments)

    monkeypatch.setattr(placed, "read_image", stopping)
    stopped, _ = parse("--jobs", 1)
    assert stopped == code and not (tmp_path / "out" / "annotations.json").exists()
    done = len(list((tmp_path / "out").rglob(".coco/*.jsonl")))
    resumed, printed = parse("--resume")
    assert resumed == 0 and 0 < done < COUNT and f"{COUNT - done} parsed, {done} already there" in printed
    parse("--jobs", 3, out="whole")
    files = [(tmp_path / out / "annotations.json").read_bytes() for out in ("out", "whole")]
    assert files[0] == files[1]


def test_photos_that_fail_are_left_out_and_come_later(parse, folder, tmp_path):
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(b"no photo")
    code, printed = parse()
    assert code == 1 and "2.png: cannot be read" in printed and f"{COUNT - 1} photos" in printed
    assert "2.png" not in {one["file_name"] for one in read(tmp_path)["images"]}
    (folder / "2.png").write_bytes(whole)
    code, printed = parse("--resume")
    assert code == 0 and f"1 parsed, {COUNT - 1} already there" in printed and len(read(tmp_path)["images"]) == COUNT


def test_the_file_has_only_photos_of_this_call_and_of_these_options(parse, folder, tmp_path):
    parse()
    (folder / "0.png").unlink()
    parse("--resume")
    assert len(read(tmp_path)["images"]) == COUNT - 1
    assert f"{COUNT - 1} parsed" in parse("--resume", kind="coco-polygons")[1], "the other format's are not taken"
    text = "name: mine\nparts: [none, thing]\nbridge: {background: none, green: thing, blue: thing}\n"
    (tmp_path / "mine.yaml").write_text(text)
    assert f"{COUNT - 1} parsed" in parse("--resume", "--labels", tmp_path / "mine.yaml")[1]
    assert read(tmp_path)["categories"] == [{"id": 1, "name": "thing", "supercategory": "person"}]


def test_photos_without_persons_are_images_without_annotations(parse, folder, tmp_path):
    for path in folder.rglob("*.png"):
        Image.new("RGB", (30, 20), "red").save(path)
    assert parse()[0] == 0
    assert len(read(tmp_path)["images"]) == COUNT and read(tmp_path)["annotations"] == []


def test_no_photos_at_all_is_an_error(parse, tmp_path):
    (tmp_path / "empty").mkdir()
    code, printed = parse(sources=[tmp_path / "empty"])
    assert code == 2 and "no photos or videos in" in printed and not (tmp_path / "out").exists()


def test_one_photo_at_a_time_is_read_when_the_file_is_made(parse, monkeypatch):
    """The lines of a photo are taken only after those of the one before were written."""
    events: list[str] = []
    annotations = dataset._annotations

    def watched(*arguments):
        events.append("photo")
        for one in annotations(*arguments):
            events.append("line")
            yield one

    monkeypatch.setattr(dataset, "_annotations", watched)
    assert parse()[0] == 0
    assert events.count("photo") == COUNT and events[0] == "photo" and events[1] == "line"
    assert "photo photo" not in " ".join(events)


def test_persons_of_a_crowd_have_annotations_of_their_own(people_artefact, stripes, tmp_path):
    Image.fromarray(stripes).resize((225, 180)).save(tmp_path / "crowd.png")
    options = ["-a", str(people_artefact), "-o", str(tmp_path / "out"), "--format", "coco"]
    assert cli.main(["parse", str(tmp_path / "crowd.png"), *options]) == 0
    found = read(tmp_path)["annotations"]
    part_map = Parser.load(people_artefact)(tmp_path / "crowd.png").part_map
    assert sum(one["area"] for one in found) == np.count_nonzero(part_map)
    assert {1, 2} <= {one.get("person_id") for one in found} <= {None, 1, 2, 3}
    pairs = [(one["category_id"], one.get("person_id")) for one in found]
    assert len(set(pairs)) == len(pairs)
