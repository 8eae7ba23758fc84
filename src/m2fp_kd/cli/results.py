"""Files and JSON that `m2fp-kd parse` makes of a photo."""

import time
from typing import TYPE_CHECKING, Any

from m2fp_kd.cli.jobs import ENDINGS, Job, Wanted

if TYPE_CHECKING:
    from m2fp_kd.runtime.parser import Parser
    from m2fp_kd.runtime.parsing import Parsing


def parse_photo(
    parser: "Parser", job: Job, made_from: str, wanted: Wanted, megapixels: float, draft: bool
) -> dict[str, Any]:
    """Write the results of a photo.

    Args:
        parser: loaded artefact.
        job: the photo and the paths of its results.
        made_from: what identifies the origin of the results, which each of them records.
        wanted: results to make.
        megapixels: largest photo, 10^6 pixels.
        draft: let the decoder reduce a large JPEG, as in `Placed.of_file`.

    Returns:
        Paths of the photo and its results, milliseconds by step and, if wanted, `facts`.

    Raises:
        PhotoError: the photo cannot be read.
        OSError: the results cannot be written.
    """
    from m2fp_kd.runtime.placed import Placed
    from m2fp_kd.runtime.result_files import WRITERS

    parsing = parser(Placed.of_file(job.source, parser.geometry, megapixels, wanted.mosaics, draft))
    parsed = time.perf_counter()
    for kind in wanted.kinds:
        WRITERS[kind](job.path(kind), parsing, made_from)
    write = time.perf_counter() - parsed
    found = facts(parsing) if wanted.facts else {}
    found["timings_ms"] = _timings(parsing) | {"write": round(1000 * write, 3)}
    return named_paths(job, wanted) | found


def named_paths(job: Job, wanted: Wanted) -> dict[str, str | None]:
    """Return the paths of a photo and its results as `parse_photo` names them."""
    paths = {kind: str(job.path(kind)) for kind in wanted.kinds if kind in ENDINGS}
    two = {"part_map": paths.pop("map", None), "mosaic": paths.pop("mosaic", None)}
    return {"photo": job.name, **two, **paths}


def facts(parsing: "Parsing") -> dict[str, Any]:
    """Return the shares of the parts, the people and the milliseconds by step of a photo or frame."""
    return {
        "parts": {part: round(share, 6) for part, share in parsing.shares.items()},
        "people_kind": parsing.people_kind,
        "people": [{"score": person.score, "box": person.box} for person in parsing.people],
        "timings_ms": _timings(parsing),
    }


def _timings(parsing: "Parsing") -> dict[str, float]:
    return {step: round(value, 3) for step, value in parsing.timings.items()}
