"""Requests generated from the OpenAPI document: every answer conforms to it, and none is a server error."""

from dataclasses import asdict

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.serve.app import create_app
from m2fp_kd.serve.models import load_model
from tests.runtime.conftest import COLOURS, write_model
from tests.serve.conftest import UNLIMITED

OPERATIONS = [
    ("/api/parse", "POST"),
    ("/api/parse/batch", "POST"),
    ("/api/models", "GET"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
]

# No check for accepted positive data: the document allows any bytes, and bytes that are not a photo are refused.
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "model.onnx"
    write_model(path)
    save_card(path, Card(COLOURS.to_dict(), asdict(Geometry(32)), "fp32", "fpn"))
    model = load_model("lite", path, 1, 1, "onnxruntime", UNLIMITED)
    yield schemathesis.openapi.from_wsgi("/openapi.json", create_app({"lite": model}, UNLIMITED))
    model.worker.close()


def test_every_operation_of_the_document_is_tried(service):
    found = {(result.ok().path, result.ok().method.upper()) for result in service.get_all_operations()}
    assert found == set(OPERATIONS)


def tried():
    """Yield every operation with valid requests, and those with a body with invalid requests as well."""
    for path, method in OPERATIONS:
        yield path, method, GenerationMode.POSITIVE
        if method == "POST":
            yield path, method, GenerationMode.NEGATIVE


@pytest.mark.parametrize(("path", "method", "mode"), tried())
def test_no_request_breaks_the_service(service, path, method, mode):
    operation = service[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    def ask(case):
        case.call_and_validate(checks=CHECKS)

    ask()
