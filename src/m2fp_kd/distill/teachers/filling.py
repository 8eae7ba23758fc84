"""Fill a teacher's cache."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice

from filelock import FileLock
from tqdm import tqdm

from m2fp_kd.data.layouts import Record
from m2fp_kd.data.teacher_cache import TeacherCache, entry, file_name
from m2fp_kd.distill.teachers.whole_photo import PlacedPhoto, WholePhotoTeacher
from m2fp_kd.runtime.cores import usable_cores
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import read_photo
from m2fp_kd.shards import Shard

log = logging.getLogger(__name__)

AHEAD = 8
"""Least number of photos that are read before, and of answers that are encoded after, a call of the networks."""


def fill_cache(
    cache: TeacherCache, teacher: WholePhotoTeacher, records: Sequence[Record], shards: Iterable[Shard | None] = (None,)
) -> int:
    """Compute the missing targets of these photos, in both orientations, and return their number.

    The next photos are read, and the last answers encoded, while the networks work. An interrupted call keeps what was
    computed; a killed one loses a few targets. One process writes a file at a time; others wait.

    Args:
        cache: the cache, which has all targets afterwards that it can have.
        teacher: the teacher.
        records: the photos.
        shards: shares to fill, in order, each into a file of its own; None fills all photos into one file.

    Raises:
        ValueError: the teacher's answer to a photo is not finite; the message names the photo.
    """
    cache.path.parent.mkdir(parents=True, exist_ok=True)
    made = 0
    for shard in shards:
        held = [record for record in records if shard is None or shard.holds(record.name)]
        with FileLock((cache.path.parent / file_name(shard)).with_suffix(".lock")):
            made += _fill(cache.share(shard), teacher, held)
    cache.refresh()
    return made


def _fill(cache: TeacherCache, teacher: WholePhotoTeacher, records: Sequence[Record]) -> int:
    hashes = {record.name: file_sha256(record.image) for record in records}
    missing = [record for record in records if not cache.has(record.name, hashes[record.name])]
    log.info("teacher: %d of %d photos have no target in the cache yet", len(missing), len(records))
    entries: deque[tuple[str, Future[bytes]]] = deque()

    def write_next() -> None:
        name, made = entries.popleft()
        try:
            cache.append(name, made.result())
        except ValueError as error:
            raise ValueError(f"the teacher's answer to {name}: {error}") from error

    bar = tqdm(total=len(missing), desc="teacher", unit="photo", disable=None if missing else True)
    ahead = max(AHEAD, 2 * teacher.at_once)
    with ThreadPoolExecutor(usable_cores()) as pool, bar:
        photos = zip(missing, _placed_ahead(pool, teacher, missing, ahead), strict=True)
        try:
            while group := list(islice(photos, teacher.at_once)):
                answers = teacher.answers([photo for _, photo in group])
                for (record, photo), answer in zip(group, answers, strict=True):
                    placement = teacher.student_geometry.placement(photo.size)
                    facts = (placement, hashes[record.name], teacher.labels.flip_permutation)
                    entries.append((record.name, pool.submit(entry, answer, *facts)))
                    if len(entries) > ahead:
                        write_next()
                bar.update(len(group))
            while entries:
                write_next()
        except BaseException:  # keep what was computed; the first error is the one to report
            while entries:
                with suppress(ValueError):
                    write_next()
            raise
    return len(missing)


def _placed_ahead(
    pool: ThreadPoolExecutor, teacher: WholePhotoTeacher, records: Sequence[Record], ahead: int
) -> Iterator[PlacedPhoto]:
    """Yield the photos in order, while the next ones are read and placed."""

    def placed(record: Record) -> PlacedPhoto:
        return teacher.placed(read_photo(record.image))

    reading: deque[Future[PlacedPhoto]] = deque()
    for record in records:
        reading.append(pool.submit(placed, record))
        if len(reading) > ahead:
            yield reading.popleft().result()
    while reading:
        yield reading.popleft().result()
