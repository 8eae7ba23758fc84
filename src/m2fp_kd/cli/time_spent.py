"""The time that a user waited for photos, and the steps that took it."""

from collections import Counter
from collections.abc import Mapping


class TimeSpent:
    """Sum of the seconds of photos and frames, and of their steps."""

    def __init__(self) -> None:
        self.photos = 0
        self.seconds = 0.0
        self.steps: Counter[str] = Counter()

    def add(self, seconds: float, timings_ms: Mapping[str, float], photos: int = 1) -> None:
        """Add photos or frames.

        Args:
            seconds: time from before the first was read to after the last was written.
            timings_ms: step -> milliseconds of each of them.
            photos: their number.
        """
        self.photos += photos
        self.seconds += seconds
        self.steps.update({step: value * photos for step, value in timings_ms.items()})

    def __str__(self) -> str:
        """Return the mean time of a photo and its steps, longest first; steps below a tenth of a ms are left out.

        >>> spent = TimeSpent()
        >>> spent.add(0.03, {"read": 8, "network": 20, "place": 0.01})
        >>> str(spent)
        '30.0 ms each (network 20.0, read 8.0)'
        """
        steps = [(step, total / self.photos) for step, total in self.steps.most_common()]
        words = ", ".join(f"{step} {value:.1f}" for step, value in steps if value >= 0.1)
        return f"{1000 * self.seconds / self.photos:.1f} ms each" + (f" ({words})" if words else "")
