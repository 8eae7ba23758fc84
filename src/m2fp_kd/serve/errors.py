"""What goes wrong with a request, as the client reads it."""

from dataclasses import dataclass
from typing import Any


@dataclass
class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        status: of HTTP.
        code: stable, for programs.
        message: a sentence for people that says what to do.
        retry_after: seconds after which the same request may succeed; None if it will not.
    """

    status: int
    code: str
    message: str
    retry_after: int | None = None

    @property
    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"error": {"code": self.code, "message": self.message}}

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
