"""The policies by name, and whether settings make sense to the scheduler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .balanced import Balanced
from .events import Settings
from .farm import Farm
from .policy import Policy
from .windowed import ASSIGNERS, Windowed

#: ``Settings.policy`` → what makes it.
POLICIES: Final[dict[str, Callable[[Farm], Policy]]] = {"balanced": Balanced, "windowed": Windowed}


def checked(settings: Settings) -> Settings:
    """The settings as they are. Raises ValueError, one line that names key, value and what is allowed."""
    if settings.policy not in POLICIES:
        raise ValueError(f"policy {settings.policy!r}: use {' or '.join(POLICIES)}")
    if settings.spread_by not in ("count", "share"):
        raise ValueError(f"SpreadBy {settings.spread_by!r}: use count or share")
    if settings.assigner not in ASSIGNERS:
        allowed = ", ".join(name for name in ASSIGNERS if name)
        raise ValueError(f"Assigner {settings.assigner!r}: use {allowed}")
    return settings
