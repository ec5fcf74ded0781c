"""One clock for the whole daemon: wall-clock seconds that never step back while the process lives."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


def steady() -> Clock:
    """Seconds since 1970 at the start, counted on by the monotonic clock: an NTP step orders nothing anew."""
    start = time.time() - time.monotonic()
    return lambda: start + time.monotonic()
