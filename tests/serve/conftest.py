"""A service around a tiny artefact."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("flask", reason="needs the serve extra")

from flask.testing import FlaskClient

from m2fp_kd.serve.app import create_app
from m2fp_kd.serve.models import load_model
from m2fp_kd.serve.settings import Settings
from tests.runtime.conftest import artefact, people_artefact, stripes  # noqa: F401  fixtures

UNLIMITED = Settings(requests_per_minute=0)


@pytest.fixture
def client_with(artefact, people_artefact) -> Iterator[Callable[[Settings], FlaskClient]]:  # noqa: F811
    """Return a function that makes a client of a service with a per-pixel "lite" and an M2FP "full" model."""
    made = []

    def make(settings: Settings = UNLIMITED) -> FlaskClient:
        models = {
            "lite": load_model("lite", artefact(), 2, 1, "onnxruntime", settings),
            "full": load_model("full", people_artefact, 1, 1, "onnxruntime", settings),
        }
        made.extend(models.values())
        return create_app(models, settings).test_client()

    yield make
    for model in made:
        model.worker.close()


@pytest.fixture
def client(client_with) -> FlaskClient:
    """A client of a service without a rate limit."""
    return client_with()


def encoded(photo: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Encode a photo as the bytes of a file."""
    buffer = io.BytesIO()
    (Image.fromarray(photo) if isinstance(photo, np.ndarray) else photo).save(buffer, kind, **options)
    return buffer.getvalue()
