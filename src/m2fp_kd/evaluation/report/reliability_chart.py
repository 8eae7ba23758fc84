"""Draw a reliability diagram for the report's page."""

from html import escape

from m2fp_kd.evaluation.metrics.reliability import Reliability
from m2fp_kd.evaluation.report.curves import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH

SHARES = (0, 0.25, 0.5, 0.75, 1)


def reliability_chart(found: Reliability, name: str) -> str:
    """Return an SVG chart of accuracy over confidence, both in %, with the diagonal of perfect calibration.

    Colours come from the page's CSS classes ``grid``, ``tick``, ``line`` and ``end``.
    """

    def x(confidence: float) -> float:
        return LEFT + confidence * (WIDTH - LEFT - RIGHT)

    def y(accuracy: float) -> float:
        return HEIGHT - BOTTOM - accuracy * (HEIGHT - TOP - BOTTOM)

    marks = [
        f'<line class="grid" x1="{x(0)}" x2="{x(1)}" y1="{y(share)}" y2="{y(share)}"/>'
        f'<text class="tick" x="{LEFT - 7}" y="{y(share) + 3.5}" text-anchor="end">{100 * share:g}</text>'
        f'<text class="tick" x="{x(share)}" y="{HEIGHT - 8}" text-anchor="middle">{100 * share:g}</text>'
        for share in SHARES
    ]
    marks.append(f'<line class="grid" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>')
    points = [
        (x(confidence), y(accuracy))
        for confidence, accuracy in zip(found.confidence, found.accuracy, strict=True)
        if confidence is not None and accuracy is not None
    ]
    path = " ".join(f"{at:.1f},{value:.1f}" for at, value in points)
    dots = "".join(f'<circle class="end" cx="{at:.1f}" cy="{value:.1f}" r="3.5"/>' for at, value in points)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Reliability of {escape(name)}, expected '
        f'calibration error {100 * found.ece:.1f} %">{"".join(marks)}'
        f'<polyline class="line" points="{path}"/>{dots}</svg>'
    )
