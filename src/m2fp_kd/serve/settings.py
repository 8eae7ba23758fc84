"""What a server allows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Limits of a server.

    Attributes:
        megabytes: of a request's body, 10^6 bytes.
        megapixels: of a photo, checked before it is decoded.
        photos: in one request.
        waiting: photos in the queue of a model; who comes later is turned away with 503.
        waiting_megabytes: 10^6 bytes that a model's requests take, from decoding to their answers; likewise. A photo
            that needs more than all of it is taken when there is no other request.
        deadline: seconds that a photo may wait and be parsed.
        requests_per_minute: of one client; its burst is a sixth of it. 0: no limit.
        token: that every request to /api must bear; None: none.
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
            if not getattr(self, name) > 0:  # a queue would take 0 for no limit, and a room be full for ever
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.requests_per_minute < 0:
            raise ValueError(f"requests_per_minute must be 0 or above, not {self.requests_per_minute}")
