"""A stand-in for the service: the same HTTP API, answers that are made up but fit together. For the page's tests."""

import base64
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from flask import Flask, Response, jsonify, request
from PIL import Image, ImageOps
from waitress.server import create_server
from waitress.wasyncore import close_all

import m2fp_kd.serve
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.serve.guard import HEADERS

LABELS = LABEL_SETS["cihp"]
STATIC = Path(m2fp_kd.serve.__file__).parent / "static"
TOTALS = {"lite": 20.0, "full": 410.0}
RETRY_AFTER = 7

Box = tuple[int, int, int, int]

FIGURE = {
    "hair": (40, 5, 60, 15),
    "face": (42, 15, 58, 28),
    "upper-clothes": (30, 28, 70, 58),
    "pants": (34, 58, 66, 90),
    "left-shoe": (52, 90, 68, 97),
}
"""Boxes of parts (left, top, right, bottom) in hundredths of a person's place."""


def part_map(mode: str, height: int, width: int) -> np.ndarray:
    """Two people side by side, uint8 (height, width); the full model sees a hat on the first and a wider face."""
    found = np.zeros((height, width), np.uint8)
    for place in people_boxes(height, width):
        for name, box in FIGURE.items():
            _fill(found, place, box, name)
        if mode == "full":
            _fill(found, place, (40, 15, 60, 28), "face")
    if mode == "full":
        _fill(found, people_boxes(height, width)[0], (38, 0, 62, 8), "hat")
    return found


def people_boxes(height: int, width: int) -> list[Box]:
    """Where the two people stand, in pixels."""
    return [(0, 0, width // 2, height), (width // 2, 0, width, height)]


def _fill(found: np.ndarray, place: Box, box: Box, name: str) -> None:
    left, top, right, bottom = place
    across, down = (right - left) / 100, (bottom - top) / 100
    rows = slice(top + round(down * box[1]), top + round(down * box[3]))
    columns = slice(left + round(across * box[0]), left + round(across * box[2]))
    found[rows, columns] = LABELS.parts.index(name)


def answer(mode: str, photo: Image.Image, wants: str) -> dict[str, Any]:
    """What the API says of a photo."""
    found = part_map(mode, photo.height, photo.width)
    total = TOTALS[mode]
    result = {
        "mode": mode,
        "size": [photo.height, photo.width],
        "parts": [_part(found, index, mode) for index in np.unique(found).tolist() if index],
        "people": {
            "kind": "persons" if mode == "full" else "regions",
            "found": [
                {"box": box, "score": 0.9 if mode == "full" else None, "area": found.size // 8}
                for box in people_boxes(photo.height, photo.width)
            ],
        },
        "timings_ms": {"queue": 0.1 * total, "read": 0.2 * total, "network": 0.7 * total, "total": total},
    }
    if wants == "map":
        indexed = Image.fromarray(found)
        indexed.putpalette(LABELS.palette())
        result["map"] = _encoded(indexed, "PNG")
    if wants == "mosaic":
        result["mosaic"] = _encoded(photo.convert("RGB"), "JPEG")
    return result


def _part(found: np.ndarray, index: int, mode: str) -> dict[str, Any]:
    rows, columns = np.nonzero(found == index)
    return {
        "index": index,
        "name": LABELS.parts[index],
        "colour": LABELS.colours[index],
        "area": rows.size,
        "share": rows.size / found.size,
        "box": [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1],
        "score": 0.5 + 0.02 * index if mode == "full" else None,
    }


def _encoded(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def create_stub(modes: tuple[str, ...] = ("lite", "full"), token: str | None = None) -> Flask:
    """The application.

    A photo whose file name holds "broken" is refused as broken, one with "busy" with 503 and Retry-After, and one with
    "slow" is answered late. The others are answered in a quarter of the time that is claimed.
    """
    app = Flask(__name__, static_folder=str(STATIC), static_url_path="/static")

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.extend(HEADERS)
        return response

    @app.before_request
    def check_token() -> Any:
        given = request.headers.get("Authorization")
        if token and request.path.startswith("/api/") and given != f"Bearer {token}":
            return _error(401, "unauthorized", "This server wants a token.")
        return None

    @app.get("/")
    def index() -> Response:
        return app.send_static_file("index.html")

    @app.get("/api/models")
    def models() -> Response:
        limits = {"megabytes": 2, "megapixels": 50, "photos": 16}
        return jsonify({"models": [_facts(mode) for mode in modes], "limits": limits, "token": token is not None})

    @app.post("/api/parse")
    def parse() -> Any:
        file = request.files["photo"]
        name, data = file.filename or "", file.read()
        if "broken" in name or b"broken" in data:
            return _error(422, "photo_broken", "The photo cannot be read; send a whole JPEG file.")
        if "busy" in name:
            return _error(503, "busy", "The queue is full.", {"Retry-After": str(RETRY_AFTER)})
        mode = request.args.get("mode", "lite")
        time.sleep(0.7 if "slow" in name else TOTALS[mode] / 4000)
        return jsonify(
            answer(mode, ImageOps.exif_transpose(Image.open(io.BytesIO(data))), request.args.get("return", "map"))
        )

    return app


def _facts(mode: str) -> dict[str, Any]:
    return {
        "mode": mode,
        "title": {"lite": "MobileNetV3 student", "full": "M2FP, ResNet-101"}[mode],
        "precision": {"lite": "int8", "full": "fp32"}[mode],
        "megabytes": {"lite": 3.39, "full": 253.0}[mode],
        "engine": "openvino",
        "arithmetic": "f32",
        "input": {"lite": 256, "full": 512}[mode],
        "people": {"lite": "regions", "full": "persons"}[mode],
        "licence": {"lite": None, "full": "CC BY-NC 4.0"}[mode],
        "teacher": {"lite": "M2FP, ResNet-101", "full": None}[mode],
        "label_set": {"name": LABELS.name, "parts": LABELS.parts, "colours": LABELS.colours},
    }


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Any:
    return jsonify({"error": {"code": code, "message": message}}), status, headers or {}


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serve an application on a free port of this machine; gives the address."""
    sockets: dict[int, Any] = {}
    server = create_server(app, host="127.0.0.1", port=0, threads=4, map=sockets)
    thread = Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.task_dispatcher.shutdown()
        # The server's own thread closes what it listens to, also the connections that a browser keeps open.
        server.trigger.pull_trigger(lambda: close_all(sockets))
        thread.join()
