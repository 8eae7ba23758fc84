"""The limits of a server."""

from dataclasses import dataclass

READERS = 2
"""Request bodies that are read into photos at the same time."""

COPIES = 6
"""Copies of a body while it is read, at most: JSON's text, its strings and their bytes."""


@dataclass(frozen=True)
class Settings:
    """Limits of a server.

    Attributes:
        megabytes: size of a request's body, 10^6 bytes.
        megapixels: size of a photo, checked before it is decoded.
        photos: photos in one request.
        waiting: photos in the queue of a model; further requests get status 503.
        waiting_megabytes: memory budget of a model's requests from decoding to answering, 10^6 bytes; requests beyond
            it get status 503. A photo larger than the whole budget is admitted only when no other request is in flight.
        upload_megabytes: memory budget of all connections for bodies that arrive and answers that leave, 10^6 bytes;
            the upload that began first gets status 503 when it is used up.
        deadline: seconds from a request's first byte until its answer, waiting included.
        grace: seconds that requests have to finish after SIGTERM.
        requests_per_minute: requests of one client, with bursts of a sixth of it; a photo counts as one request for
            each megapixel that it has. 0 for no limit.
        token: token that every request to /api must carry; None for no token.
        names: host names by which clients may address the server; addresses and "localhost" are always allowed.
        origins: origins (https://example.org) whose pages may call the API from a browser.
    """

    megabytes: float = 20
    megapixels: float = 50
    photos: int = 16
    waiting: int = 64
    waiting_megabytes: float = 1600
    upload_megabytes: float = 400
    deadline: float = 60
    grace: float = 15
    requests_per_minute: int = 600
    token: str | None = None
    names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        limits = ("megabytes", "megapixels", "photos", "waiting", "waiting_megabytes", "upload_megabytes", "deadline")
        for name in (*limits, "grace"):
            if not getattr(self, name) > 0:  # Queue(0) has no limit, and a budget of 0 would always be full
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.requests_per_minute < 0:
            raise ValueError(f"requests_per_minute must be 0 or above, not {self.requests_per_minute}")
        if self.held_megabytes < self.megabytes:
            least = (READERS * COPIES + 1) * self.megabytes
            raise ValueError(f"upload_megabytes must be at least {least:g} with megabytes={self.megabytes:g}")
        if self.token is not None and not self.token.strip():
            raise ValueError("token is empty, which would let everyone in; unset M2FP_KD_TOKEN or give it a text")

    @property
    def held_megabytes(self) -> float:
        """Share of `upload_megabytes` that connections may hold; the rest is for the bodies that are being read."""
        return self.upload_megabytes - READERS * COPIES * self.megabytes
