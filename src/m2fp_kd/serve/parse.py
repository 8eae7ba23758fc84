"""Parse the photos of a request, from their encoded bytes to the answer for each."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from m2fp_kd.serve.answers import answer
from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.metrics import Metrics
from m2fp_kd.serve.models import Model
from m2fp_kd.serve.photos import decode, needed_bytes
from m2fp_kd.serve.settings import Settings

T = TypeVar("T")


def parse_photos(
    model: Model, data: Sequence[bytes], wants: frozenset[str], settings: Settings, metrics: Metrics
) -> list[dict[str, Any] | ApiError]:
    """Parse photos; return an answer or an error for each.

    Args:
        model: model that parses them, together where it can.
        data: encoded photos.
        wants: members of `RETURNS` to include in the answers.
        settings: limits.
        metrics: counters to update.

    Raises:
        ApiError: the memory budget or the queue is full, or the deadline has passed.
    """
    sizes = [_or_error(needed_bytes, one, settings) for one in data]
    with model.worker.reserve([size for size in sizes if isinstance(size, int)]):
        read = [
            size if isinstance(size, ApiError) else _or_error(_Read.of, one)
            for one, size in zip(data, sizes, strict=True)
        ]
        photos = [one.photo for one in read if isinstance(one, _Read)]
        found = iter(model.worker.parse(photos, settings.deadline))
        answers: list[dict[str, Any] | ApiError] = []
        for one in read:
            if isinstance(one, ApiError):
                answers.append(one)
                continue
            parsing, waited = next(found)
            timings = {"queue": waited, **parsing.timings, "read": one.milliseconds}
            timings["total"] = sum(timings.values())
            metrics.parsed(model.mode, timings)
            answers.append(answer(model.mode, model.facts["id"], parsing, timings, wants))
        return answers


@dataclass(frozen=True)
class _Read:
    """A decoded photo and the milliseconds that decoding took."""

    photo: np.ndarray
    milliseconds: float

    @classmethod
    def of(cls, data: bytes) -> "_Read":
        start = time.perf_counter()
        return cls(decode(data), 1000 * (time.perf_counter() - start))


def _or_error(act: Callable[..., T], *arguments: Any) -> T | ApiError:
    try:
        return act(*arguments)
    except ApiError as error:
        return replace(error)  # without its traceback, whose frames refer to the decoded photo and to this error
