"""Format rows with equal columns as Markdown and CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown table; None becomes a dash."""
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [["–" if value is None else str(value).replace("|", "\\|") for value in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a CSV table with a header; None becomes an empty field."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().rstrip("\n")
