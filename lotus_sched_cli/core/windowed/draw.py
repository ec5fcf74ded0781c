"""Drawing lots, the same for the same farm: where Lotus shuffles, so that equals take turns."""

from __future__ import annotations

from typing import Final

_MASK: Final = (1 << 64) - 1


class Lots:
    """A small generator (Knuth's MMIX constants); its state moves only when something is drawn."""

    __slots__ = ("_state",)

    def __init__(self, seed: int = 1) -> None:
        self._state = seed

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & _MASK
        return (self._state >> 33) % n
