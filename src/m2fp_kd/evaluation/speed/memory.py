"""Memory of a process."""

import re
from pathlib import Path


def memory_mb(field: str, process: int | str = "self") -> float | None:
    """Return ``VmRSS`` (current) or ``VmHWM`` (peak) of a process in 10^6 bytes; None without ``/proc``.

    `resource.getrusage` is no alternative: its peak is inherited from the parent process.
    """
    status = Path(f"/proc/{process}/status")
    found = status.is_file() and re.search(rf"^{field}:\s*(\d+) kB", status.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else None
