"""Check all photos and label maps of a training before it begins, in parallel, and each content only once."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pytorch_lightning.utilities import rank_zero_only
from tqdm.auto import tqdm

from m2fp_kd.data.layouts import Record
from m2fp_kd.data.reading import LabelError, read_record
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.cores import usable_cores
from m2fp_kd.runtime.files import atomic_path, file_sha256, printable, text_sha256
from m2fp_kd.runtime.photo_file import open_image

log = logging.getLogger(__name__)

VERSION = 1
"""Version of the checks; a change repeats them."""

NAMED = 10
"""Number of bad photos that the error names; the log before it lists all of them."""


@dataclass(frozen=True)
class Finding:
    """Facts about the files of one photo.

    Attributes:
        error: why they cannot be used; empty if they can.
        parts: parts in the label map, sorted, without the ignore index.
        colours: colour of each of these parts in the map's palette, as ``#rrggbb``; empty without a palette.
    """

    error: str = ""
    parts: tuple[int, ...] = ()
    colours: tuple[str, ...] = ()


def check_photos(records: Sequence[Record], labels: LabelSet, known: Path) -> None:
    """Check that every photo can be decoded and that its maps are valid and of its size; warn about suspicious labels.

    Args:
        records: photos with their maps; photos without maps are decoded only.
        labels: label set of the maps.
        known: JSON file with the findings of earlier checks by the files' content; it is completed.

    Raises:
        LabelError: files cannot be used; the log lists all of them, and the message names the first ones.
    """
    findings = _findings(records, labels, known)
    bad = {_file(record): finding.error for record, finding in findings.items() if finding.error}
    bad |= _reordered({record: finding for record, finding in findings.items() if finding.colours})
    for error in bad.values():
        log.error("%s", error)
    if bad:
        names = ", ".join(list(bad)[:NAMED]) + (", …" if len(bad) > NAMED else "")
        raise LabelError(
            f"{len(bad)} of {len(records)} photos cannot be used ({names}); mend or remove the files listed above"
        )
    _summarise([finding.parts for record, finding in findings.items() if record.categories], labels)


def _file(record: Record) -> str:
    return printable((record.categories or record.image).name)


def _findings(records: Sequence[Record], labels: LabelSet, known: Path) -> dict[Record, Finding]:
    """Return the finding of every photo; only photos whose content is new are read."""
    with ThreadPoolExecutor(usable_cores()) as pool:  # Pillow and hashlib release Python's lock
        keys = dict(zip(records, pool.map(lambda record: _key(record, labels), records), strict=True))
        found = _read(known)
        new = [record for record in records if keys[record] is None or keys[record] not in found]
        read = pool.map(lambda record: examine(record, labels), new)
        progress = tqdm(read, desc="checking photos and labels", total=len(new), unit="photo", disable=None, delay=2)
        fresh = dict(zip(new, progress, strict=True))
    # A bad file is read again next time, since its message holds its path.
    good = {key: finding for record, finding in fresh.items() if (key := keys[record]) and not finding.error}
    _write(known, found | good)
    return {record: fresh[record] if record in fresh else found[str(keys[record])] for record in records}


def examine(record: Record, labels: LabelSet) -> Finding:
    """Read one photo and its maps, and describe them."""
    try:
        photo = read_record(record, labels)
    except (OSError, ValueError) as error:
        return Finding(printable(" ".join(str(error).split())))
    if photo.parts is None or record.categories is None:
        return Finding()
    counts = np.bincount(photo.parts.ravel(), minlength=256)
    parts = tuple(part for part in np.flatnonzero(counts).tolist() if part != labels.ignore_index)
    return Finding("", parts, _colours(record.categories, parts))


def _colours(path: Path, parts: Sequence[int]) -> tuple[str, ...]:
    if path.suffix == ".mat":
        return ()
    with open_image(path) as image:
        palette = (image.getpalette("RGB") or []) if image.mode == "P" else []
    if len(palette) < 3 * (max(parts, default=0) + 1):
        return ()
    return tuple("#" + bytes(palette[3 * part : 3 * part + 3]).hex() for part in parts)


def _reordered(findings: Mapping[Record, Finding]) -> dict[str, str]:
    """Return the label maps whose palette lists the colours of the others in another order, as some programs do.

    A colour stands for the part for which most label maps have it. A file is reported if all its colours are such
    colours, and one of them is at another index.
    """
    votes: dict[str, Counter[int]] = {}
    for finding in findings.values():
        for part, colour in zip(finding.parts, finding.colours, strict=True):
            votes.setdefault(colour, Counter())[part] += 1
    usual = {colour: counter.most_common(1)[0][0] for colour, counter in votes.items()}
    shared = {colour for colour, counter in votes.items() if counter.total() > 1}
    bad = {}
    for record, finding in findings.items():
        moved = [
            (part, usual[colour])
            for part, colour in zip(finding.parts, finding.colours, strict=True)
            if usual[colour] != part
        ]
        if moved and len(set(finding.colours)) == len(finding.colours) and shared.issuperset(finding.colours):
            part, other = moved[0]
            bad[_file(record)] = (
                f"{printable(record.categories or record.image)}: the palette has another order than those of the "
                f"other label maps: the colour of its index {part} is theirs of {other}; export it with their palette"
            )
    return bad


@rank_zero_only
def _summarise(occurring: Sequence[Iterable[int]], labels: LabelSet) -> None:
    """Log which parts occur, and warn where the background, part 0, does not."""
    if not occurring:
        return
    seen = set().union(*occurring)
    missing = [name for index, name in enumerate(labels.parts) if index not in seen]
    log.info(
        "checked %d label maps of '%s': %d of %d parts occur%s",
        len(occurring),
        labels.name,
        labels.num_parts - len(missing),
        labels.num_parts,
        f"; never {', '.join(missing)}" if missing else "",
    )
    if 0 not in seen:
        log.warning("%s (0) occurs in no label map of '%s': are the labels one too high?", labels.parts[0], labels.name)


def _key(record: Record, labels: LabelSet) -> str | None:
    """Return the hash of a photo's files and of what is checked; None where a file cannot be read, as `examine` tells.

    Such a file is a link that leads nowhere, a folder, or one without the permission.
    """
    files = (record.image, record.categories, record.persons, record.instances)
    try:
        hashes = [file_sha256(path) if path else None for path in files]
    except OSError:
        return None
    return text_sha256([VERSION, hashes, labels.num_parts, labels.ignore_index])


def _read(known: Path) -> dict[str, Finding]:
    try:
        content = json.loads(known.read_text())
        return {key: Finding("", tuple(parts), tuple(colours)) for key, (parts, colours) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # missing or damaged: everything is checked again
        return {}


def _write(known: Path, findings: Mapping[str, Finding]) -> None:
    with atomic_path(known) as temporary:
        temporary.write_text(json.dumps({key: [found.parts, found.colours] for key, found in findings.items()}))
