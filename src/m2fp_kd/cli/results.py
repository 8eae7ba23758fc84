"""Files and JSON that `m2fp-kd parse` makes of a photo."""

import time
from typing import TYPE_CHECKING, Any

from m2fp_kd.cli.sources import Job, Wanted

if TYPE_CHECKING:
    from m2fp_kd.runtime.parser import Parser
    from m2fp_kd.runtime.parsing import Parsing


def parse_photo(
    parser: "Parser", job: Job, made_from: str, wanted: Wanted, megapixels: float, draft: bool
) -> dict[str, Any]:
    """Write a photo's part map and, if wanted, its mosaic.

    Args:
        parser: loaded artefact.
        job: the photo and the paths of its results.
        made_from: what identifies the origin of the results, which the part map records.
        wanted: results to make.
        megapixels: largest photo, 10^6 pixels.
        draft: let the decoder reduce a large JPEG, as in `Placed.of_file`.

    Returns:
        Paths of the photo and its results, milliseconds by step and, if wanted, `facts`.

    Raises:
        PhotoError: the photo cannot be read.
        OSError: the results cannot be written.
    """
    from m2fp_kd.runtime.files import atomic_path, write_index_png
    from m2fp_kd.runtime.placed import Placed

    parsing = parser(Placed.of_file(job.source, parser.geometry, megapixels, wanted.mosaics, draft))
    parsed = time.perf_counter()
    write_index_png(job.part_map, parsing.part_map, parsing.labels, made_from)
    if wanted.mosaics:
        with atomic_path(job.mosaic) as temporary:
            parsing.mosaic().save(temporary, quality=90, subsampling=0)
    write = time.perf_counter() - parsed
    found = facts(parsing) if wanted.facts else {}
    found["timings_ms"] = _timings(parsing) | {"write": round(1000 * write, 3)}
    mosaic = str(job.mosaic) if wanted.mosaics else None
    return {"photo": str(job.source), "part_map": str(job.part_map), "mosaic": mosaic, **found}


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
