"""Chain epochs as Lotus prints them (``cli/util/epoch.go``), also where the head is not known or an epoch is a fraction of
a second long."""

from __future__ import annotations

from typing import Final

from lotus_sched_cli.cli.views.sectors import Chain

_UNITS: Final = (
    ("year", 31536000),
    ("week", 604800),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)


def epoch_time(chain: Chain, epoch: int) -> str:
    """``1944975 (in 2 weeks 3 days)``; the epoch alone where the head is not known."""
    if chain.head is None:
        return str(epoch)
    if epoch == chain.head:
        return f"{epoch} (now)"
    words = in_words(abs(epoch - chain.head) * chain.block_delay)
    return f"{epoch} (in {words})" if epoch > chain.head else f"{epoch} ({words} ago)"


def many(count: int, what: str) -> str:
    """``1 path``, ``2 paths``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def in_words(seconds: float) -> str:
    """The two largest units that are not zero: ``41 minutes 40 seconds``."""
    left, words = int(seconds), []
    for name, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            words.append(many(count, name))
    return " ".join(words[:2])
