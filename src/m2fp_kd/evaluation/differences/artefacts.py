"""Two artefacts on the held-out photos of a data set."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from m2fp_kd.data.layouts import Record, held_out_records
from m2fp_kd.data.reading import read_record
from m2fp_kd.evaluation.differences.compare import Differences, PhotoChange, differences
from m2fp_kd.evaluation.differences.page import Shown, part_rows, render
from m2fp_kd.runtime.parser import Parser


@dataclass(frozen=True)
class ComparedArtefacts:
    """Two artefacts of one label set and their results on the same photos.

    Attributes:
        before: parser of the first artefact.
        after: parser of the second artefact.
        records: the photos.
        found: scores and changes.
    """

    before: Parser
    after: Parser
    records: list[Record]
    found: Differences

    @property
    def rows(self) -> list[dict[str, str]]:
        """Table of every part's IoU before and after."""
        return list(part_rows(self.found, self.found.before.shares(self.before.labels)))

    def page(self, names: tuple[str, str], photos: int) -> str:
        """Return the HTML page.

        Args:
            names: names of the two artefacts.
            photos: number of photos to show of those that gained, and of those that lost.
        """
        improved, worsened = self.found.most_improved(photos), self.found.most_worsened(photos)
        return render(self.found, names, self._shown(improved), self._shown(worsened), self.before.labels)

    def _shown(self, changes: Iterable[PhotoChange]) -> list[Shown]:
        pairs = [(change, read_record(self.records[change.index], self.before.labels)) for change in changes]
        return [
            Shown(photo, change.gain, self.before.part_map(photo.image), self.after.part_map(photo.image))
            for change, photo in pairs
        ]


def compare_artefacts(before: Path, after: Path, data: Path, limit: int | None = None) -> ComparedArtefacts:
    """Parse the held-out photos of a data set in M2FP's layout with two artefacts.

    Raises:
        FileNotFoundError: an artefact or the photos are missing.
        ArtefactError, EngineError: an artefact cannot be used.
        ValueError: the artefacts have different label sets, or the limit leaves no photos.
    """
    records = held_out_records(data, limit)
    parsers = [Parser.load(path, keep=False) for path in (before, after)]
    labels = parsers[0].labels
    if parsers[1].labels.parts != labels.parts:
        raise ValueError(f"{before} uses the label set '{labels.name}' and {after} uses '{parsers[1].labels.name}'")
    photos = (read_record(record, labels) for record in tqdm(records, unit="photo", leave=False, disable=None))
    found = differences(parsers[0].part_map, parsers[1].part_map, photos, labels)
    return ComparedArtefacts(parsers[0], parsers[1], records, found)
