"""What the miner keeps for a worker beyond its sessions: drain, and the caps of one that knows none of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.lotus import caps as names
from lotus_sched_cli.lotus.errors import UserError


class KeptCap(Struct, frozen=True):
    """A cap set by the operator; ``over`` is what the worker itself said then, ``since`` RFC 3339."""

    value: str
    over: str
    since: str


class Kept(Struct, frozen=True, omit_defaults=True):
    """Stored with the worker's row. ``drain`` is empty, ``sectors`` or ``tasks``.

    ``until_restart`` is the session with whose end the drain is over; empty: until undrained.
    """

    aware: bool = False
    caps: dict[str, KeptCap] = msgspec.field(default_factory=dict)
    drain: str = ""
    until_restart: str = ""

    def valid(self, stated: Caps) -> Kept:
        """Without the caps that were set over another value than the worker says now."""
        caps = {n: c for n, c in self.caps.items() if c.over == text(stated, n)}
        return self if len(caps) == len(self.caps) else msgspec.structs.replace(self, caps=caps)

    def in_session(self, session: str) -> Kept:
        """Without a drain that another session of the worker has ended."""
        if not self.until_restart or self.until_restart == session:
            return self
        return msgspec.structs.replace(self, drain="", until_restart="")

    def over(self, stated: Caps) -> Caps:
        """The caps that count."""
        return names.changed(stated, {n: names.parse(n, c.value) for n, c in self.caps.items()})

    def set(self, stated: Caps, values: Mapping[str, str], since: str) -> Kept:
        """With these caps. Raises UserError: nothing is changed then."""
        caps = dict(self.caps)
        for name, value in values.items():
            caps[name] = KeptCap(names.text_of(name, names.parse(name, value)), text(stated, name), since)
        return msgspec.structs.replace(self, caps=caps)

    def reset(self, which: Iterable[str]) -> Kept:
        """Without these caps, or any where none are named. Raises UserError for a name that is none."""
        gone = set(which) or set(self.caps)
        for name in gone:
            names.option_named(name)
        return msgspec.structs.replace(self, caps={n: c for n, c in self.caps.items() if n not in gone})


def text(caps: Caps, name: str) -> str:
    return names.text_of(name, names.value_of(caps, name))


def decode(extras: bytes) -> Kept:
    """The stored value; caps that this program does not know are left out."""
    found: Any = msgspec.json.decode(extras, type=Kept)
    good = {}
    for name, cap in found.caps.items():
        try:
            names.parse(name, cap.value)
        except UserError:
            continue
        good[name] = cap
    kept: Kept = msgspec.structs.replace(found, caps=good)
    return kept
