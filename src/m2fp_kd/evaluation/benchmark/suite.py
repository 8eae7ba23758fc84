"""Run a benchmark from its options to its files: measure in turns, score, compare, draw."""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from m2fp_kd.data.layouts import held_out_split
from m2fp_kd.data.spacing import evenly_spaced
from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.evaluation.benchmark.candidates import Candidate, list_candidates
from m2fp_kd.evaluation.benchmark.comparison import Row, compare, mark_front, measured, scored, with_problem
from m2fp_kd.evaluation.benchmark.cpu_limit import peak_tasks, with_limits
from m2fp_kd.evaluation.benchmark.page import benchmark_page
from m2fp_kd.evaluation.benchmark.remarks import remarks
from m2fp_kd.evaluation.benchmark.score import Settings, count_photos, score_in_process
from m2fp_kd.evaluation.benchmark.table import as_text, plain, table
from m2fp_kd.evaluation.benchmark.turns import take_turns
from m2fp_kd.evaluation.report.pareto import Point, draw_front
from m2fp_kd.evaluation.report.tables import as_csv, as_markdown
from m2fp_kd.evaluation.speed.cpu import describe_cpu
from m2fp_kd.evaluation.speed.measure import Measurement
from m2fp_kd.evaluation.speed.process import ProcessError
from m2fp_kd.runtime.files import atomic_path, find_photos
from m2fp_kd.runtime.geometry import read_photo

FORMAT = 1
PHOTOS = 8


