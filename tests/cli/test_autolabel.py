"""`m2fp-kd autolabel`: what it writes, how it continues, and that a student trains on it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd import DEMO, cli
from m2fp_kd.data.layouts import m2fp_records
from m2fp_kd.data.reading import read_map, read_record
from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.artefact import Card, load_card, save_card
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.parser import Parser
from tests.runtime.conftest import GOLDEN, write_model

CIHP = LABEL_SETS["cihp"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three scenes, one of them in a subfolder."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "deep/c.png")):
        Image.fromarray(draw_scene(number, (90, 120)).image).save(folder / name)
    return folder


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """An artefact of CIHP's labels that separates persons: every part is equally probable, but for hair."""
    with np.load(GOLDEN) as golden:
        constants = {"class_logits": golden["pred_logits"], "mask_logits": golden["pred_masks"]}
    logits = np.zeros((1, CIHP.num_parts, *constants["mask_logits"].shape[-2:]), np.float32)
    logits[:, CIHP.parts.index("hair")] = 3
    model = tmp_path / "crowd" / "model.onnx"
    write_model(model, constants | {"part_logits": logits})
    outputs = ["part_map", "part_logits", "class_logits", "mask_logits"]
    geometry = vars(Geometry(150, fixed=False)).copy()
    save_card(model, Card(CIHP.to_dict(), geometry, "fp32", "m2fp", outputs, people="persons"))
    return model.parent


def run(*words: object) -> int:
    return cli.main(["autolabel", *map(str, words)])


def test_the_demo_labels_a_folder(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(photos, "-o", out, "--ignore-below", 0) == 0
    assert "3 labelled in" in capsys.readouterr().err
    card = load_card(DEMO / "model.onnx")
    records = m2fp_records(out, "Training")
    assert [record.name for record in records] == ["a", "b", "deep__c"] and records[0].persons is None
    parser = Parser.load(DEMO)
    for record in records:
        found = read_record(record, card.labels)
        same = (found.parts == parser(found.image).part_map).mean()
        assert same > 0.97, "parse enlarges the map on the canvas, autolabel the probabilities"
        assert read_map(out / "Training" / "Confidence" / f"{record.name}.png").min() >= 255 / card.labels.num_parts - 1
    content = json.loads((out / "autolabel.json").read_text())
    assert content["progress"] == {"photos": 3, "labelled": 3, "failed": []}
    assert content["settings"]["model"]["licence"] == card.teacher.licence


def test_a_second_call_continues_and_keeps_corrections(photos, tmp_path, capsys):
    out = tmp_path / "out"
    run(photos, "-o", out)
    labels = out / "Training" / "Category_ids"
    Image.new("L", (120, 90), 1).save(labels / "a.png")
    (labels / "b.png").unlink()
    assert run(photos, "-o", out) == 0
    assert "1 labelled, 2 already there" in capsys.readouterr().err
    assert (read_map(labels / "a.png") == 1).all() and (labels / "b.png").is_file()


def test_labels_whose_photo_got_another_name_are_named(photos, tmp_path, capsys):
    run(photos, "-o", tmp_path / "out")
    assert "no longer" not in capsys.readouterr().err
    Image.new("RGB", (120, 90)).save(photos / "a.bmp")  # a.png is now labelled as `a.png`
    assert run(photos, "-o", tmp_path / "out") == 0
    assert f"{photos} no longer has under this name: a; training uses" in capsys.readouterr().err
    labels = tmp_path / "out" / "Training" / "Category_ids"
    assert {path.name for path in labels.iterdir()} >= {"a.png", "a.png.png", "a.bmp.png"}


def test_other_settings_are_refused_and_change_nothing(photos, tmp_path, capsys, crowd):
    out = tmp_path / "out"
    run(photos, "-o", out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for words in (["-a", crowd], ["--tta"], ["--ignore-below", 0.5]):
        capsys.readouterr()
        assert run(photos, "-o", out, *words) == 2
        assert "holds labels of other settings" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_broken_photo_is_named_and_the_others_are_labelled(photos, tmp_path, capsys):
    (photos / "A.png").write_bytes((photos / "a.png").read_bytes()[:200])
    assert run(photos, "-o", tmp_path / "out") == 1
    printed = capsys.readouterr().err
    assert "A.png: cannot be read" in printed and "3 labelled, 1 failed" in printed
    assert json.loads((tmp_path / "out" / "autolabel.json").read_text())["progress"]["failed"] == ["A"]
    assert len(m2fp_records(tmp_path / "out", "Training")) == 3
    (photos / "A.png").unlink()
    assert run(photos, "-o", tmp_path / "out") == 0


def test_an_interruption_keeps_what_is_done(photos, tmp_path, capsys, monkeypatch):
    call = Parser.__call__

    def second_stops(self: Parser, photo: object) -> object:
        seen.append(photo)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return call(self, photo)

    seen: list[object] = []
    monkeypatch.setattr(Parser, "__call__", second_stops)
    assert run(photos, "-o", tmp_path / "out") == 130
    assert "the same command continues" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "autolabel.json").read_text())["progress"]["labelled"] == 1
    assert run(photos, "-o", tmp_path / "out") == 0
    assert "2 labelled, 1 already there" in capsys.readouterr().err


