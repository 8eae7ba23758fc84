"""Write a run's report: ``report.json`` for programs, ``report.html`` for people, and ``pictures/``.

The layout of the JSON file is documented in ``results``.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from m2fp_kd.evaluation.report.page import render
from m2fp_kd.evaluation.report.pictures import Picture, PictureFile, strip
from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.runtime.files import atomic_path


def write_report(folder: Path, report: RunReport, pictures: Sequence[Picture] = ()) -> tuple[Path, Path]:
    """Write the pictures, ``report.html`` and finally ``report.json`` into `folder`.

    Args:
        folder: folder of the run.
        report: report to write; its ``pictures`` are replaced by the files written here.
        pictures: photos with the models' part maps.

    Returns:
        The paths of the JSON file and of the page.
    """
    folder = Path(folder)
    files = [PictureFile(picture.name, f"pictures/{number:02d}.jpg") for number, picture in enumerate(pictures, 1)]
    for picture, written in zip(pictures, files, strict=True):
        with atomic_path(folder / written.file) as path:
            strip(picture, report.labels).save(path, "JPEG", quality=88, subsampling=0)
    report = replace(report, pictures=files)
    json_path, page_path = folder / "report.json", folder / "report.html"
    # Names of files may have bytes that are not UTF-8.
    with atomic_path(page_path) as path:
        path.write_text(render(report, pictures), encoding="utf-8", errors="replace")
    with atomic_path(json_path) as path:
        text = json.dumps(report.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
        path.write_text(text, encoding="utf-8", errors="replace")
    return json_path, page_path


def read_report(path: Path) -> RunReport:
    """Read a ``report.json``.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not a report, or its format is not one that this version reads.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: is not valid JSON ({error}); delete it and run again") from error
    try:
        return RunReport.from_dict(values if isinstance(values, dict) else {})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
