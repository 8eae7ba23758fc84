"""Give persons ids that they keep from frame to frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import dist, hypot

from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.video.appearance import Appearance

Place = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

MEMORY = 2.0
"""Seconds for which a person who is out of sight is remembered."""

REACH = 0.5
"""Distance, in diagonals of the box, by which a person may be away from where the motion leads."""

REACH_GROWTH = 1.0
"""Growth of this distance, per second out of sight."""

LEAST_SIMILARITY = 0.6
"""Persons whose parts are less alike are different ones. One person's photos a moment apart have 0.9 and more."""

COVERED = 0.5
"""Share of a person's box that another's covers where it hides the person."""

GROWN = 1.25
"""Growth of a box from which it holds two persons, as connected regions of people who touch do."""

NEWER = 0.2
"""Weight of a frame in the remembered appearance of a person."""

CORRECTION = 0.4
"""Share of the difference from the expected place by which the motion is corrected."""

APPEARANCE_WEIGHT = 5.0
"""Weight of the similarity of the parts, where the overlap of the boxes has 1: two persons who meet may turn back."""

PREFERENCE = 0.2
"""Advantage of persons that the last frame showed, so that two persons in one region do not swap their ids."""


@dataclass(frozen=True)
class Seen:
    """A person in a frame: box and appearance."""

    box: Place
    appearance: Appearance


@dataclass(eq=False)
class Track:
    """A person over time.

    Attributes:
        id: number of the person, from 1.
        box: last box, moved on to the time `now`.
        appearance: mean of the appearances.
        last: time of the last sight, in seconds.
        now: time that `box` is for, in seconds.
        speed: motion of the box's centre, pixels a second, right and down.
    """

    id: int
    box: Place
    appearance: Appearance
    last: float
    now: float
    speed: tuple[float, float] = (0.0, 0.0)

    def move(self, now: float) -> None:
        """Move the box to where the motion leads."""
        right, down = (speed * (now - self.now) for speed in self.speed)
        left, top, end, bottom = self.box
        self.box, self.now = (left + right, top + down, end + right, bottom + down), now

    def score(self, seen: Seen, before: float | None) -> float | None:
        """Return how well a person in a frame fits, or None if it is another one; `before` is the last frame's time."""
        out_of_sight = self.now - self.last
        if _distance(self.box, seen.box) > (REACH + REACH_GROWTH * out_of_sight) * _diagonal(self.box):
            return None
        similarity = self.appearance.similarity(seen.appearance)
        similarity = LEAST_SIMILARITY if similarity is None else similarity
        if similarity < LEAST_SIMILARITY:
            return None
        return overlap(self.box, seen.box) + APPEARANCE_WEIGHT * similarity + PREFERENCE * (self.last == before)

    def see(self, seen: Seen, hides: bool) -> None:
        """Take over what a frame shows.

        Args:
            seen: the person in the frame.
            hides: another person is hidden behind this one or in the same region, so the colours may be the other's.
        """
        seconds, self.last = self.now - self.last, self.now
        if hides and _area(seen.box) > GROWN * _area(self.box):
            return
        if seconds > 0:
            away = zip(_centre(self.box), _centre(seen.box), strict=True)
            right, down = (CORRECTION * (there - here) / seconds for here, there in away)
            self.speed = (self.speed[0] + right, self.speed[1] + down)
        self.box = seen.box
        if not hides:
            self.appearance = self.appearance.mixed(seen.appearance, NEWER)


class Tracker:
    """Matches the people of each frame with the persons of the frames before.

    The best pairs come first, by the overlap of the boxes, moved on with the person's motion, and by the likeness of
    the parts' colours. A person who is hidden, or whose connected region touches another's, keeps moving in memory for
    two seconds and is recognised afterwards. A cut ends all ids.
    """

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._known = 0
        self._before: float | None = None

    def __call__(self, parsing: Parsing, seconds: float, cut: bool = False) -> list[int]:
        """Return the ids of `parsing.people`, in their order.

        Args:
            parsing: the next frame's.
            seconds: its time, later than the last one's.
            cut: the frame begins another scene.
        """
        people = [Seen(person.box, Appearance.of(parsing, person)) for person in parsing.people]
        kept = [] if cut else [track for track in self._tracks if seconds - track.last <= MEMORY]
        for track in kept:
            track.move(seconds)
        found = self._matched(kept, people)
        hidden = [track for track in kept if track not in found.values()]
        for index, track in found.items():
            box = people[index].box
            track.see(people[index], any(covered(other.box, box) >= COVERED for other in hidden))
        for index in range(len(people)):
            if index not in found:
                found[index] = self._new(people[index], seconds)
        self._tracks, self._before = [*found.values(), *hidden], seconds
        return [found[index].id for index in range(len(people))]

    def _matched(self, tracks: Sequence[Track], people: Sequence[Seen]) -> dict[int, Track]:
        """Return the track of each matched person by the person's index, best pairs first."""
        scores = {
            (index, number): score
            for index, seen in enumerate(people)
            for number, track in enumerate(tracks)
            if (score := track.score(seen, self._before)) is not None
        }
        found: dict[int, Track] = {}
        for index, number in sorted(scores, key=lambda pair: -scores[pair]):
            if index not in found and tracks[number] not in found.values():
                found[index] = tracks[number]
        return found

    def _new(self, seen: Seen, seconds: float) -> Track:
        self._known += 1
        return Track(self._known, seen.box, seen.appearance, seconds, seconds)


def overlap(one: Place, other: Place) -> float:
    """Return the intersection over union of two boxes, 0..1."""
    both = _common(one, other)
    return both / (_area(one) + _area(other) - both)


def covered(one: Place, other: Place) -> float:
    """Return the share of a box that another covers, 0..1."""
    return _common(one, other) / _area(one)


def _common(one: Place, other: Place) -> float:
    left, top = max(one[0], other[0]), max(one[1], other[1])
    return max(0.0, min(one[2], other[2]) - left) * max(0.0, min(one[3], other[3]) - top)


def _area(box: Place) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _centre(box: Place) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _diagonal(box: Place) -> float:
    return hypot(box[2] - box[0], box[3] - box[1])


def _distance(one: Place, other: Place) -> float:
    return dist(_centre(one), _centre(other))
