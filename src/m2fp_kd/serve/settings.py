"""Limits of a server."""

from dataclasses import dataclass


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
        deadline: seconds until a photo must be parsed, waiting included.
        requests_per_minute: requests of one client, with bursts of a sixth of it; 0 for no limit.
        token: token that every request to /api must carry; None for no token.
    """

    megabytes: float = 20
    megapixels: float = 50
    photos: int = 16
    waiting: int = 64
    waiting_megabytes: float = 1600
    deadline: float = 15
    requests_per_minute: int = 600
    token: str | None = None

    def __post_init__(self) -> None:
        for name in ("megabytes", "megapixels", "photos", "waiting", "waiting_megabytes", "deadline"):
            if not getattr(self, name) > 0:  # Queue(0) has no limit, and a budget of 0 would always be full
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.requests_per_minute < 0:
            raise ValueError(f"requests_per_minute must be 0 or above, not {self.requests_per_minute}")
