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
        waiting_megabytes: 10^6 bytes of those photos and of what is being decoded for that model, three bytes a pixel;
            likewise. A request that needs more than all of it is taken when nothing else waits.
        deadline: seconds that a photo may wait and be parsed.
        requests_per_minute: of one client; its burst is a sixth of it. 0: no limit.
        token: that every request to /api must bear; None: none.
    """

    megabytes: float = 20
    megapixels: float = 50
    photos: int = 16
    waiting: int = 64
    waiting_megabytes: float = 500
    deadline: float = 15
    requests_per_minute: int = 600
    token: str | None = None
