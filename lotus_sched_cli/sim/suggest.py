"""A search for caps that seal more per day, within each machine's memory and disk.

Caps are changed one at a time, in steps, and what seals more is kept; each try is a whole simulation under the balanced
policy. A cap that changes nothing stays as the operator has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.needs import P1_OUTPUT, UNSEALED
from lotus_sched_cli.core.proofs import space
from lotus_sched_cli.core.resources import demand_of
from lotus_sched_cli.core.tasks import FileType

from .farm import C2, P1, P2, FarmSpec, Group
from .farmfile import CAPS
from .quantities import bytes_text
from .run import Progress, simulate

#: A gain below this share is none: it would be luck of the draw.
GAIN: Final = 0.002
#: Simulations in one search.
MOST: Final = 120

#: Told after every try: how many so far, and the best sectors per day.
Tried = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class GroupCaps:
    """The flags that change for one group of workers (empty: none), and what limits them."""

    name: str
    flags: tuple[str, ...]
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Sectors per day before and after. ``limits`` are remarks about the farm as a whole."""

    farm: str
    before: float
    after: float
    tried: int
    groups: tuple[GroupCaps, ...]
    limits: tuple[str, ...] = ()


def suggest(
    farm: FarmSpec, tried: Tried | None = None, progress: Progress | None = None, most: int = MOST
) -> Suggestion:
    """Search from the farm's own caps on. Caps beyond a machine's memory or disk are taken back first."""
    start = replace(farm, groups=tuple(_within(farm, group) for group in farm.groups))
    search = _Search(tried, progress, most)
    before = per_day(farm, progress)
    best, score = search.climb(start, before if start == farm else per_day(start, progress))
    groups = tuple(_told(farm, old, new) for old, new in zip(farm.groups, best.groups, strict=True))
    limits = []
    if start != farm:
        limits.append("the caps as they are go beyond memory or disk; see the groups above")
    if search.number >= most:
        limits.append(f"the search ended after {most} simulations; run it again from these caps to go on")
    return Suggestion(farm.name, before, score, search.number, groups, tuple(limits))


def per_day(farm: FarmSpec, progress: Progress | None = None) -> float:
    """Sectors sealed per day; 0 for a farm that comes to a standstill."""
    trace = simulate(farm, "balanced", progress)
    return 0.0 if trace.stuck or not trace.end else len(trace.done) * 86400.0 / trace.end


class _Search:
    def __init__(self, tried: Tried | None, progress: Progress | None, most: int) -> None:
        self._tried = tried
        self._progress = progress
        self._most = most
        self._known: dict[tuple[Caps, ...], float] = {}
        self.number = 0

    def climb(self, farm: FarmSpec, score: float) -> tuple[FarmSpec, float]:
        self._known[_key(farm)] = score
        better = True
        while better:
            better = False
            for index in range(len(farm.groups)):
                for caps in _steps(farm, farm.groups[index]):
                    candidate = with_caps(farm, index, caps)
                    found = self._score(candidate)
                    if found is not None and found > score * (1 + GAIN):
                        farm, score, better = candidate, found, True
        return farm, score

    def _score(self, farm: FarmSpec) -> float | None:
        key = _key(farm)
        if key not in self._known:
            if self.number >= self._most:
                return None
            self.number += 1
            self._known[key] = per_day(farm, self._progress)
            if self._tried is not None:
                self._tried(self.number, max(self._known.values()))
        return self._known[key]


def _key(farm: FarmSpec) -> tuple[Caps, ...]:
    return tuple(group.caps for group in farm.groups)


def with_caps(farm: FarmSpec, index: int, caps: Caps) -> FarmSpec:
    """The farm with other caps for one of its groups."""
    groups = list(farm.groups)
    groups[index] = replace(groups[index], caps=caps)
    return replace(farm, groups=tuple(groups))


def _steps(farm: FarmSpec, group: Group) -> Iterator[Caps]:
    """Caps near the group's own, within its machine; the far ones first."""
    caps = group.caps
    for stage, name in ((P1, "precommit1_max"), (P2, "precommit2_max"), (C2, "commit2_max")):
        now = getattr(caps, name)
        if group.offers(stage):
            for value in sorted({now * 2, now + now // 2, now + 1, now - 1, now // 2}, reverse=True):
                other = replace(caps, **{name: value})
                if value > 0 and value != now and fits(farm, replace(group, caps=other)):
                    yield other
    if group.offers(P1) and caps.precommit1_hold_max:
        most = hold_room(farm, group)
        now = caps.precommit1_hold_max
        for value in sorted({most, now * 2, now + 1, now - 1}, reverse=True):
            if 0 < value <= most and value != now:
                yield replace(caps, precommit1_hold_max=value)
    if group.offers(P1) and group.offers(P2):
        yield replace(caps, force_p2_from_local_p1=not caps.force_p2_from_local_p1)


def fits(farm: FarmSpec, group: Group) -> bool:
    """Whether all that the caps allow at once has room in memory, and on the disk of those that write to it."""
    return memory_needed(farm, group) <= group.memory and group.caps.precommit1_max <= max(
        1, hold_room(farm, group) if group.offers(P1) else group.caps.precommit1_max
    )


def memory_needed(farm: FarmSpec, group: Group) -> int:
    """Bytes with every slot in use: PC1 as the farm file says, PC2 and C2 as Lotus's table does."""
    needed = group.caps.precommit1_max * group.p1_memory if group.offers(P1) else 0
    for stage, number in ((P2, group.caps.precommit2_max), (C2, group.caps.commit2_max)):
        if group.offers(stage):
            demand = demand_of({}, stage, farm.proof)
            needed += number * demand.min_memory + demand.base_min_memory
    return needed


def hold_room(farm: FarmSpec, group: Group) -> int:
    """Sectors whose PC1 output, with the piece of each, has room on the group's disk."""
    return group.disk // space(FileType(P1_OUTPUT | UNSEALED), farm.sector_size)


def _within(farm: FarmSpec, group: Group) -> Group:
    """The group with caps that its machine can bear."""
    caps = group.caps
    while caps.precommit1_max > 1 and not fits(farm, replace(group, caps=caps)):
        caps = replace(caps, precommit1_max=caps.precommit1_max - 1)
    for name in ("precommit2_max", "commit2_max"):
        while getattr(caps, name) > 1 and not fits(farm, replace(group, caps=caps)):
            caps = replace(caps, **{name: getattr(caps, name) - 1})
    room = hold_room(farm, group)
    if group.offers(P1) and caps.precommit1_hold_max > max(1, room):
        caps = replace(caps, precommit1_hold_max=max(1, room))
    return replace(group, caps=caps)


def _told(farm: FarmSpec, old: Group, new: Group) -> GroupCaps:
    flags = []
    for flag, (name, _) in CAPS.items():
        value = getattr(new.caps, name)
        if value != getattr(old.caps, name):
            flags.append(f"--{flag}={str(value).lower()}" if isinstance(value, bool) else f"--{flag} {value}")
    needed = memory_needed(farm, new)
    why = [f"memory: {bytes_text(needed)} of {bytes_text(new.memory)} with every slot in use"]
    if new.offers(P1):
        why.append(
            f"disk: room for {hold_room(farm, new)} sectors with their pieces on {bytes_text(new.disk)}"
        )
    return GroupCaps(new.name, tuple(flags), tuple(why))
