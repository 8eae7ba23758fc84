"""The results that `m2fp-kd parse` writes of a photo: kinds, resuming, label sets, strange names."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from m2fp_kd import DEMO, cli
from m2fp_kd.cli.jobs import ENDINGS, Job
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.probabilities import View, most_probable
from m2fp_kd.runtime.provenance import TeacherCard
from m2fp_kd.runtime.result_files import WRITERS, recorded
from tests.hostile import names
from tests.runtime.rasterised import beyond_a_pixel, rasterised

EVERY = ",".join(ENDINGS)


@pytest.fixture
def photo(tmp_path, stripes):
    Image.fromarray(stripes).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def parse(tmp_path, capsys):
    """Parse into the folder `out`; return the exit code, standard output and error."""

    def run(*arguments):
        code = cli.main(["parse", "-o", str(tmp_path / "out"), *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def written(tmp_path):
    return sorted(path.name for path in (tmp_path / "out").iterdir())


def test_every_kind_can_be_written_alone_and_says_what_it_was_made_from(parse, artefact, photo, tmp_path):
    model = artefact()
    for kind in ("map", "mosaic", "json", "masks", "polygons"):
        out = tmp_path / kind
        assert parse("-a", model, photo, "--write", kind, "-o", out)[0] == 0
        path = Job(photo, out / "a", is_video=False).path(kind)
        assert list(out.iterdir()) == [path] and len(recorded(path)) == 16
        assert "0 parsed, 1 already there" in parse("-a", model, photo, "--write", kind, "-o", out, "--resume")[2]
        assert "1 made with another" in parse("-a", model, photo, "--write", kind, "-o", out, "--resume", "--draft")[2]


def test_a_photo_that_changed_is_parsed_again(parse, artefact, photo, tmp_path):
    def parsed():
        return parse("-a", artefact(), photo, "--resume")[2]

    parsed()
    made = (tmp_path / "out" / "a.png").stat().st_mtime
    for seconds, count in ((-60, 0), (3600, 0), (0.001, 1)):  # a clock that is wrong tells nothing
        os.utime(photo, (made + seconds, made + seconds))
        assert f"{count} parsed" in parsed()
    assert "0 parsed, 1 already there" in parsed()


def test_the_default_is_map_and_mosaic_and_nothing_more_is_done(parse, artefact, photo, tmp_path, monkeypatch):
    for kind in set(WRITERS) - {"map", "mosaic"}:
        monkeypatch.setitem(WRITERS, kind, None)
    monkeypatch.setattr("m2fp_kd.runtime.parser.relabelled", None)
    assert parse("-a", artefact(), photo)[0] == 0
    assert written(tmp_path) == ["a.png", "a_mosaic.jpg"]
    assert parse("-a", artefact(), photo, "--write", " mosaic, map ")[0] == 0


@pytest.mark.parametrize("kinds", ["maps", "map,", ",", "map mosaic", "all", "map,Masks"])
def test_an_unknown_kind_is_refused_with_the_known_ones(capsys, photo, kinds):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["parse", str(photo), "--write", kinds])
    assert stopped.value.code == 2
    assert "choose from map, mosaic, json, masks, polygons, confidence" in capsys.readouterr().err


def test_the_results_agree_with_each_other(parse, photo, tmp_path):
    Image.open(photo).resize((250, 190)).save(photo)
    code, lines, _ = parse("-a", DEMO, photo, "--write", EVERY, "--json")
    paths = {kind: tmp_path / "out" / f"a{end}" for kind, end in ENDINGS.items()}
    assert code == 0 and {path.name for path in paths.values()} == set(written(tmp_path))
    printed = json.loads(lines)
    assert {printed.get(kind) for kind in ENDINGS if kind != "map"} == {str(paths[kind]) for kind in ENDINGS} - {
        str(paths["map"])
    }
    parsing = Parser.load(DEMO)(photo)
    part_map = np.asarray(Image.open(paths["map"]))
    facts, shapes = (json.loads(paths[kind].read_text()) for kind in ("json", "polygons"))
    listed = json.loads((paths["masks"] / "masks.json").read_text())["masks"]
    assert facts["size"] == shapes["size"] == list(part_map.shape) and facts["labels"] == "pascal_person_part"
    present = np.unique(part_map[part_map > 0]).tolist()
    assert [[one["index"] for one in found] for found in (facts["parts"], shapes["parts"], listed)] == [present] * 3
    for one, shape, mask in zip(facts["parts"], shapes["parts"], listed, strict=True):
        pixels = part_map == one["index"]
        assert one["area"] == pixels.sum() and one["score"] == pytest.approx(parsing.part_scores[one["index"]])
        np.testing.assert_array_equal(np.asarray(Image.open(paths["masks"] / mask["file"])), pixels)
        rings = [[np.array(ring) for ring in polygon] for polygon in shape["polygons"]]
        assert beyond_a_pixel(pixels, rasterised(rings, pixels.shape)) == 0
    with Image.open(paths["confidence"]) as image:
        assert image.mode == "L"
        expected = most_probable([View(parsing.outputs["part_logits"], parsing.placement)])[1]
        np.testing.assert_allclose(np.asarray(image), 255 * expected, atol=1)


def test_persons_have_masks_polygons_and_scores(parse, people_artefact, tmp_path):
    Image.fromarray(np.zeros((180, 225, 3), np.uint8)).save(tmp_path / "crowd.png")
    assert parse("-a", people_artefact, tmp_path / "crowd.png", "--write", "masks,json,polygons")[0] == 0
    persons = Parser.load(people_artefact)(tmp_path / "crowd.png").persons
    listed = json.loads((tmp_path / "out" / "crowd_masks" / "masks.json").read_text())["masks"]
    assert [one for one in listed if "person" in one] == [
        {"file": f"person_00{number}.png", "person": number} for number in (1, 2, 3)
    ]
    for number, person in enumerate(persons, 1):
        mask = np.asarray(Image.open(tmp_path / "out" / "crowd_masks" / f"person_00{number}.png"))
        np.testing.assert_array_equal(mask, person.mask)
    people = json.loads((tmp_path / "out" / "crowd.json").read_text())["people"]
    assert people["kind"] == "persons" and [one["area"] for one in people["found"]] == [one.area for one in persons]
    shapes = json.loads((tmp_path / "out" / "crowd_polygons.json").read_text())["people"]["found"]
    assert len(shapes) == 3 and all(one["polygons"] for one in shapes)


def test_a_photo_without_persons_has_empty_results(parse, artefact, tmp_path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")  # red is background
    assert parse("-a", artefact(), tmp_path / "red.png", "--write", "masks,json,polygons,mosaic,map")[0] == 0
    assert [path.name for path in (tmp_path / "out" / "red_masks").iterdir()] == ["masks.json"]
    for kind in ("json", "polygons"):
        found = json.loads((tmp_path / "out" / f"red{ENDINGS[kind]}").read_text())
        assert found["parts"] == [] == found["people"]["found"]


@pytest.mark.parametrize("labels", [[], ["--labels", "lip"]])
def test_files_of_json_carry_the_artefacts_licence(parse, artefact, photo, tmp_path, labels):
    model = artefact(label_set=LABEL_SETS["cihp"].to_dict(), teacher=TeacherCard(licence="CC BY-NC 4.0"))
    assert parse("-a", model, photo, "--write", "json,polygons,masks", *labels)[0] == 0
    for name in ("a.json", "a_polygons.json", "a_masks/masks.json"):
        assert json.loads((tmp_path / "out" / name).read_text())["licence"] == "CC BY-NC 4.0"


def test_confidence_needs_probabilities(parse, artefact, photo, tmp_path):
    code, _, printed = parse("-a", artefact(), photo, "--write", "confidence")
    assert code == 2 and "gives no probabilities; export it with this version" in printed
    assert not (tmp_path / "out").exists(), "it is found before any work"


def test_a_stale_result_of_any_kind_is_made_again(parse, artefact, photo, tmp_path):
    parse("-a", DEMO, photo, "--write", "map,json")
    parse("-a", artefact(), photo, "--write", "map")
    assert "1 parsed" in parse("-a", artefact(), photo, "--write", "map,json", "--resume")[2]
    assert json.loads((tmp_path / "out" / "a.json").read_text())["labels"] == "colours"


@pytest.mark.parametrize("kind", ["mosaic", "json", "masks", "polygons", "map"])
def test_a_broken_result_is_made_again(parse, artefact, photo, tmp_path, kind):
    path = tmp_path / "out" / f"a{ENDINGS[kind]}"
    for broken in (b"", b"\xff\xd8\xff", b'{"made', b"[1]", b"null", b"\xff"):
        parse("-a", artefact(), photo, "--write", kind)
        (path / "masks.json" if path.is_dir() else path).write_bytes(broken)
        assert "1 parsed" in parse("-a", artefact(), photo, "--write", kind, "--resume")[2]


def test_another_label_set_changes_indices_palette_and_origin(parse, artefact, photo, tmp_path):
    text = "name: mine\nparts: [none, sea, grass]\nbridge: {background: none, green: grass, blue: sea}\n"
    (tmp_path / "mine.yaml").write_text(text)
    parse("-a", artefact(), photo)
    own = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    code, _, printed = parse(
        "-a", artefact(), photo, "--labels", tmp_path / "mine.yaml", "--resume", "--write", "map,json"
    )
    assert code == 0 and "1 parsed" in printed
    with Image.open(tmp_path / "out" / "a.png") as found:
        np.testing.assert_array_equal(np.asarray(found), np.array([0, 2, 1])[own])
        assert found.mode == "P"
    facts = json.loads((tmp_path / "out" / "a.json").read_text())
    assert facts["labels"] == "mine" and [part["name"] for part in facts["parts"]] == ["sea", "grass"]


def test_a_cihp_artefact_writes_what_try_on_programs_read(parse, people_artefact, stripes, tmp_path):
    """Palette PNGs with LIP's or ATR's indices; parts that can only be guessed are named."""
    Image.fromarray(stripes).resize((225, 180)).save(tmp_path / "a.png")
    own = Parser.load(people_artefact)(tmp_path / "a.png").part_map
    for name, guess in (("lip", "torso-skin -> background"), ("atr", "socks -> left-leg")):
        code, _, printed = parse("-a", people_artefact, tmp_path / "a.png", "--labels", name, "--write", "map")
        assert code == 0 and f"{name} divides some parts" in printed and guess in printed
        with Image.open(tmp_path / "out" / "a.png") as image:
            assert image.mode == "P" and image.getpalette()[: 3 * 18] == LABEL_SETS[name].palette()[: 3 * 18]
            found = np.asarray(image)
        for part in ("background", "hat", "hair"):
            own_index, index = (LABEL_SETS[one].parts.index(part) for one in ("cihp", name))
            assert np.unique(found[own == own_index]).tolist() == [index]


@pytest.mark.parametrize("labels", ["lip", "no such", "", "/gone.yaml"])
def test_impossible_labels_are_an_error_before_any_work(parse, photo, tmp_path, labels):
    code, _, printed = parse("-a", DEMO, photo, "--labels", labels or "''")
    assert code == 2 and not (tmp_path / "out").exists()
    assert "gone.yaml" in printed or "choose from pascal_person_part, or give a .yaml file" in printed


def test_names_of_parts_and_photos_may_be_anything(parse, artefact, stripes, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in names.NAMES.values():
        if (path := names.create(tmp_path / "photos", name, b"")) is not None:
            Image.fromarray(stripes).save(path, format="PNG")
    parts = ["background", "../up/'\"\n", "ü" * 300]
    labels = {"name": "strange", "parts": parts, "colours": [[0, 0, 0], [1, 1, 1], [2, 2, 2]]}
    count = len([path for path in (tmp_path / "photos").iterdir() if not path.name.startswith(".")])
    kinds = "map,mosaic,json,masks,polygons"
    code, lines, printed = parse(
        "-a", artefact(label_set=labels), tmp_path / "photos", "--write", kinds, "--json", "--format", "coco"
    )
    assert code == 0 and f"{count} parsed" in printed and "failed" not in printed
    results = [json.loads(line) for line in lines.splitlines()]
    assert len({one[kind] for one in results for kind in ("json", "masks", "polygons")}) == 3 * count
    for one in results:
        with open(f"{one['masks']}/masks.json", encoding="utf-8") as file:  # noqa: PTH123  any name
            listed = json.load(file)["masks"]
        assert [mask["name"] for mask in listed] == parts[1:]
        assert all(len(mask["file"]) < 80 and "/" not in mask["file"] for mask in listed)
    dataset = json.loads((tmp_path / "out" / "annotations.json").read_text())
    photos = {path.name for path in (tmp_path / "photos").iterdir() if not path.name.startswith(".")}
    assert {image["file_name"] for image in dataset["images"]} == photos
    assert [one["name"] for one in dataset["categories"]] == parts[1:]
