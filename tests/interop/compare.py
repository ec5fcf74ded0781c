"""Two JSON answers side by side: Lotus's and ours. What differs is told as text, nothing is forgiven silently.

`same` wants equal values but for what the caller maps (ids, times). `fits` wants the shape: the same members, JSON types and
nulls, where lists and id-keyed maps may hold other entries, each of which must look like those that Lotus sent for that
method anywhere in the recordings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from lotus_sched_cli.lotus.extras import MEMBERS

from .recording import timeline

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
#: Of a method that was answered more often, every so-manieth answer is looked at.
MOST = 25
NIL = "00000000-0000-0000-0000-000000000000"
#: Every member that is ours, whatever struct it stands in.
OURS = frozenset().union(*MEMBERS.values())
#: Where ours may stand: the struct is known by a member of Lotus's beside them.
_BESIDE = {
    "WorkerInfo": "Hostname",
    "WorkerResources": "MemPhysical",
    "WorkerStats": "TaskCounts",
    "WorkerJob": "RunWait",
}


def ours_in(members: dict[str, Any]) -> frozenset[str]:
    """The members of ours that this object may carry, by the one list in lotus/extras.py."""
    return frozenset().union(*(MEMBERS[name] for name, mark in _BESIDE.items() if mark in members))


def same(ours: Any, theirs: Any, at: str = "$", mapped: bool = True) -> Iterator[str]:
    """Differences of value. ``mapped``: an id stands for an id and a time for a time."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        allowed = ours_in(ours)
        for name in ours.keys() - theirs.keys() - allowed:
            yield f"{at}.{name}: Lotus has no such member"
        order = [name for name in ours if name in theirs]
        if order != [name for name in theirs if name in ours]:
            yield f"{at}: members in the order {order}, Lotus has {list(theirs)}"
        for name, value in theirs.items():
            if name not in ours:
                yield f"{at}.{name}: missing"
            else:
                yield from same(ours[name], value, f"{at}.{name}", mapped)
    elif isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) != len(ours):
            yield f"{at}: {len(ours)} entries, Lotus has {len(theirs)}"
        for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            yield from same(a, b, f"{at}[{i}]", mapped)
    elif type(ours) is not type(theirs) or (ours != theirs and not (mapped and _stands_for(ours, theirs))):
        yield f"{at}: {_short(ours)}, Lotus has {_short(theirs)}"


def _stands_for(ours: Any, theirs: Any) -> bool:
    if not (isinstance(ours, str) and isinstance(theirs, str)):
        return False
    if UUID.fullmatch(ours) and UUID.fullmatch(theirs):
        return (ours == NIL) == (theirs == NIL)
    return bool(TIME.fullmatch(ours) and TIME.fullmatch(theirs))


class Shape:
    """What Lotus sent in one place, all of it laid over each other: kinds, sets of members, entries of lists and maps."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        #: Which members stand together, and in which order.
        self.names: dict[frozenset[str], tuple[str, ...]] = {}
        self.members: dict[str, Shape] = {}
        self.entries: Shape | None = None
        self.map = True
        self.times = True
        self.empty = False
        self._seen: set[int] = set()

    def lay(self, value: Any) -> None:
        if isinstance(value, dict | list):
            # the same tables of resources come a thousand times
            mark = hash(msgspec.json.encode(value))
            if mark in self._seen:
                return
            self._seen.add(mark)
        self.kinds.add(_kind(value))
        if isinstance(value, dict):
            self.map = self.map and _is_map(value)
            self.names[frozenset(value)] = tuple(value)
            for name, inner in value.items():
                self.members.setdefault(name, Shape()).lay(inner)
                self.entries = self.entries or Shape()
                if self.map:
                    self.entries.lay(inner)
        elif isinstance(value, list):
            self.empty = self.empty or not value
            for inner in value:
                self.entries = self.entries or Shape()
                self.entries.lay(inner)
        elif value is not None:
            self.times = self.times and isinstance(value, str) and bool(TIME.fullmatch(value))


def fits(ours: Any, shape: Shape, at: str = "$") -> Iterator[str]:
    """Differences of shape against what Lotus sent in the same place, whatever the values."""
    if _kind(ours) not in shape.kinds:
        yield f"{at}: {_kind(ours)} {_short(ours)}, Lotus has {' or '.join(sorted(shape.kinds))}"
    elif isinstance(ours, dict):
        if shape.map and _is_map(ours):
            if shape.entries is not None:
                for key, value in ours.items():
                    yield from fits(value, shape.entries, f"{at}[{key}]")
        else:
            yield from _struct(ours, shape, at)
    elif isinstance(ours, list):
        if shape.entries is not None:
            for i, value in enumerate(ours):
                yield from fits(value, shape.entries, f"{at}[{i}]")
        if not ours and "null" in shape.kinds and not shape.empty:
            yield f"{at}: [] where Lotus has null"
    elif isinstance(ours, float) and ours.is_integer():
        yield f"{at}: {ours}, Go writes whole numbers without a point"
    elif isinstance(ours, str) and shape.times and not TIME.fullmatch(ours):
        yield f"{at}: {_short(ours)} is no time as Lotus writes it"


def _struct(ours: dict[str, Any], shape: Shape, at: str) -> Iterator[str]:
    mine = frozenset(ours) - ours_in(ours)
    if mine not in shape.names:
        nearest = min(shape.names, key=lambda names: len(names ^ mine))
        for name in mine - nearest:
            yield f"{at}.{name}: Lotus has no such member"
        for name in nearest - mine:
            yield f"{at}.{name}: missing"
    elif (order := tuple(name for name in ours if name in mine)) != shape.names[mine]:
        yield f"{at}: members in the order {order}, Lotus has {shape.names[mine]}"
    for name in mine & shape.members.keys():
        yield from fits(ours[name], shape.members[name], f"{at}.{name}")


#: Keys that make an object a map: ids, numbers, task names, states, calls.
_KEY = re.compile(rf"{UUID.pattern}|\d+|\d*:?(seal|post)/v0/.*|\d+:|\d+-\d+-{UUID.pattern}")
_STATES = re.compile(r"([A-Z][A-Za-z0-9]+)?")


def _is_map(value: dict[str, Any]) -> bool:
    if all(_KEY.fullmatch(k) for k in value):
        return True
    # the summary of states: names to counts, no struct of Lotus's is all numbers but FsStat
    counts = all(type(v) is int and _STATES.fullmatch(k) for k, v in value.items())
    return (
        counts and "Capacity" not in value and "Miner" not in value and not {"Sector", "Size"} & value.keys()
    )


@cache
def told(to: str, method: str) -> Shape:
    """The shape of every result that Lotus gave to a method, at a miner or at a worker."""
    shape = Shape()
    for e in timeline():
        if (
            e.method == method
            and (e.to == "miner") == (to == "miner")
            and e.status == 200
            and e.error is None
        ):
            shape.lay(e.result)
    return shape


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, list) else "object"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 120 else text[:117] + "..."
