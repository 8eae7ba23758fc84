"""Render the comparison as one self-contained HTML page, without scripts and external requests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from m2fp_kd.data.reading import Photo
from m2fp_kd.evaluation.differences.compare import BROKEN, FIXED, WRONG, Differences, verdict
from m2fp_kd.evaluation.report.html import render_page
from m2fp_kd.evaluation.report.numbers import MISSING, percent, points
from m2fp_kd.evaluation.report.pictures import LONGEST, Picture, data_uri, panels, reduced
from m2fp_kd.labels import LabelSet

COLOURS = {FIXED: (28, 176, 96), BROKEN: (222, 50, 40), WRONG: (90, 90, 100)}
TOTALS = ("fixed", "broken")


@dataclass(frozen=True)
class Shown:
    """A photo on the page, with its change of pixel accuracy and the part maps of both models."""

    photo: Photo
    gain: float
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]


def part_rows(found: Differences, shares: dict[str, float]) -> Iterator[dict[str, str]]:
    """Yield a row for each part, rare parts first, and one for the means: IoU, then boundary IoU."""
    parts = sorted(found.before.iou, key=lambda part: shares[part])
    models = (found.before, found.after)
    borders = [model.boundary for model in models if model.boundary]
    for part in parts:
        pairs = [[model.iou[part] for model in models], [border.iou_of[part] for border in borders]]
        yield _row(part, percent(shares[part]), *pairs)
    yield _row("mean", "", [model.miou for model in models], [border.iou for border in borders])


def _row(name: str, share: str, *pairs: Sequence[float | None]) -> dict[str, str]:
    row = {"part": name, "share %": share}
    for metric, (before, after) in zip(("IoU", "boundary IoU"), pairs, strict=True):
        for moment, value in (("before", before), ("after", after)):
            row[f"{metric} {moment} %"] = MISSING if value is None else percent(value)
        row[f"change of {metric}"] = MISSING if before is None or after is None else points(after - before)
    return row


def render(
    found: Differences, names: tuple[str, str], improved: list[Shown], worsened: list[Shown], labels: LabelSet
) -> str:
    """Return the page as HTML text.

    Args:
        found: scores and changes over all photos.
        names: names of the two models, before and after.
        improved: photos to show that improved.
        worsened: photos to show that got worse.
        labels: label set of both models.
    """
    return render_page(
        "differences",
        names=names,
        rows=list(part_rows(found, found.before.shares(labels))),
        photos=len(found.photos),
        totals={kind: percent(float(np.mean([getattr(one, kind) for one in found.photos]))) for kind in TOTALS},
        chapters={
            "Most improved": _chapter(improved, names, labels),
            "Most worsened": _chapter(worsened, names, labels),
        },
        legend=dict(zip(labels.parts, (f"rgb{colour}" for colour in labels.colours), strict=True)),
        verdicts={"fixed": COLOURS[FIXED], "broken": COLOURS[BROKEN], "wrong in both": COLOURS[WRONG]},
    )


def _chapter(
    shown: list[Shown], names: tuple[str, str], labels: LabelSet
) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return name, change in points and titled pictures of every photo."""
    return [(one.photo.name, points(one.gain), _pictures(one, names, labels)) for one in shown]


def _pictures(one: Shown, names: tuple[str, str], labels: LabelSet) -> list[tuple[str, str]]:
    assert one.photo.parts is not None
    picture = Picture(
        one.photo.name, one.photo.image, {"truth": one.photo.parts, "before": one.before, "after": one.after}
    )
    shown = [*panels(picture, labels).values(), _changes(picture, labels)]
    return list(zip(("Photo", "Truth", *names, "Changes"), map(data_uri, shown), strict=True))


def _changes(picture: Picture, labels: LabelSet) -> Image.Image:
    """Return the photo in light grey with the verdicts in colour."""
    small = reduced(picture, LONGEST)
    grey = np.asarray(Image.fromarray(small.photo).convert("L"), np.float32)[..., None]
    drawn = np.repeat(110 + 0.5 * grey, 3, axis=2)
    found = verdict(small.maps["truth"], small.maps["before"], small.maps["after"], labels.ignore_index)
    for kind, colour in COLOURS.items():
        drawn[found == kind] = 0.25 * drawn[found == kind] + 0.75 * np.array(colour, np.float32)
    return Image.fromarray(drawn.clip(0, 255).astype(np.uint8))
