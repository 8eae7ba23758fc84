"""The strictest of several licences."""

import re
from collections.abc import Sequence

UNKNOWN = "no licence known"
"""Licence of an ensemble with a member whose licence is not known."""

_RANKS = (
    (3, r"non.?commercial|\bnc\b|research|academic|evaluation only"),
    (2, r"gpl|copyleft|share.?alike|\bsa\b|\bmpl|\bepl"),
    (1, r"apache|\bmit\b|\bbsd|\bisc\b|\bcc0\b|\bcc.by\b|unlicense|public domain"),
)
"""(rank, pattern), strictest first; the first pattern that occurs in a licence gives its rank."""

_OTHER = 4


def strictness(licence: str | None) -> int:
    """Return the rank of a licence: permissive 1, copyleft 2, non-commercial 3, any other text 4, unknown 5."""
    if not licence or licence == UNKNOWN:
        return 5
    return next((rank for rank, pattern in _RANKS if re.search(pattern, licence, re.IGNORECASE)), _OTHER)


def strictest(licences: Sequence[str | None]) -> str | None:
    """Return the strictest of several licences by `strictness`; of equals, the first in alphabetical order.

    Returns:
        `UNKNOWN` if one of several licences is not known; None without any licence.
    """
    if not any(licences):
        return None
    return max(sorted(licence or UNKNOWN for licence in licences)[::-1], key=strictness)
