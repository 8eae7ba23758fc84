"""Sentences below the table of a benchmark."""

from collections import Counter
from collections.abc import Sequence

from m2fp_kd.evaluation.benchmark.comparison import Row, drift, fastest
from m2fp_kd.evaluation.report.numbers import number, setup
from m2fp_kd.evaluation.report.results import NOTABLE_CORES

STEADY = 1.25
"""Largest ratio between rounds of a steady machine; a larger one suggests that other programs were running."""


def remarks(rows: Sequence[Row]) -> list[str]:
    """Return sentences on labels, the fastest row and the CPU's limit, an unsteady or busy machine, and failures."""
    sentences = [
        f"The labels never name {', '.join(absent)}, which {name} has. If they are labels of another label set, its "
        "mIoU means nothing."
        for name, absent in {row.name: row.absent for row in rows if row.absent}.items()
    ]
    best = fastest(rows)
    if best is not None and best.photo_ms is not None:
        how = setup(best.engine, best.precision, best.threads, best.batch)
        sentence = f"Fastest: {best.name} ({how}), {number(best.photo_ms)} ms per photo"
        if best.gmacs is not None and best.limit_share is not None and best.peak is not None:
            sentence += (
                f"; its {number(best.gmacs)} GMAC ({100 * (best.int8_share or 0):.0f} % INT8) would take "
                f"{100 * best.limit_share:.0f} % of that time at this CPU's peak, measured on large convolutions: "
                f"{best.peak.floating / 1e9:.0f} GMAC/s in {best.precision}, {best.peak.int8 / 1e9:.0f} in INT8"
            )
        sentences.append(f"{sentence}.")
    if drift(rows) > STEADY:
        sentences.append(
            f"The machine was not steady: a median differed by a factor of {drift(rows):.2f} between rounds. Trust "
            "ratios more than absolute times, or measure again while no other program runs."
        )
    busy = [row for row in rows if (row.other_cores or 0) > NOTABLE_CORES]
    if busy:
        most = max(row.other_cores or 0 for row in busy)
        sentences.append(
            f"Other processes used up to {number(most)} cores while {len(busy)} of "
            f"{len(rows)} rows were measured, so their times are too long: measure again while no other program runs."
        )
    troubled = Counter((row.name, row.engine or "default engine", row.problem) for row in rows if row.problem)
    for (name, engine, problem), count in troubled.items():
        sentences.append(f"{name} in {engine} ({count} row{'s' if count > 1 else ''}): {problem}")
    return sentences
