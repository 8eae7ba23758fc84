"""One Parquet table with a row for each photo of `m2fp-kd parse --ray`.

Rows are first appended to a hidden file, one JSON line each, of which an interruption can tear the last only.
`--resume` takes the rows of finished photos from there.
"""

import json
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from m2fp_kd.cli.jobs import ENDINGS, Job, Wanted
from m2fp_kd.cli.outcomes import Outcome
from m2fp_kd.command import one_line

if TYPE_CHECKING:
    import pyarrow

TABLE = "results.parquet"
LINES = ".results.jsonl"

OURS = b"m2fp-kd"
"""Key of the table's metadata whose value is the version that wrote it."""

TOGETHER = 10_000
"""Rows in memory at the same time: a row group of the table."""


class Rows:
    """The rows of a folder of results, on disk.

    Args:
        output: folder of the results.
        keep: keep the rows of an earlier call.

    Raises:
        ValueError: the folder has a table that another program wrote.
        OSError: the rows cannot be written.
    """

    def __init__(self, output: Path, keep: bool) -> None:
        import pyarrow.parquet

        self.table, self.lines = output / TABLE, output / LINES
        if self.table.exists() and OURS not in (pyarrow.parquet.read_schema(self.table).metadata or {}):
            raise ValueError(f"{self.table}: was not written by m2fp-kd and would be replaced; choose another with -o")
        self.places: dict[tuple[str, str], int] = {}
        self.failed: set[tuple[str, str]] = set()
        with self.lines.open("a+b" if keep else "w+b") as file:
            self._find(file)

    def _find(self, file: IO[bytes]) -> None:
        """Find the rows of an earlier call, and cut a torn one off."""
        file.seek(0)
        place = 0
        for line in file:
            if not line.endswith(b"\n"):
                file.truncate(place)
                break
            row = json.loads(line)
            self._note((row["photo"], row["made_from"]), place, "error" in row)
            place += len(line)

    def _note(self, key: tuple[str, str], place: int, failed: bool) -> None:
        self.places[key] = place
        (self.failed.add if failed else self.failed.discard)(key)

    def has(self, job: Job, made_from: str) -> bool:
        """Return whether there is the row of a photo that was parsed, from the same source and settings."""
        key = (job.name, made_from)
        return key in self.places and key not in self.failed

    def add(self, job: Job, made_from: str, outcome: Outcome) -> None:
        """Append the row of a photo.

        Raises:
            OSError: it cannot be written; the error names the file.
        """
        from m2fp_kd.runtime.files import named

        key, failed = (job.name, made_from), isinstance(outcome, Exception)
        row = {"error": one_line(outcome)} if isinstance(outcome, Exception) else outcome
        line = json.dumps({"photo": key[0], "made_from": made_from} | row).encode() + b"\n"
        with named(self.lines), self.lines.open("ab") as file:
            self._note(key, file.tell(), failed)
            file.write(line)

    def write_table(self, jobs: Mapping[Job, str], wanted: Wanted, licence: str | None) -> int:
        """Write the table, with one row for each photo in the order of the jobs; return their number.

        Args:
            jobs: all photos, each with what identifies the origin of its results.
            wanted: results that were made.
            licence: licence of the artefact, which covers its results; None where it is not known.

        Raises:
            OSError: it cannot be written.
        """
        import pyarrow
        from pyarrow.parquet import ParquetWriter

        from m2fp_kd import __version__
        from m2fp_kd.runtime.files import atomic_path

        rows = self._rows(jobs, wanted)
        columns = schema().with_metadata({OURS: __version__, "licence": licence or ""})
        count = 0
        with atomic_path(self.table) as temporary, ParquetWriter(temporary, columns) as writer:
            while some := list(islice(rows, TOGETHER)):
                writer.write_table(pyarrow.Table.from_pylist(some, columns))
                count += len(some)
        return count

    def _rows(self, jobs: Mapping[Job, str], wanted: Wanted) -> Iterator[dict[str, Any]]:
        with self.lines.open("rb") as file:
            for job, made_from in jobs.items():
                if (place := self.places.get((job.name, made_from))) is not None:
                    file.seek(place)
                    yield row_of(job, wanted, json.loads(file.readline()))


def schema() -> "pyarrow.Schema":
    """Return the columns of the table; docs/guides/scale.md describes them."""
    import pyarrow as pa

    person = pa.struct([("score", pa.float64()), ("box", pa.list_(pa.int32()))])
    shares = pa.map_(pa.string(), pa.float64())
    return pa.schema(
        [
            ("photo", pa.string()),
            ("results", pa.map_(pa.string(), pa.string())),
            ("parts", shares),
            ("people_kind", pa.string()),
            ("people_count", pa.int32()),
            ("people", pa.list_(person)),
            ("timings_ms", shares),
            ("made_from", pa.string()),
            ("error", pa.string()),
        ]
    )


def row_of(job: Job, wanted: Wanted, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the table.

    Args:
        job: the photo.
        wanted: results that were made.
        found: what `parse_photo` returned, or `error`, and `made_from`.
    """
    row = {"photo": _text(job.name), "made_from": found["made_from"]}
    if "error" in found:
        return row | {"error": _text(found["error"])}
    paths = [(kind, _text(str(job.path(kind)))) for kind in wanted.kinds if kind in ENDINGS]
    maps = {"parts": list(found["parts"].items()), "timings_ms": list(found["timings_ms"].items())}
    people = {"people": found["people"], "people_count": len(found["people"]), "people_kind": found["people_kind"]}
    return row | {"results": paths} | maps | people


def _text(text: str) -> str:
    """Return a text with the bytes of a file name that are no UTF-8 escaped, since Parquet has no others."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
