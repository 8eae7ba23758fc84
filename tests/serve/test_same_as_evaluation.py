"""The service returns, bit for bit, the part maps that were evaluated: one inference path, alone or in a batch."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

import m2fp_kd
from m2fp_kd.evaluation.benchmark.score import Settings, score
from m2fp_kd.evaluation.metrics.evaluate import scores_of
from m2fp_kd.evaluation.metrics.miou import confusion
from m2fp_kd.runtime.artefact import find_model, load_card
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.serve.app import create_app
from m2fp_kd.serve.models import load_model
from tests.serve.conftest import UNLIMITED

pytest.importorskip("openvino", reason="the demo's figures were taken with OpenVINO")

DEMO = Path(m2fp_kd.__file__).parent / "demo"
SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "Validation"
SIZES = [(160, 160), (160, 90), (77, 160), (131, 120), (160, 41), (700, 560)]


@pytest.fixture
def data(tmp_path) -> Path:
    """A data set in M2FP's layout: photos of the sample, cut to different shapes, with parts that the demo has too."""
    last = load_card(find_model(DEMO)).labels.num_parts - 1
    names = sorted(path.stem for path in (SAMPLE / "Images").iterdir())
    for name, (height, width) in zip(names, SIZES, strict=False):
        for folder, ending in (("Images", "jpg"), ("Category_ids", "png")):
            cut = tmp_path / "Validation" / folder / f"{name}.png"
            cut.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(SAMPLE / folder / f"{name}.{ending}") as whole:
                piece = np.asarray(whole.crop((0, 0, width, height)))
            Image.fromarray(piece if folder == "Images" else np.minimum(piece, last)).save(cut)
    return tmp_path


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """Photos in each call of a parser."""
    made: list[int] = []
    call = Parser.__call__

    def counted(self, photos):
        made.append(len(photos) if isinstance(photos, list) else 1)
        return call(self, photos)

    monkeypatch.setattr(Parser, "__call__", counted)
    return made


@pytest.fixture(params=["openvino", "onnxruntime"])
def engine(request) -> str:
    """OpenVINO parses one photo of the demo's fixed size in a call, ONNX Runtime several."""
    return request.param


@pytest.fixture
def client(engine) -> Iterator[FlaskClient]:
    model = load_model("lite", DEMO, 1, 1, engine, UNLIMITED)
    yield create_app({"lite": model}, UNLIMITED).test_client()
    model.worker.close()


def part_map(answer: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["map"]))))


def test_served_part_maps_equal_the_evaluated_ones(data, engine, client, calls):
    files = sorted((data / "Validation" / "Images").iterdir())
    assert len({Image.open(file).size for file in files}) == len(SIZES)
    parser = Parser.load(DEMO, engine, threads=1)
    direct = [parser(file).part_map for file in files]
    alone = [part_map(client.post("/api/parse", data=file.read_bytes()).json) for file in files]
    calls.clear()
    photos = [(io.BytesIO(file.read_bytes()), file.name) for file in files]
    together = client.post("/api/parse/batch", data={"photo": photos}).json["results"]
    assert max(calls) > 1 or parser.engine.max_batch == 1, "the batch must share calls"
    matrix = np.zeros((parser.labels.num_parts,) * 2, np.int64)
    for file, expected, one, among in zip(files, direct, alone, together, strict=True):
        np.testing.assert_array_equal(one, expected)
        np.testing.assert_array_equal(part_map(among), expected)
        truth = np.asarray(Image.open(data / "Validation" / "Category_ids" / file.name))
        matrix += confusion(truth, one, parser.labels.num_parts, parser.labels.ignore_index)
    served, measured = scores_of(matrix, parser.labels), score(DEMO, data, Settings(engine, threads=2))
    assert measured["photos"] == len(files) and 0 < measured["miou"] < 1
    assert (served.miou, served.pixel_accuracy, served.iou) == tuple(
        measured[name] for name in ("miou", "pixel_accuracy", "iou")
    )
