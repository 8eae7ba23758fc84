"""The OpenAPI document of the service."""

from collections.abc import Mapping, Sequence
from typing import Any

from m2fp_kd import __version__
from m2fp_kd.serve.answers import RETURNS
from m2fp_kd.serve.photos import IMAGE_TYPES
from m2fp_kd.serve.settings import Settings

BYTES = {"type": "string", "format": "binary"}
BASE64 = {"type": "string", "contentEncoding": "base64"}
OBJECT = {"type": "object"}
BOX = {
    "type": "array",
    "items": {"type": "integer"},
    "minItems": 4,
    "maxItems": 4,
    "description": "left, top, right, bottom",
}
RLE = {
    "type": "object",
    "properties": {"size": {"type": "array", "items": {"type": "integer"}}, "counts": {"type": "string"}},
    "required": ["size", "counts"],
}
POLYGONS = {
    "type": "array",
    "items": {
        "type": "array",
        "items": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}, "minItems": 3},
        "minItems": 1,
    },
    "description": "of each region the rings, the exterior first, then holes; a ring is a list of points x, y; with "
    "return=polygons",
}
MASK = BASE64 | {"description": "PNG of one bit a pixel; with return=masks, of parts and of persons"}
SHAPES = {"mask": MASK, "rle": RLE, "polygons": POLYGONS}
SCORE = {"type": ["number", "null"], "minimum": 0, "maximum": 1}

PART = {
    "type": "object",
    "properties": {
        "index": {"type": "integer"},
        "name": {"type": "string"},
        "colour": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}},
        "area": {"type": "integer", "description": "pixels"},
        "share": {"type": "number", "description": "share of the photo, 0..1"},
        "box": BOX,
        "score": SCORE,
        **SHAPES,
    },
    "required": ["index", "name", "colour", "area", "share", "box", "score"],
}
PEOPLE = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["persons", "regions"], "description": "persons, or connected regions of parts"},
        "found": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"box": BOX, "score": SCORE, "area": {"type": "integer"}, **SHAPES},
                "required": ["box", "score", "area"],
            },
        },
    },
    "required": ["kind", "found"],
}
RESULT = {
    "type": "object",
    "properties": {
        "mode": {"type": "string"},
        "model": {"type": "string", "description": "id of the model in /api/models; another artefact has another"},
        "labels": {"type": "string", "description": "label set of the answer"},
        "licence": {"type": ["string", "null"], "description": "licence of the model, which covers the answer"},
        "size": {"type": "array", "items": {"type": "integer"}, "description": "height and width of the upright photo"},
        "parts": {"type": "array", "items": PART},
        "people": PEOPLE,
        "timings_ms": {"type": "object", "additionalProperties": {"type": "number"}},
        "map": BASE64 | {"description": "palette PNG whose pixel values are part indices; with return=map"},
        "confidence": BASE64
        | {"description": "grey PNG, 255 x the probability of each pixel's part; with return=confidence"},
        "mosaic": BASE64 | {"description": "JPEG: photo, overlay and legend; with return=mosaic"},
    },
    "required": ["mode", "model", "labels", "licence", "size", "parts", "people", "timings_ms"],
}
ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            "required": ["code", "message"],
        }
    },
    "required": ["error"],
}
REFUSALS = {
    "400": "the request has no photo, or its body cannot be understood",
    "401": "the token is missing or wrong",
    "403": "the request comes from a page of another site",
    "404": "the server has no such mode",
    "405": "the path does not support this method",
    "408": "the request did not arrive in time",
    "413": "too many bytes, pixels or photos, or a batch that needs too much memory",
    "415": "the body has another content type",
    "421": "the server has another host name",
    "422": "the photo is broken, too narrow, or too detailed for polygons",
    "429": "too many requests; see Retry-After",
    "431": "the header is too large",
    "500": "the server failed",
    "501": "the transfer encoding is unknown",
    "503": "the server is busy, or the deadline has passed; see Retry-After",
}


def document(labels: Mapping[str, Sequence[str]], settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a server.

    Args:
        labels: mode -> names of the label sets in which its model answers.
        settings: limits.
    """
    modes, names = list(labels), list(dict.fromkeys(name for one in labels.values() for name in one))
    query = [
        {"name": "mode", "in": "query", "schema": {"enum": modes, "default": modes[0]}},
        {
            "name": "return",
            "in": "query",
            "description": f"any of {', '.join(RETURNS)}, separated by commas, or all",
            "schema": {"type": "string", "default": "map"},
        },
        {
            "name": "labels",
            "in": "query",
            "description": "label set of the answer; empty for the model's own; /api/models lists those of each model",
            "schema": {"enum": ["", *names], "default": ""},
        },
    ]
    secured: dict[str, Any] = {"security": [{"token": []}]} if settings.token else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "m2fp-kd", "version": __version__, "description": "Human parsing on a CPU."},
        "paths": {
            "/api/models": {"get": {"summary": "the models and limits of this server", **_answers(OBJECT)} | secured},
            "/api/parse": {
                "post": {"summary": "parse a photo", "parameters": query, "requestBody": _body("photo", BYTES, BASE64)}
                | _answers(RESULT)
                | secured
            },
            "/api/parse/batch": {
                "post": {
                    "summary": f"parse up to {settings.photos} photos; a broken one does not stop the others",
                    "parameters": query,
                    "requestBody": _body(
                        "photos", {"type": "array", "items": BYTES}, {"type": "array", "items": BASE64}
                    ),
                }
                | _answers(_object(results={"type": "array", "items": {"anyOf": [RESULT, ERROR]}, "minItems": 1}))
                | secured
            },
            "/healthz": {"get": {"summary": "the process is alive"} | _answers(OBJECT)},
            "/readyz": {"get": {"summary": "the server accepts photos"} | _answers(OBJECT)},
        },
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _body(field: str, files: dict[str, Any], texts: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": _object(photo=files)},
        "application/json": {"schema": _object(**{field: texts})},
    }
    if field == "photo":
        content |= {kind: {"schema": BYTES} for kind in IMAGE_TYPES}
    return {"required": True, "content": content}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _answers(schema: dict[str, Any]) -> dict[str, Any]:
    def content(of: dict[str, Any]) -> dict[str, Any]:
        return {"application/json": {"schema": of}}

    refusals = {status: {"description": words, "content": content(ERROR)} for status, words in REFUSALS.items()}
    return {"responses": {"200": {"description": "done", "content": content(schema)}, **refusals}}
