"""What a child says, passed on: all of it while it says little, and of a flood its beginning, and some now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: Bytes that may be said at once, and how many more each second; a line counts so many more than it has.
BURST: Final = 1 << 20
PER_SECOND: Final = 10 << 10
LINE: Final = 100


def one_line(text: str) -> str:
    """Without line ends; what moves a cursor, and what UTF-8 cannot say, written out: ``\\x1b``, ``\\udcff``."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in " ".join(text.split())
    )


class Words:
    """Hands lines to ``say``. Where it leaves some out it says so, and how many before the next."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._room: float = BURST
        self._last = clock()
        self._left_out = 0

    def __call__(self, text: str) -> None:
        now = self._clock()
        self._room = min(BURST, self._room + (now - self._last) * PER_SECOND)
        self._last = now
        cost = len(text) + LINE
        # After a flood not line by line, but some in one piece when there is room again.
        if cost > self._room or (self._left_out and self._room < BURST / 8):
            if not self._left_out:
                self._say("it says more than is passed on here; lines are left out")
            self._left_out += 1
            return
        if self._left_out:
            self._say(f"{self._left_out} lines were left out")
            self._left_out = 0
        self._room -= cost
        self._say(text)
