"""The commands parse and card on good and bad input."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from m2fp_kd import DEMO, cli
from m2fp_kd.checkpoints.backbone import save_backbone
from m2fp_kd.cli import outcomes
from m2fp_kd.runtime.artefact import load_card, save_checks
from m2fp_kd.runtime.checks import CheckResults, Hop, Latency, Score
from m2fp_kd.runtime.geometry import read_image
from m2fp_kd.runtime.provenance import TeacherCard
from tests.hostile import images


@pytest.fixture
def photos(tmp_path, stripes):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(stripes).save(folder / "a.jpg", quality=95)
    Image.fromarray(stripes.transpose(1, 0, 2)).save(folder / "deep" / "b.png")
    return folder


def test_a_folder_gives_a_map_and_a_mosaic_for_each_photo(artefact, photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["parse", "-a", str(artefact()), str(photos), "-o", str(out), "--threads", "1"]) == 0
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert written == ["a.png", "a_mosaic.jpg", "deep/b.png", "deep/b_mosaic.jpg"]
    with Image.open(out / "a.png") as image:
        assert (image.mode, image.size) == ("P", (90, 45))
        assert set(np.unique(np.asarray(image))) == {0, 1, 2}
    printed = capsys.readouterr()
    assert "2 parsed" in printed.err and printed.out == ""


def test_a_broken_photo_is_named_and_the_others_are_parsed(artefact, photos, tmp_path, capsys):
    data = (photos / "a.jpg").read_bytes()
    (photos / "A_first.jpg").write_bytes(data[:300])
    out = tmp_path / "out"
    assert cli.main(["parse", "-a", str(artefact()), str(photos), "-o", str(out)]) == 1
    printed = capsys.readouterr().err
    assert "A_first.jpg: cannot be read" in printed and "2 parsed, 1 failed" in printed
    assert (out / "deep" / "b_mosaic.jpg").is_file() and not (out / "A_first.png").exists()


def test_resume_parses_only_photos_without_results(artefact, photos, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["parse", "-a", str(artefact()), str(photos), "-o", str(out), "--resume"]
    cli.main(command)
    (out / "a_mosaic.jpg").unlink()
    before = (out / "deep" / "b.png").stat().st_mtime_ns
    capsys.readouterr()
    assert cli.main(command) == 0
    assert "1 parsed, 1 already there" in capsys.readouterr().err
    assert (out / "a_mosaic.jpg").is_file() and (out / "deep" / "b.png").stat().st_mtime_ns == before


def test_json_lines(artefact, photos, tmp_path, capsys):
    cli.main(["parse", "-a", str(artefact()), str(photos / "a.jpg"), "-o", str(tmp_path / "out"), "--json"])
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert result["photo"].endswith("a.jpg") and result["part_map"].endswith("a.png")
    assert sum(result["parts"].values()) == pytest.approx(1, abs=1e-5)
    assert result["people_kind"] == "regions" and all(person["score"] is None for person in result["people"])
    assert result["timings_ms"]["network"] > 0


def test_persons_in_json(people_artefact, tmp_path, capsys):
    Image.fromarray(np.zeros((180, 225, 3), np.uint8)).save(tmp_path / "crowd.png")
    cli.main(["parse", "-a", str(people_artefact), str(tmp_path / "crowd.png"), "-o", str(tmp_path / "out"), "--json"])
    people = json.loads(capsys.readouterr().out)["people"]
    assert [person["score"] for person in people] == pytest.approx([0.6747, 0.5271, 0.4493], abs=1e-4)
    assert all(0 <= left < right <= 225 for left, _, right, _ in (person["box"] for person in people))


def test_results_below_the_photos_are_not_parsed_again(artefact, photos, capsys):
    command = ["parse", "-a", str(artefact()), str(photos), "-o", str(photos / "out")]
    assert cli.main(command) == cli.main(command) == 0
    assert "2 parsed in" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("where", ["", "deep/b.png"])
def test_photos_are_never_overwritten(artefact, photos, capsys, where):
    before = (photos / "deep" / "b.png").read_bytes()
    output = photos if where == "" else photos / "deep"
    assert cli.main(["parse", "-a", str(artefact()), str(photos / where), "-o", str(output)]) == 2
    assert "choose another output folder" in capsys.readouterr().err
    assert (photos / "deep" / "b.png").read_bytes() == before


def test_photos_of_one_name_have_results_of_their_own(artefact, photos, tmp_path):
    Image.open(photos / "a.jpg").save(photos / "a.png")
    assert cli.main(["parse", "-a", str(artefact()), str(photos), "-o", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a.jpg.png", "a.jpg_mosaic.jpg", "a.png.png", "a.png_mosaic.jpg", "deep",
    }  # fmt: skip


def test_hostile_photos_are_named_and_the_others_are_parsed(artefact, tmp_path, capsys):
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for kind, photos in (("whole", images.whole()), ("broken", images.broken())):
        for index, (_, data) in enumerate(photos):
            (folder / f"{kind}{index}.jpg").write_bytes(data)
    (folder / "broken_loop.jpg").symlink_to("broken_loop.jpg")
    (folder / "broken_link.jpg").symlink_to("nowhere")
    (folder / "raw.dng").touch()
    assert cli.main(["parse", "-a", str(artefact()), str(folder), "-o", str(out)]) == 1
    lines = capsys.readouterr().err.splitlines()
    failed = {path.name for path in folder.glob("broken*")}
    assert {re.search(r"broken\w+\.jpg", line).group() for line in lines if line.startswith("failed: ")} == failed
    assert {path.name for path in out.glob("*.png")} == {f"{path.stem}.png" for path in folder.glob("whole*")}
    assert lines[0] == "left out: 1 .dng; convert them to JPEG" and f"{len(failed)} failed" in lines[-1]


def test_a_photo_above_the_limit_is_named_with_the_option(artefact, photos, tmp_path, capsys):
    command = ["parse", "-a", str(artefact()), str(photos / "a.jpg"), "-o", str(tmp_path / "out")]
    assert cli.main([*command, "--megapixels", "0.004"]) == 1
    assert "a.jpg: has 90 x 45 pixels, 0 megapixels, but the limit is 0.004; shrink" in capsys.readouterr().err
    assert cli.main([*command, "--megapixels", "0.00405"]) == 0


def test_resume_parses_again_what_another_artefact_made(artefact, photos, tmp_path, capsys):
    command = ["parse", str(photos), "-o", str(tmp_path / "out"), "--resume"]
    assert cli.main([*command, "-a", str(artefact())]) == 0
    own = (tmp_path / "out" / "a.png").read_bytes()
    capsys.readouterr()
    assert cli.main(command) == 0
    printed = capsys.readouterr().err
    assert "2 made with another artefact or other options, or before the photo changed; parsed again" in printed
    assert "2 parsed in" in printed
    assert (tmp_path / "out" / "a.png").read_bytes() != own
    assert cli.main(command) == 0
    assert "0 parsed, 2 already there" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_summary_is_the_time_that_the_user_waited(artefact, photos, tmp_path, capsys, monkeypatch, jobs):
    def slowly(*arguments, **options):
        time.sleep(0.2)
        return read_image(*arguments, **options)

    monkeypatch.setattr("m2fp_kd.runtime.placed.read_image", slowly)
    command = ["parse", "-a", str(artefact()), str(photos), "-o", str(tmp_path / "out"), "--json"]
    cli.main([*command, "--jobs", str(jobs)])
    printed = capsys.readouterr()
    words = r"2 parsed in \S+ in ([\d.]+) s: [\d.]+ s to load \w+ \(f32\), ([\d.]+) ms each(.*) \((.+)\)\n$"
    found = re.search(words, printed.err)
    assert float(found[1]) >= 0.4 / jobs and float(found[2]) >= 200 / jobs
    if jobs == 2:
        assert float(re.fullmatch(r", ([\d.]+) ms in one of 2 jobs", found[3])[1]) >= 200
    assert float(re.search(r"read ([\d.]+)", found[4])[1]) >= 200 and "write" in found[4]
    assert all(json.loads(line)["timings_ms"]["read"] >= 200 for line in printed.out.splitlines())


def test_sigterm_leaves_nothing_half_written(artefact, photos, tmp_path, capsys, monkeypatch):
    signals = iter([signal.SIGTERM])

    def save(*_, **__):
        for number in signals:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Image.Image, "save", save)
    out = tmp_path / "out"
    assert cli.main(["parse", "-a", str(artefact()), str(photos), "-o", str(out), "--jobs", "2"]) == 143
    assert "--resume continues from here" in capsys.readouterr().err
    assert [path.name for path in out.rglob("*") if path.name != "deep"] == []


@pytest.mark.parametrize("missing", ["artefact", "photo", "empty folder"])
def test_a_missing_input_is_named(artefact, photos, tmp_path, capsys, missing):
    (tmp_path / "empty").mkdir()
    source = {"artefact": photos, "photo": tmp_path / "gone.jpg", "empty folder": tmp_path / "empty"}[missing]
    model = tmp_path / "gone.onnx" if missing == "artefact" else artefact()
    assert cli.main(["parse", "-a", str(model), str(source), "-o", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("m2fp-kd: ") and ("gone" in printed or "empty" in printed)
    assert "Traceback" not in printed


def test_an_output_that_cannot_be_written_is_an_error(artefact, photos, tmp_path, capsys):
    (tmp_path / "out").write_text("a file where the folder should be")
    assert cli.main(["parse", "-a", str(artefact()), str(photos), "-o", str(tmp_path / "out")]) == 2
    assert "out" in capsys.readouterr().err


def test_an_interruption_points_to_resume(artefact, photos, tmp_path, capsys, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(outcomes, "parse_photo", interrupted)
    assert cli.main(["parse", "-a", str(artefact()), str(photos), "-o", str(tmp_path / "out")]) == 130
    assert "--resume" in capsys.readouterr().err


def test_the_card_as_text_and_as_json(artefact, capsys):
    folder = artefact(
        teacher=TeacherCard("m2fp", "CC BY-NC 4.0"), parameters=3_210_000, float_layers={"classifier": 0.4}
    )
    hop = Hop("fp32 -> int8", 0.98765, -0.0012, worst_part="blue", worst_part_change=-0.02)
    latency = {"openvino": Latency(13.52, 15.0, 2, "f32", "Some CPU", fp32_p50_ms=12.0)}
    score = Score("pascal_person_part, test photos", 500, 0.5642, 0.3, 0.7)
    save_checks(folder / "model.onnx", CheckResults(parity=(hop,), latency=latency, score=score))
    assert cli.main(["card", str(folder)]) == 0
    text = capsys.readouterr().out
    for words in (
        "colours: background, green, blue", "3.21 M parameters", "CC BY-NC 4.0",
        "13.5 ms a photo, fp32 12.0, threads: 2, f32, Some CPU",
        "✓ passed  fp32 -> int8: 98.77 % of pixels agree, mIoU −0.12, largest loss: blue −2.0", "classifier",
        "56.4 on pascal_person_part, test photos (500)", "boundary IoU 30.0, boundary F 70.0",
    ):  # fmt: skip
        assert words in text
    assert cli.main(["card", str(folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["teacher"]["licence"] == "CC BY-NC 4.0"
    assert printed["checks"]["latency"]["openvino"]["p50_ms"] == 13.52


def test_the_card_of_a_pretrained_backbone(tmp_path, capsys):
    file = tmp_path / "backbone.safetensors"
    save_backbone(file, torch.nn.Linear(2, 2), {"backbone": "tiny", "licence": "Apache-2.0"})
    assert cli.main(["card", str(file)]) == 0
    text = capsys.readouterr().out
    assert "backbone  tiny" in text and "licence   Apache-2.0" in text and "backbone.safetensors (0.0 MB)" in text
    assert cli.main(["card", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["backbone"] == "tiny"
    assert cli.main(["card", str(tmp_path / "gone.safetensors")]) == 2
    assert "gone.safetensors does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [[], *([name] for name in ("parse", "serve", "bench", "benchmark", "runs", "diff"))]
)
def test_help_imports_nothing_heavy(command):
    program = f"""
import sys
from m2fp_kd import cli
try:
    cli.main([*{command}, "-h"])
finally:
    print({{"numpy", "PIL", "torch", "hydra", "flask"}} & set(sys.modules), file=sys.stderr)
"""
    path = ":".join(sys.path)
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.stderr == "set()\n"
    assert "examples:" in done.stdout and "Exit code:" in done.stdout


def test_the_demo_parses_straight_after_installation(tmp_path, photos, capsys):
    assert cli.main(["parse", str(photos / "a.jpg"), "-o", str(tmp_path / "out")]) == 0
    card = load_card(DEMO / "model.onnx")
    printed = capsys.readouterr().err
    assert "demo" in printed and card.data.name in printed and card.teacher.licence in printed
    assert (tmp_path / "out" / "a.png").is_file() and (tmp_path / "out" / "a_mosaic.jpg").is_file()
    files = list(DEMO.iterdir())
    assert sum(file.stat().st_size for file in files) < 5e6
    assert card.precision == "int8"