def test_persons_and_confidence(crowd, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (225, 180)).save(tmp_path / "photos" / "crowd.jpg")
    sure = np.exp(3) / (np.exp(3) + CIHP.num_parts - 1)
    for name, least in (("low", sure - 0.01), ("high", sure + 0.01)):
        out = tmp_path / name
        assert run(tmp_path / "photos", "-o", out, "-a", crowd, "--persons", "--ignore-below", least) == 0
        (record,) = m2fp_records(out, "Training")
        found = read_record(record, CIHP)
        assert set(np.unique(found.persons)) == {0, 1, 2, 3}
        assert (found.parts == (CIHP.parts.index("hair") if name == "low" else CIHP.ignore_index)).all()
        assert (read_map(out / "Training" / "Confidence" / "crowd.png") == round(255 * sure)).all()


def test_tta_averages_the_mirrored_photo(photos, tmp_path):
    for name, words in (("one", []), ("two", ["--tta"])):
        assert run(photos, "-o", tmp_path / name, *words) == 0
    one, two = (read_map(tmp_path / name / "Training" / "Confidence" / "a.png") for name in ("one", "two"))
    assert (one != two).any()
    mirrored = tmp_path / "mirrored"
    mirrored.mkdir()
    Image.fromarray(np.asarray(Image.open(photos / "a.png"))[:, ::-1]).save(mirrored / "a.png")
    assert run(mirrored, "-o", tmp_path / "three", "--tta") == 0
    three = read_map(tmp_path / "three" / "Training" / "Confidence" / "a.png")
    assert np.abs(three[:, ::-1].astype(int) - two).max() <= 1, "the mirrored photo has the mirrored answer"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--persons"], "does not separate persons"),
        (["--labels", "cihp"], "belong to --teacher"),
        (["-a", "gone"], "gone: no such artefact"),
        (["--teacher", "gone.json"], "--teacher gone.json: no such file"),
        (["--teacher", "timm/one-1.5", "gone.pt"], "--teacher gone.pt: no such file"),
        (["--teacher", "/gone/teacher"], "--teacher /gone/teacher: no such file"),
        (["--teacher", "some/model", "--labels", "nobody"], "unknown label set 'nobody'"),
        (["--teacher", "some/model", "--set", "teacher.size"], "--set teacher.size: must be KEY=VALUE"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_writes_nothing(photos, tmp_path, capsys, words, reason):
    assert run(photos, "-o", tmp_path / "out", *words) == 2
    printed = capsys.readouterr().err.splitlines()[-1]
    assert printed.startswith("m2fp-kd: ") and reason in printed
    assert not (tmp_path / "out").exists()
