"""The time that a user waited for photos, and the steps that took it."""

from collections import Counter
from collections.abc import Mapping


class TimeSpent:
    """Seconds of the steps of photos and frames."""

    def __init__(self) -> None:
        self.photos = 0
        self.steps: Counter[str] = Counter()

    def add(self, timings_ms: Mapping[str, float], photos: int = 1) -> None:
        """Add photos or frames.

        Args:
            timings_ms: step -> milliseconds of each of them.
            photos: their number.
        """
        self.photos += photos
        self.steps.update({step: value * photos for step, value in timings_ms.items()})

    def words(self, seconds: float, jobs: int = 1) -> str:
        """Return the mean time of a photo and its steps, longest first; steps below a tenth of a ms are left out.

        Args:
            seconds: time by the clock from before the first photo was read to after the last was written.
            jobs: photos that were parsed at the same time. With several, the steps of a photo add up to more than the
                mean time by the clock.

        >>> spent = TimeSpent()
        >>> spent.add({"read": 8, "network": 20, "place": 0.01})
        >>> spent.words(0.03)
        '30.0 ms each (network 20.0, read 8.0)'
        >>> spent.words(0.015, jobs=2)
        '15.0 ms each, 28.0 ms in one of 2 jobs (network 20.0, read 8.0)'
        """
        steps = [(step, total / self.photos) for step, total in self.steps.most_common()]
        words = f"{1000 * seconds / self.photos:.1f} ms each"
        words += f", {sum(value for _, value in steps):.1f} ms in one of {jobs} jobs" if jobs > 1 else ""
        longest = ", ".join(f"{step} {value:.1f}" for step, value in steps if value >= 0.1)
        return words + (f" ({longest})" if longest else "")
