"""Format numbers in the same way in tables, pages, cards and error messages."""

from m2fp_kd.runtime.checks import LABELS, Hop

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
    """Format the result of a hop's gate in one line: its figures, what they are measured against, and broken limits."""
    mark = "✓ passed" if hop.passed else "✗ FAILED"
    text = f"{mark}  {hop.hop}: {100 * hop.pixel_agreement:.2f} % of pixels agree"
    if hop.miou_change is not None:
        text += f", mIoU {points(hop.miou_change, hop.miou_error, 2)}{_against(hop)}"
    if hop.boundary_change is not None:
        text += f", boundary IoU {points(hop.boundary_change, hop.boundary_error, 2)}"
    if hop.worst_part is not None and hop.worst_part_change is not None:
        text += f", largest loss: {hop.worst_part} {points(hop.worst_part_change)}"
    return f"{text}; broken: {'; '.join(broken_limits(hop))}" if hop.failed else text


def broken_limits(hop: Hop) -> list[str]:
    """Describe each limit of a gate that does not hold, with the figure that breaks it."""
    return [_broken_limit(hop, name, hop.thresholds[name]) for name in hop.failed]


def limit_words(limit: float, name: str) -> str:
    """Describe a limit of a gate, in the unit of the figure that it limits."""
    if name == "min_pixel_agreement":
        return f"≥ {100 * limit:g} % of pixels agree"
    scores = {"max_miou_drop": "mIoU", "max_boundary_drop": "boundary IoU", "max_part_drop": "IoU, for any part"}
    return f"≤ {limit:g} points of {scores[name]}"


def _broken_limit(hop: Hop, name: str, limit: float) -> str:
    if name == "min_pixel_agreement":
        return f"only {100 * hop.pixel_agreement:.2f} % of pixels agree (at least {100 * limit:g} %)"
    if name in ("max_miou_drop", "max_boundary_drop"):
        of_miou = name == "max_miou_drop"
        score, change = ("mIoU", change_of(hop)) if of_miou else ("boundary IoU", boundary_change_of(hop))
        return f"{change} points of {score}{_against(hop)} (at most {limit:g} lost with 95 % confidence)"
    return f"{hop.worst_part} lost most, {_points(hop.worst_part_change)} points of IoU (at most {limit:g} lost)"


def change_of(hop: Hop) -> str:
    """Format a hop's change in mIoU in percentage points, with its standard error if known: "−0.48 ± 0.14"."""
    return _points(hop.miou_change, hop.miou_error)


def boundary_change_of(hop: Hop) -> str:
    """Format a hop's change in mean boundary IoU likewise."""
    return _points(hop.boundary_change, hop.boundary_error)


def _points(change: float | None, error: float | None = None) -> str:
    return MISSING if change is None else points(change, error, 2)


def _against(hop: Hop) -> str:
    return "" if hop.truth == LABELS else f" against {hop.truth}"


def number(value: float) -> str:
    """Format a number with three significant figures, but no fewer than its integer digits: 0.85, 8.04, 12.7, 253."""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}"