@dataclass(frozen=True)
class Benchmark:
    """Content of ``benchmark.json``, to which ``format`` adds the number of this layout.

    Attributes:
        created: time in ISO 8601 with time zone.
        cpu: description of the CPU.
        photos: description of the parsed photos.
        rounds: number of measurements of every candidate.
        scored_on: description of the photos that were scored; None if nothing was scored.
        rows: one row per candidate, baselines first.
        notes: remarks on the benchmark.
    """

    created: str
    cpu: dict[str, Any]
    photos: str
    rounds: int
    scored_on: str | None
    rows: list[Row]
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the layout above."""
        return {"format": FORMAT} | asdict(self)

    @property
    def title(self) -> str:
        """Photos and CPU."""
        return f"{self.photos}, {self.cpu['model']}"

    @property
    def text(self) -> str:
        """Table and notes for a terminal."""
        return "\n".join([as_text(table(self.rows)), "", *self.remarks])

    @property
    def markdown(self) -> str:
        """Table and notes as Markdown."""
        return "\n".join([as_markdown(table(self.rows)), "", *(f"- {line}" for line in self.remarks)])

    @property
    def remarks(self) -> list[str]:
        """Sentences below the table."""
        rounds = f"{self.rounds} round{'s' if self.rounds > 1 else ''}"
        features = ", ".join(self.cpu["features"] or ["features unknown"])
        return [
            f"{self.cpu['model']} ({features}); {self.photos}; {rounds}. Times are per call, from decoded pixels to "
            "part maps at the photos' size.",
            *([f"mIoU on {self.scored_on}."] if self.scored_on else []),
            *self.notes,
        ]


def run(options: argparse.Namespace) -> Benchmark:
    """Measure, score and compare, with the options of `command`.

    Raises:
        FileNotFoundError: the photos or labels are missing.
    """
    candidates = list_candidates(
        options.artefacts, options.baseline, options.engines, options.precision, options.threads, options.batch
    )
    source, scored_on = options.photos, None
    if options.data:
        split = held_out_split(options.data)
        source = source or options.data / split / "Images"
        scored_on = f"{count_photos(options.data, options.limit)} photos of {options.data.name}/{split}"
    with tempfile.TemporaryDirectory() as folder, _nothing_compiled():
        photos = write_photos(Path(folder), options.size, source)
        tasks = {str(one): partial(one.measure, Path(folder), options.seconds) for one in candidates}
        results = take_turns(tasks | peak_tasks(candidates), options.rounds)
    candidates, rows = distinct_rows(candidates, results)
    if options.data:
        rows = with_scores(candidates, rows, options.data, options.limit)
    rows = with_limits(candidates, rows, results)
    rows = mark_front(compare(rows))
    created = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    cpu = asdict(describe_cpu())
    return Benchmark(created, cpu, photos, options.rounds, scored_on, rows, remarks(rows))


def write_photos(folder: Path, size: int, source: Path | None = None) -> str:
    """Write the photos to parse into a folder, as PNG with the longest side resized to `size` pixels.

    Args:
        folder: folder to write to.
        size: longest side of the photos.
        source: folder of photos, of which a few evenly spaced ones are used; None for synthetic scenes.

    Returns:
        Description of the photos.

    Raises:
        FileNotFoundError: the folder holds no photo.
    """
    if source is None:
        photos = [draw_scene(seed, size, (1, 3)).image for seed in range(PHOTOS)]
    else:
        files = find_photos(source)
        if not files:
            raise FileNotFoundError(f"no photos under {source}")
        photos = [read_photo(file) for file in evenly_spaced(files, PHOTOS)]
    for index, photo in enumerate(photos):
        height, width = photo.shape[:2]
        sides = [max(1, round(side * size / max(height, width))) for side in (width, height)]
        resized = Image.fromarray(photo).resize((sides[0], sides[1]), Image.Resampling.BILINEAR)
        resized.save(folder / f"{index:02d}.png", compress_level=1)
    kind = "synthetic scenes" if source is None else "photos"
    return f"{len(photos)} {kind} of {size} pixels (longest side)"


def distinct_rows(
    candidates: Sequence[Candidate], results: Mapping[str, list[Any] | ProcessError]
) -> tuple[list[Candidate], list[Row]]:
    """Return candidates with their rows; candidates that ran identically ("auto" may choose f32) share a row."""
    pooled: dict[tuple, tuple[Candidate, list[Measurement]]] = {}
    rows = {}
    for one in candidates:
        result = results[str(one)]
        requested = Row(one.name, one.baseline, one.engine, one.precision, one.threads, one.batch)
        if isinstance(result, ProcessError):
            rows[one] = with_problem(requested, result.reason)
        else:
            actual = (one.name, result[-1].engine, result[-1].precision, one.threads, one.batch)
            first, measurements = pooled.setdefault(actual, (one, []))
            measurements += result
            rows[first] = measured(rows.get(first, requested), measurements)
    return list(rows), list(rows.values())


def with_scores(candidates: Sequence[Candidate], rows: Sequence[Row], root: Path, limit: int | None) -> list[Row]:
    """Add the mIoU to the rows, scored once for every artefact, engine and precision."""

    def key(one: Candidate, row: Row) -> str:
        return f"{one.name}, {row.engine} {row.precision}"

    pairs = list(zip(candidates, rows, strict=True))
    tasks = {
        key(one, row): partial(
            score_in_process, one.artefact, root, Settings(row.engine, one.threads, one.precision, limit)
        )
        for one, row in pairs
        if one.artefact is not None and row.photo_ms is not None
    }
    scores = take_turns(tasks, verb="scoring")
    return [_with_score(row, scores.get(key(one, row))) for one, row in pairs]


def picture_points(rows: Sequence[Row]) -> list[Point]:
    """Return the points of the picture: the measured rows with the smallest batch and the most threads.

    For each file and engine it shows the fastest precision, and other precisions that are on the front.
    """
    chosen = [(ms, row) for row in rows if (ms := row.photo_ms) is not None and _drawn_together(row, rows)]
    quickest: dict[tuple[str, str | None], float] = {}
    for ms, row in chosen:
        quickest[row.name, row.engine] = min(ms, quickest.get((row.name, row.engine), ms))
    by_miou = scored(rows)
    points = []
    for ms, row in chosen:
        if row.on_front or ms == quickest[row.name, row.engine]:
            value = row.megabytes if not by_miou else None if row.miou is None else 100 * row.miou
            points.append(Point(row.name, f"{row.engine}, {row.precision}", ms, value, row.on_front))
    return points


def write(benchmark: Benchmark, folder: Path) -> None:
    """Write ``benchmark.html``, ``.json``, ``.csv`` and ``.md`` and, if anything was measured, ``pareto.svg``."""
    scored_on = f" · mIoU on {benchmark.scored_on}" if benchmark.scored_on else ""
    heading, picture = f"{benchmark.title}{scored_on}", benchmark_picture(benchmark)
    texts = {
        "benchmark.html": benchmark_page(heading, picture, table(benchmark.rows), benchmark.remarks),
        "benchmark.json": json.dumps(benchmark.to_dict(), indent=1, ensure_ascii=False),
        "benchmark.csv": as_csv(plain(benchmark.rows)),
        "benchmark.md": benchmark.markdown,
    }
    if picture:
        texts["pareto.svg"] = picture
    for name, text in texts.items():
        with atomic_path(folder / name) as path:
            path.write_text(text + "\n", encoding="utf-8")


def benchmark_picture(benchmark: Benchmark) -> str | None:
    """Return the Pareto front as SVG; None if nothing was measured."""
    points = picture_points(benchmark.rows)
    if not any(point.value is not None for point in points):
        return None
    by_miou = scored(benchmark.rows)
    shown = next(row for row in benchmark.rows if _drawn_together(row, benchmark.rows))
    title = f"{benchmark.title}, threads {shown.threads}, batch {shown.batch}"
    return draw_front(points, "mIoU %" if by_miou else "MB on disk (log)", title, not by_miou)


@contextmanager
def _nothing_compiled() -> Iterator[None]:
    """Give the engines an empty cache, so that the first round is a first start and later rounds are restarts."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            yield
        finally:
            del os.environ["XDG_CACHE_HOME"]
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def _with_score(row: Row, score: list[dict[str, Any]] | ProcessError | None) -> Row:
    if score is None:
        return row
    if isinstance(score, ProcessError):
        return with_problem(row, f"not scored: {score.reason}")
    found, borders = score[0], score[0]["boundary"]
    return replace(
        row, miou=found["miou"], boundary_iou=borders["iou"], boundary_f=borders["f"], absent=found["absent"]
    )


def _drawn_together(row: Row, rows: Sequence[Row]) -> bool:
    smallest_batch = min((one.batch for one in rows if not one.baseline), default=1)
    return row.threads == max(one.threads for one in rows) and row.batch == smallest_batch
