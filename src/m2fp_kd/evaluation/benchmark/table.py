"""Format the rows of a benchmark as tables for people, spreadsheets and terminals."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from m2fp_kd.evaluation.benchmark.comparison import Compared, Row, baselines
from m2fp_kd.evaluation.report.numbers import MISSING, number, percent

# Column -> its text.
COLUMNS: dict[str, Callable[[Row], str | None]] = {
    "Model": lambda row: row.name,
    "Engine": lambda row: row.engine,
    "Precision": lambda row: row.precision,
    "Threads": lambda row: str(row.threads),
    "Batch": lambda row: str(row.batch),
    "Network": lambda row: "x".join(map(str, row.network)) if row.network else None,
    "mIoU %": lambda row: _text(row.miou, percent),
    "Boundary IoU %": lambda row: _text(row.boundary_iou, percent),
    "Boundary F %": lambda row: _text(row.boundary_f, percent),
    "p50 ms": lambda row: _text(row.p50_ms, number),
    "p95 ms": lambda row: _text(row.p95_ms, number),
    "Photos/s": lambda row: _text(row.photos_per_second, number),
    "Load ms": lambda row: _text(row.load_ms, _whole),
    "First ms": lambda row: _text(row.first_ms, _whole),
    "Restart ms": lambda row: _text(row.restart_ms, _whole),
    "Peak MB": lambda row: _text(row.peak_mb, _whole),
    "Inference MB": lambda row: _text(row.inference_mb, _whole),
    "Disk MB": lambda row: _text(row.megabytes, number),
    "% of limit": lambda row: _text(row.limit_share, _whole_percent),
    "Front": lambda row: "●" if row.on_front else None,
}
TEXT_COLUMNS = 3
"""Number of columns that hold text; the others hold numbers."""


def table(rows: Sequence[Row]) -> list[dict[str, str | None]]:
    """Return rows for people, columns as texts, without columns that are empty in every row."""
    lines = [{column: text(row) for column, text in COLUMNS.items()} | _comparisons(row, rows) for row in rows]
    filled = [column for column in lines[0] if any(line[column] for line in lines)]
    return [{column: line[column] for column in filled} for line in lines]


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows for a spreadsheet: the fields of `Row`, with one column for each quantity of each comparison."""
    lines = []
    for row in rows:
        line = asdict(row) | {"photo_ms": row.photo_ms, "photos_per_second": row.photos_per_second}
        del line["compared"], line["round_p50_ms"], line["peak"], line["absent"]
        line["network"] = COLUMNS["Network"](row)
        for name in baselines(rows):
            against = asdict(row.compared.get(name, Compared()))
            line |= {f"{quantity} {name}": value for quantity, value in against.items()}
        lines.append(line)
    return lines


def as_text(lines: Sequence[dict[str, str | None]]) -> str:
    """Return the table as text for a terminal."""
    cells = [list(lines[0]), *([text or MISSING for text in line.values()] for line in lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    text = [
        "  ".join(
            cell.ljust(width) if index < TEXT_COLUMNS else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    text.insert(1, "─" * len(max(text, key=len)))
    return "\n".join(text)


def _comparisons(row: Row, rows: Sequence[Row]) -> dict[str, str | None]:
    texts: dict[str, str | None] = {}
    for name in baselines(rows):
        against = row.compared.get(name, Compared())
        quantities = (
            (against.faster, number, "×"),
            (against.disk_share, percent, " % disk"),
            (against.memory_share, percent, " % memory"),
        )
        known = [f"{write(value)}{unit}" for value, write, unit in quantities if value is not None]
        texts[f"Against {name}"] = " · ".join(known) or None
    return texts


def _text(value: float | None, write: Callable[[float], str]) -> str | None:
    return None if value is None else write(value)


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _whole_percent(share: float) -> str:
    return f"{100 * share:.0f}"
