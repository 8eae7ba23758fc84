"""Format numbers in the same way in tables, pages, cards and error messages."""

from m2fp_kd.runtime.checks import LABELS, Hop, SourceChange

MISSING = "–"


def percent(share: float) -> str:
    """Format a share (0..1) as percent with one decimal."""
    return f"{100 * share:.1f}"


def points(change: float, error: float | None = None, decimals: int = 1) -> str:
    """Format a difference of shares as signed percentage points, with its standard error if given: "−0.48 ± 0.14"."""
    text = f"{100 * change:+.{decimals}f}".replace("-", "−")
    text = text if text.strip("+−0.") else text[1:]
    return text if error is None else f"{text} ± {100 * error:.{decimals}f}"


def setup(engine: str | None, precision: str | None, threads: int | None, batch: int = 1) -> str:
    """Describe how something was measured, such as "openvino · f32 · 2 threads"; leave out what is unknown."""
    counted = f"{threads} thread{'s' if threads > 1 else ''}" if threads else None
    batched = f"batch {batch}" if batch > 1 else None
    return " · ".join(fact for fact in (engine, precision, counted, batched) if fact)


def verdict(hop: Hop) -> str:
    """Format the result of a hop's gate: a line with its figures and broken limits, then one for each source."""
    mark = "✓ passed" if hop.passed else "✗ FAILED"
    start = f"{mark}  {hop.hop}: {100 * hop.pixel_agreement:.2f} % of pixels agree, "
    sources = [_result(f"          on {one.source}: ", one, hop) for one in hop.sources]
    return "\n".join([_result(start, hop, hop), *sources])


def broken_limits(hop: Hop) -> list[str]:
    """Describe each limit of a gate that does not hold, with the figure that breaks it."""
    broken = [_broken_limit(hop, name, hop) for name in hop.failed]
    return broken + [f"on {one.source}, {_broken_limit(one, name, hop)}" for one in hop.sources for name in one.failed]


def checked_limits(hop: Hop) -> list[str]:
    """Describe each limit of a gate whose figure was measured, in the unit of that figure."""
    scores = {"max_miou_drop": "mIoU", "max_boundary_drop": "boundary IoU", "max_part_drop": "IoU, for any part"}
    changes = {"max_miou_drop": "miou_change", "max_boundary_drop": "boundary_change", "max_part_drop": "worst_part"}
    measured = {
        name: any(getattr(one, figure) is not None for one in (hop, *hop.sources)) for name, figure in changes.items()
    }
    return [
        f"≤ {limit:g} points of {scores[name]}" if name in scores else f"≥ {100 * limit:g} % of pixels agree"
        for name, limit in hop.thresholds.items()
        if measured.get(name, True)
    ]


def most_lost(change: Hop | SourceChange) -> str:
    """Name the part whose IoU fell most, with its change."""
    return f"{change.worst_part} lost most, {_points(change.worst_part_change)} points of IoU"


def change_of(change: Hop | SourceChange) -> str:
    """Format a change in mIoU in percentage points, with its standard error if known: "−0.48 ± 0.14"."""
    return _points(change.miou_change, change.miou_error)


def boundary_change_of(change: Hop | SourceChange) -> str:
    """Format a change in mean boundary IoU as `change_of` does."""
    return _points(change.boundary_change, change.boundary_error)


def _result(start: str, change: Hop | SourceChange, hop: Hop) -> str:
    """Format the figures of a hop, or of one of its sources, and the limits that they break."""
    scored = change.miou_change is not None
    text = f"{start}mIoU {change_of(change)}{_against(change)}" if scored else f"{start}no labels to score mIoU against"
    if change.boundary_change is not None:
        text += f", boundary IoU {boundary_change_of(change)}"
    if change.worst_part is not None and change.worst_part_change is not None:
        text += f", largest loss: {change.worst_part} {points(change.worst_part_change)}"
    broken = "; ".join(_broken_limit(change, name, hop) for name in change.failed)
    return f"{text}; broken: {broken}" if broken else text


def _broken_limit(change: Hop | SourceChange, name: str, hop: Hop) -> str:
    limit = hop.thresholds[name]
    if name == "min_pixel_agreement":
        return f"only {100 * hop.pixel_agreement:.2f} % of pixels agree (at least {100 * limit:g} %)"
    if name == "max_part_drop":
        return f"{most_lost(change)} (at most {limit:g} lost)"
    of_miou = name == "max_miou_drop"
    lost, score = (change_of(change), "mIoU") if of_miou else (boundary_change_of(change), "boundary IoU")
    return f"{lost} points of {score}{_against(change)} (at most {limit:g} lost with 95 % confidence)"


def _points(change: float | None, error: float | None = None) -> str:
    return MISSING if change is None else points(change, error, 2)


def _against(change: Hop | SourceChange) -> str:
    truth = change.truth if isinstance(change, Hop) else LABELS
    return "" if truth == LABELS else f" against {truth}"


def number(value: float) -> str:
    """Format a number with three significant figures, but no fewer than its integer digits: 0.85, 8.04, 12.7, 253."""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}"
