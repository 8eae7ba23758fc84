"""A disk that takes no more data."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full(most: int = 1000) -> Iterator[None]:
    """Let the system refuse every byte of a file behind the first ``most`` ones, as a full disk does (EFBIG).

    Python ignores the signal that comes with it, so that only the writing fails, in libraries of compiled code too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
