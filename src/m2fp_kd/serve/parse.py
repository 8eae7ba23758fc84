"""Parse the photos of a request, from their encoded bytes to the response."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from flask import Request, Response, jsonify

from m2fp_kd.labels import Translation
from m2fp_kd.runtime.cores import usable_cores
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.relabel import relabelled
from m2fp_kd.serve.answers import answer
from m2fp_kd.serve.deadline import Deadline, Turns
from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.incoming import ENTERED
from m2fp_kd.serve.metrics import Metrics
from m2fp_kd.serve.models import Model
from m2fp_kd.serve.photos import Size, decode, photos_of, size_of
from m2fp_kd.serve.settings import READERS, Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Wish:
    """Options of a request.

    Attributes:
        model: model that parses its photos, together where it can.
        wants: members of `RETURNS` to include in the answers.
        translation: translation of the answers to another label set.
        alone: the request has one photo, and the response is its answer or error.
        deadline: time limit.
        charge: called with the photos' megapixels beyond one.
    """

    model: Model
    wants: frozenset[str]
    translation: Translation | None
    alone: bool
    deadline: Deadline
    charge: Callable[[float], None]


class ParseRequest:
    """Parse the photos of requests.

    Few threads decode and answer at the same time, so that the others, health checks above all, get the interpreter
    soon, and the copies of bodies stay within their budget.

    Args:
        settings: limits.
        metrics: counters to update.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._reading = Turns(READERS)
        self._working = Turns(usable_cores())

    def __call__(self, request: Request, wish: Wish) -> Response:
        """Return the response to a request.

        Raises:
            ApiError: the body holds no photos, the memory budget or the queue is full, or the deadline has passed.
        """
        with ExitStack() as reserved:
            sized = self._reserve(request, wish, reserved)
            with self._working.one(wish.deadline):
                read = [one if isinstance(one, ApiError) else _or_error(_Read.of, *one, wish.deadline) for one in sized]
            sized.clear()
            photos = [one.photo for one in read if isinstance(one, _Read)]
            found = iter(wish.model.worker.parse(photos, wish.deadline.left))
            with self._working.one(wish.deadline):
                return _response([self._answer(one, wish, found) for one in read], wish.alone)

    def _reserve(self, request: Request, wish: Wish, reserved: ExitStack) -> list[tuple[bytes, Size] | ApiError]:
        """Read a request's photos and their sizes, and reserve memory for them until `reserved` is left."""
        with self._reading.one(wish.deadline):
            request.environ.get(ENTERED, lambda: None)()
            data = photos_of(request, self._settings)
            if wish.alone and len(data) > 1:
                raise ApiError(400, "bad_request", "This address takes one photo; send several to /api/parse/batch.")
            persons = wish.model.facts["people"] == "persons"
            sized = [_or_error(_sized, one, self._settings, persons) for one in data]
            sizes = [one[1] for one in sized if not isinstance(one, ApiError)]
            wish.charge(max(0, sum(size.megapixels for size in sizes) - 1))
            reserved.enter_context(wish.model.worker.reserve([size.bytes for size in sizes]))
        return sized

    def _answer(
        self, read: "_Read | ApiError", wish: Wish, found: Iterator[tuple[Parsing, float]]
    ) -> dict[str, Any] | ApiError:
        """Return the answer for a photo, whose result is the next of `found` if it could be read."""
        wish.deadline.check()
        if isinstance(read, ApiError):
            return read
        parsing, waited = next(found)
        if wish.translation is not None:
            parsing = relabelled(parsing, wish.translation)
        timings = {"queue": waited, **parsing.timings, "read": read.milliseconds}
        timings["total"] = sum(timings.values())
        self._metrics.parsed(wish.model.mode, timings)
        return answer(wish.model.mode, wish.model.facts["id"], parsing, timings, wish.wants)


def _response(answers: list[dict[str, Any] | ApiError], alone: bool) -> Response:
    if not alone:
        return jsonify({"results": [one.body if isinstance(one, ApiError) else one for one in answers]})
    (only,) = answers
    if isinstance(only, ApiError):
        raise only
    return jsonify(only)


def _sized(data: bytes, settings: Settings, persons: bool) -> tuple[bytes, Size]:
    return data, size_of(data, settings, persons)


@dataclass(frozen=True)
class _Read:
    """A decoded photo and the milliseconds that decoding took."""

    photo: np.ndarray
    milliseconds: float

    @classmethod
    def of(cls, data: bytes, size: Size, deadline: Deadline) -> "_Read":
        start = time.perf_counter()
        return cls(decode(data, size, deadline), 1000 * (time.perf_counter() - start))


def _or_error(act: Callable[..., T], *arguments: Any) -> T | ApiError:
    try:
        return act(*arguments)
    except ApiError as error:
        return replace(error)  # without its traceback, whose frames refer to the decoded photo and to this error
