"""How often something that flaps may be said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_FREE: Final = 4
_FIRST: Final = 60.0
_MOST: Final = 3600.0


@dataclass(slots=True)
class Said:
    """The first few are said at once, then at growing distances up to an hour; an hour of peace starts anew."""

    count: int = 0
    last: float = float("-inf")
    asked: float = float("-inf")
    gap: float = 0.0

    def may(self, now: float) -> bool:
        """Whether to say it now; says yes at most as often as the gap allows."""
        if now - self.asked >= _MOST:
            self.count, self.gap = 0, 0.0
        self.asked = now
        if now - self.last < self.gap:
            return False
        self.count += 1
        self.last = now
        if self.count >= _FREE:
            self.gap = min(_MOST, max(_FIRST, self.gap * 2))
        return True
