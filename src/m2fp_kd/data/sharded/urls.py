"""Addresses of shards on any file system that fsspec knows: patterns, sizes, files."""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from m2fp_kd.runtime.disk import FULL
from m2fp_kd.runtime.files import atomic_path

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")

REQUESTS = 16
"""Requests to a file system at the same time."""


class ShardError(ValueError):
    """A shard that is missing, torn, out of reach, or not what was expected; the message names the way out."""


@contextmanager
def reached(url: str, kind: type[ValueError] = ShardError) -> Iterator[None]:
    """Name the address, and a way out, in the errors of a file system.

    Args:
        url: the address.
        kind: class of the errors.

    Raises:
        ValueError: the file is missing or cannot be read; the error is of this kind.
        OSError: this machine's disk is full.
    """
    try:
        yield
    except kind:
        raise
    except FileNotFoundError as error:
        raise kind(f"{url}: there is no such file or folder; check the address, or copy it there") from error
    except ImportError as error:  # fsspec names the package that the protocol needs
        raise kind(f"{url}: {error}") from error
    except Exception as error:  # each file system raises errors of its own
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise kind(
            f"{url}: cannot be read ({_cause(error)}); check the address, the network and the credentials"
        ) from error


def _cause(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def expand(patterns: str | Sequence[str], setting: str = "data.urls") -> list[str]:
    """Return the addresses that patterns stand for: ``{000..127}`` is a range of numbers, ``*`` matches any letters.

    Args:
        patterns: one pattern or several.
        setting: option that an error names.

    Raises:
        ShardError: a pattern matches nothing, or an address occurs twice.
    """
    given = [patterns] if isinstance(patterns, str) else list(patterns)
    found = [url for pattern in given for url in _matches(pattern, setting)]
    if not found:
        raise ShardError(f"{setting} names no shard; give addresses such as DIR/train-{{000000..000127}}.tar")
    if twice := sorted(url for url, times in Counter(found).items() if times > 1):
        raise ShardError(f"{setting} names {twice[0]} twice; give each shard once")
    return found


def _matches(pattern: str, setting: str) -> list[str]:
    if braces := RANGE.search(pattern):
        first, last = braces[1], braces[2]
        numbers = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        if not numbers:
            raise ShardError(f"{setting}: the range {braces[0]} of {pattern} is empty; write the smaller number first")
        expanded = [pattern[: braces.start()] + number + pattern[braces.end() :] for number in numbers]
        return [url for one in expanded for url in _matches(one, setting)]
    if not any(letter in pattern for letter in "*?["):
        return [pattern]
    with reached(pattern):
        system, path = url_to_fs(pattern)
        found = sorted(system.glob(path))
    if not found:
        raise ShardError(f"{setting}={pattern} matches no file; check the pattern")
    return [path if isinstance(system, LocalFileSystem) else system.unstrip_protocol(path) for path in found]


def sizes(urls: Sequence[str]) -> list[int | None]:
    """Return the sizes of files in bytes, None where a server does not tell.

    Raises:
        ShardError: files are missing or out of reach; the message counts them and names the first.
    """

    def size(url: str) -> int | ShardError | None:
        try:
            with reached(url):
                system, path = url_to_fs(url)
                return system.size(path)
        except ShardError as error:
            return error

    with ThreadPoolExecutor(REQUESTS) as pool:
        found = list(pool.map(size, urls))
    if errors := [size for size in found if isinstance(size, ShardError)]:
        raise ShardError(f"{len(errors)} of {len(urls)} shards cannot be read: {errors[0]}") from errors[0]
    return found  # type: ignore[return-value]


def read_file(url: str) -> bytes:
    """Read a small file.

    Raises:
        ShardError: it is missing or out of reach.
    """
    with reached(url):
        system, path = url_to_fs(url)
        return bytes(system.cat_file(path))


def write_file(url: str, content: bytes) -> None:
    """Write a small file, whole or not at all.

    Raises:
        ShardError: the file system refuses it.
        OSError: a local file cannot be written.
    """
    with reached(url):
        system, path = url_to_fs(url)
    if isinstance(system, LocalFileSystem):
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        return
    try:
        system.pipe_file(path, content)
    except Exception as error:  # each file system raises errors of its own
        raise ShardError(
            f"{url}: cannot be written ({_cause(error)}); run the command on a copy of the shards on a disk, and copy "
            "the file that it writes"
        ) from error


def open_file(url: str) -> BinaryIO:
    """Open a file to read any place of it: a local one as it is, another one as a copy on the disk for temporary files.

    The copy has no name, so the system removes it when it is closed, also by a kill.

    Raises:
        ShardError: the file is missing or out of reach.
        OSError: the disk for temporary files is full.
    """
    with reached(url):
        system, path = url_to_fs(url)
        if isinstance(system, LocalFileSystem):
            return Path(path).open("rb")
        with tempfile.TemporaryDirectory(prefix="m2fp-kd-shard-") as folder:
            copy = Path(folder) / "shard.tar"
            system.get_file(path, str(copy))
            return copy.open("rb")


def beside(url: str, name: str) -> str:
    """Return the address of another file in the same folder."""
    return f"{url.rpartition('/')[0]}/{name}" if "/" in url else name
