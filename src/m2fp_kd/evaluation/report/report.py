"""Write a run's report: ``report.json`` for programs, ``report.html`` for people, and ``pictures/``.

The layout of the JSON file is documented in ``results``.
"""

import json
from pathlib import Path
from typing import Any

from m2fp_kd.evaluation.report.page import render
from m2fp_kd.evaluation.report.pictures import Picture, strip
from m2fp_kd.evaluation.report.results import FORMAT, Hop, ModelResult, RunReport, picture_file
from m2fp_kd.evaluation.report.summary import summary_table
from m2fp_kd.runtime.files import atomic_path

__all__ = ["Hop", "ModelResult", "Picture", "RunReport", "read_report", "summary_table", "write_report"]


def write_report(folder: Path, report: RunReport) -> tuple[Path, Path]:
    """Write the pictures, ``report.html`` and finally ``report.json`` into `folder`.

    Returns:
        The paths of the JSON file and of the page.
    """
    folder = Path(folder)
    for index, picture in enumerate(report.pictures):
        with atomic_path(folder / picture_file(index)) as path:
            strip(picture, report.labels).save(path, "JPEG", quality=88, subsampling=0)
    json_path, page_path = folder / "report.json", folder / "report.html"
    with atomic_path(page_path) as path:
        path.write_text(render(report), encoding="utf-8")
    with atomic_path(json_path) as path:
        path.write_text(json.dumps(report.to_dict(), indent=1, allow_nan=False, ensure_ascii=False), encoding="utf-8")
    return json_path, page_path


def read_report(path: Path) -> dict[str, Any]:
    """Read a ``report.json``.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not a report, or its format is not the one that this version reads.
    """
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: is not valid JSON ({error}); delete it and run again") from error
    found = report.get("format") if isinstance(report, dict) else None
    if found != FORMAT:
        raise ValueError(f"{path}: is a report of format {found}, but this version reads format {FORMAT}")
    return report
