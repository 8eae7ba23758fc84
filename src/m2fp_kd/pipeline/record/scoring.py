"""Score models on the photos of a run: with the student's labels, and on every source of a mix in its own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.layouts import Record
from m2fp_kd.data.reading import Photo, read_record
from m2fp_kd.evaluation.metrics.evaluate import Scores, evaluate_in_source, evaluate_parsings
from m2fp_kd.evaluation.metrics.reliability import label_at_cells, reliability, tally
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.parsing import Parsing

ParsePhoto = Callable[[Photo], Parsing]


@dataclass(frozen=True)
class ModelScores:
    """Scores of a model on the photos of a run.

    Attributes:
        own: scores on the photos with the student's labels; None without such photos.
        sources: mIoU on every source of a mix in its own labels; empty without a mix.
    """

    own: Scores | None
    sources: dict[str, float]

    @property
    def fields(self) -> dict[str, Any]:
        """The scores as fields of a `ModelResult`."""
        if self.own is None:
            return {"sources": self.sources}
        names = ("miou", "miou_absent_zero", "iou", "instances", "boundary", "reliability")
        return {name: getattr(self.own, name) for name in names} | {"sources": self.sources}


class Scoring:
    """The photos that models are scored on: the test photos of each source, or without them its validation photos.

    Args:
        datamodule: photos and labels of the run.
        fallback: returns the truth of unlabelled photos; None if all have labels.

    Attributes:
        own: photos with the student's labels.
        own_sources: names of the sources with the student's labels.
        mixed: whether sources are scored in labels of their own.
        photos: description of the photos with the student's labels.
    """

    def __init__(self, datamodule: ParsingDataModule, fallback: ParsePhoto | None) -> None:
        self.labels = datamodule.labels
        self.tables = datamodule.part_sets
        self.sources = datamodule.scored
        self.fallback = fallback
        self.source_of = {record: name for name, records in self.sources.items() for record in records}
        self.own_sources = [name for name in self.sources if self.tables[name].one_to_one]
        self.own = [record for name in self.own_sources for record in self.sources[name]]
        self.mixed = len(self.tables) > 1 or not self.own_sources
        self.photos = _kind(self.own, datamodule, self.own_sources if self.mixed else [])

    def read(self, record: Record) -> Photo:
        """Read a photo; an unlabelled one gets the truth of the fallback."""
        photo = read_record(record, self.tables[self.source_of[record]].source)
        if photo.parts is None and self.fallback is not None:
            photo.parts = self.fallback(photo).part_map
        return photo

    def read_own(self, record: Record) -> Photo:
        """Read a photo, without its labels if they are not the student's."""
        photo = self.read(record)
        return photo if self.tables[self.source_of[record]].one_to_one else Photo(photo.name, photo.image)

    def __call__(self, parse: ParsePhoto) -> ModelScores:
        """Score a model."""
        own = _score(parse, self._photos(self.own), self.labels) if self.own else None
        sources = self.sources if self.mixed else {}
        return ModelScores(own, {name: self._source(parse, name, own) for name in sources})

    def _source(self, parse: ParsePhoto, name: str, own: Scores | None) -> float:
        records = self.sources[name]
        if own is not None and records == self.own:
            return own.miou
        photos = self._photos(records)
        return evaluate_in_source(lambda photo: parse(photo).part_map, photos, self.tables[name]).miou

    def _photos(self, records: Sequence[Record]) -> Iterator[Photo]:
        return map(self.read, tqdm(records, desc="scoring", unit="photo", leave=False, disable=None))


def _kind(own: list[Record], datamodule: ParsingDataModule, sources: list[str]) -> str:
    kind = "test photos" if own and set(own) <= set(datamodule.test) else "validation photos"
    photos = f"{kind} of {', '.join(sources)}" if sources else kind
    return photos if all(record.categories for record in own) else f"the teacher's part maps of the {photos}"


def _score(parse_photo: ParsePhoto, photos: Iterator[Photo], labels: LabelSet) -> Scores:
    """Score a model; add the reliability of its probabilities if it returns part logits."""
    tallies = []

    def parse(photo: Photo) -> Parsing:
        parsing = parse_photo(photo)
        if photo.parts is not None and "part_logits" in parsing.outputs:
            logits = parsing.outputs["part_logits"]
            label = label_at_cells(photo.parts, logits.shape[1:], parsing.placement)
            tallies.append(tally(logits, label, labels.ignore_index))
        return parsing

    scores = evaluate_parsings(parse, photos, labels)
    return replace(scores, reliability=reliability(np.sum(tallies, axis=0)) if tallies else None)
