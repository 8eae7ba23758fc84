"""Parse frames, several at the same time, and in their order smooth them and give persons their ids."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from m2fp_kd.cli.in_order import in_order

if TYPE_CHECKING:
    from m2fp_kd.runtime.parser import Answer, Parser
    from m2fp_kd.runtime.parsing import Parsing
    from m2fp_kd.runtime.video.reading import Frame

STAGES = 3
"""Times that a frame is worked on in parallel: by the network, to make its part map, and to make its results."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Work:
    """How frames are worked on.

    Attributes:
        jobs: frames that are worked on at the same time.
        ahead: frames in each stage that were begun and whose results were not taken; 1 gives each frame at once.
        megapixels: sum of the sizes of the frames in work, 10^6 pixels.
        smooth: share of the past in the distributions, as in `Smoother`; 0 leaves them as they are.
    """

    jobs: int
    ahead: int
    megapixels: float
    smooth: float


class Parsed(NamedTuple):
    """A parsed frame.

    Attributes:
        frame: the frame.
        parsing: its result.
        ids: of `parsing.people`, in their order.
    """

    frame: "Frame"
    parsing: "Parsing"
    ids: list[int]


class _Answered(NamedTuple):
    """A frame, the network's answer, and whether it begins another scene."""

    frame: "Frame"
    answer: "Answer"
    cut: bool


class _Found(NamedTuple):
    """A frame, its result, and whether it begins another scene."""

    frame: "Frame"
    parsing: "Parsing"
    cut: bool


def parse_frames(
    parser: "Parser", frames: Iterable["Frame"], tick: Fraction, work: Work, finish: Callable[[Parsed], Result]
) -> Generator[Result]:
    """Parse frames and yield what `finish` makes of them, in their order.

    Args:
        parser: loaded artefact.
        frames: frames of one size.
        tick: unit of their times, in seconds.
        work: how they are worked on.
        finish: makes a frame's results; called from threads.

    Raises:
        ValueError: the frames are to be smoothed, and the artefact gives no logits.
    """
    if work.smooth and "part_logits" not in parser.card.outputs:
        raise ValueError("--smooth needs an artefact with part_logits, which this one lacks; export it again")

    def answer(one: tuple["Frame"]) -> tuple["Frame", "Answer"]:
        return one[0], next(parser.answers([one[0].image]))

    def find(one: _Answered) -> _Found:
        return _Found(one.frame, parser.parsing(one.answer), one.cut)

    with ExitStack() as stack:

        def at_once(function: Callable, items: Iterable) -> Iterator:
            most = work.megapixels / STAGES
            return stack.enter_context(closing(in_order(function, items, work.jobs, _megapixels, most, work.ahead)))

        answered = at_once(answer, ((frame,) for frame in frames))
        yield from at_once(finish, _with_ids(at_once(find, _smoothed(answered, work.smooth)), tick))


def _smoothed(answered: Iterable[tuple["Frame", "Answer"]], weight: float) -> Iterator[_Answered]:
    """Find the cuts and smooth the answers in between; `weight` is the share of the past."""
    from m2fp_kd.runtime.video.cuts import Cuts
    from m2fp_kd.runtime.video.smoothing import Smoother

    cuts, smoother = Cuts(), Smoother(weight) if weight else None
    for frame, answer in answered:
        cut = cuts(answer.placed)
        yield _Answered(frame, smoother(answer, cut) if smoother else answer, cut)


def _with_ids(found: Iterable[_Found], tick: Fraction) -> Iterator[Parsed]:
    """Give the people of the frames their ids."""
    from m2fp_kd.runtime.video.tracks import Tracker

    tracker = Tracker()
    for frame, parsing, cut in found:
        yield Parsed(frame, parsing, tracker(parsing, float(frame.ticks * tick), cut))


def _megapixels(item: tuple) -> float:
    """Return the size of the frame that comes first in a tuple, 10^6 pixels."""
    return item[0].image.size / 3e6
