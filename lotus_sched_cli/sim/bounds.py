"""What no scheduler can beat: lower bounds of a farm's makespan, each with the words that say where it comes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from lotus_sched_cli.core.needs import P1_OUTPUT, UNSEALED
from lotus_sched_cli.core.proofs import space
from lotus_sched_cli.core.tasks import FileType, PathType, TaskType

from .farm import AP, C1, C2, FIN, FUS, GET, P1, P2, STAGES, Batch, FarmSpec, Group
from .quantities import bytes_text, duration
from .trace import Trace


@dataclass(frozen=True, slots=True)
class Bound:
    """``seconds`` before which nobody can be done, and why."""

    name: str
    seconds: float
    why: str


def stated(farm: FarmSpec) -> Bound:
    """The bound that a run is held against: over the stages, the shortest time before it + ⌈tasks / slots⌉ × its
    shortest time + the shortest time after it; at least the critical path of the sector that comes last. Where files are
    fetched ahead only the first of a slot's PC2 has to wait for them."""
    return max(_stated(farm), key=lambda bound: bound.seconds)


def refined(farm: FarmSpec, trace: Trace) -> list[Bound]:
    """Bounds that also look at unlike machines, at what tasks share and at how long they really took, largest first."""
    found = [*_stated(farm), *_own_speeds(farm), *_gpus(farm), *_disks(farm), *_links(farm)]
    found += [*_as_it_went(farm, trace), *_path_as_it_went(farm, trace)]
    return sorted(found, key=lambda bound: -bound.seconds)


def shortest(farm: FarmSpec, stage: TaskType) -> float:
    """The least time in which anybody does the stage, files that must come from elsewhere included."""
    return min((_alone(farm, group, stage) for group in _takers(farm, stage)), default=0.0)


def _stated(farm: FarmSpec) -> Iterable[Bound]:
    for stage in STAGES:
        tasks = _tasks(farm, stage)
        slots = [group.slots(stage) for group in farm.groups]
        if tasks and None not in slots:
            total = sum(slot for slot in slots if slot)
            rounds, time = ceil(tasks / total), shortest(farm, stage)
            before, after = _around(farm, stage)
            next_ = min((_next(farm, group, stage) for group in _takers(farm, stage)), default=0.0)
            spent = f"{rounds} × {duration(time)}"
            if next_ < time:
                spent = f"{duration(time)} + {rounds - 1} × {duration(next_)}"
            yield Bound(
                stage.short,
                before + time + (rounds - 1) * next_ + after,
                f"{tasks} {stage.short} in {total} slots: {duration(before)} before, {spent},"
                f" {duration(after)} after",
            )
    for batch in farm.batches:
        last = batch.first + (0 if batch.keep else (batch.count - 1) * batch.every)
        path = _path(farm, batch, STAGES)
        yield Bound(
            "path", last + path, f"the last sector comes at {duration(last)} and takes {duration(path)}"
        )


def _own_speeds(farm: FarmSpec) -> Iterable[Bound]:
    """Every group at its own speed, and with what its tasks take from each other."""
    for stage in STAGES:
        tasks, takers = _tasks(farm, stage), _takers(farm, stage)
        if not tasks or any(group.slots(stage) is None for group in takers):
            continue
        before, after = _around(farm, stage)
        lanes = [(_lanes(group, stage), _next(farm, group, stage)) for group in takers]
        rate = sum(n / each for n, each in lanes if each)
        time = tasks / rate if rate else 0.0
        yield Bound(
            f"{stage.short} speed",
            before + time + after,
            f"{tasks} {stage.short} with every group at its own speed and {sum(n for n, _ in lanes):.4g} at full speed"
            f" side by side",
        )


def _gpus(farm: FarmSpec) -> Iterable[Bound]:
    """PC2 and C2 on the same cards."""
    takers = [group for group in farm.groups if group.offers(P2) or group.offers(C2)]
    if not takers or any(not group.gpus for group in takers):
        return
    cards = sum(
        group.count * group.gpus * (1 + group.gpu_overlap * (_most_on_gpu(group) - 1)) for group in takers
    )
    work = sum(
        _tasks(farm, stage) * min(group.durations[stage] for group in _takers(farm, stage))
        for stage in (P2, C2)
        if _tasks(farm, stage)
    )
    ends = [_around(farm, stage) for stage in (P2, C2) if _tasks(farm, stage)]
    if ends:
        before, after = min(end[0] for end in ends), min(end[1] for end in ends)
        yield Bound(
            "GPU",
            before + work / cards + after,
            f"{duration(work)} of PC2 and C2 on {cards:.4g} GPUs' worth of cards",
        )


def _disks(farm: FarmSpec) -> Iterable[Bound]:
    """What a sector keeps on sealing disks from its PC1 to its FIN."""
    batches = [batch for batch in farm.batches if {P1, FIN} <= set(batch.stages)]
    if not batches:
        return
    stages = STAGES[STAGES.index(P1) : STAGES.index(FIN) + 1]
    size = space(FileType(P1_OUTPUT), farm.sector_size)
    room = sum(group.count * (group.disk // size) for group in farm.groups)
    if room:
        rounds = ceil(sum(batch.count for batch in batches) / room)
        dwell = min(_path(farm, batch, stages) for batch in batches)
        before = min(_before(farm, batch, P1) for batch in batches)
        yield Bound(
            "disk",
            before + rounds * dwell,
            f"{room} sectors of {bytes_text(size)} have room at once, each for {duration(dwell)} from PC1 to FIN",
        )


def _links(farm: FarmSpec) -> Iterable[Bound]:
    """Moves to long-term storage through the network cards of those that store."""
    moved = _tasks(farm, GET)
    local = any(group.storage and group.disk for group in farm.groups)
    rate = sum(group.count * group.network for group in farm.groups if group.storage)
    if moved and rate and not local:
        size = space(FileType(P1_OUTPUT), farm.sector_size, PathType.STORAGE)
        before, after = _around(farm, GET)
        yield Bound(
            "storage link",
            before + moved * size / rate + after,
            f"{bytes_text(moved * size)} into long-term storage at {bytes_text(rate)}/s",
        )


def _as_it_went(farm: FarmSpec, trace: Trace) -> Iterable[Bound]:
    """Each task, failed ones included, for as long as it kept its slot in this run."""
    spent: dict[TaskType, float] = dict.fromkeys(STAGES, 0.0)
    number: dict[TaskType, int] = dict.fromkeys(STAGES, 0)
    for span in trace.spans:
        spent[span.stage] += span.end - span.slot
        number[span.stage] += 1
    for stage in STAGES:
        slots = [group.slots(stage) for group in farm.groups]
        if spent[stage] and None not in slots:
            total = sum(slot for slot in slots if slot)
            before, after = _around(farm, stage)
            yield Bound(
                f"{stage.short} as it went",
                before + spent[stage] / total + after,
                f"{number[stage]} {stage.short} kept {total} slots for {duration(spent[stage] / number[stage])}"
                " on average, fetching, sharing machines and failing included",
            )


def _path_as_it_went(farm: FarmSpec, trace: Trace) -> Iterable[Bound]:
    """The sector whose own tasks end last if none of them ever waits: on the machines and with the luck of this run."""
    own = dict.fromkeys(trace.came, 0.0)
    failed = dict.fromkeys(trace.came, 0)
    reached: dict[int, set[TaskType]] = {sector: set() for sector in trace.came}
    for span in trace.spans:
        own[span.sector] += span.end - span.slot
        failed[span.sector] += span.outcome == "failed"
        reached[span.sector].add(span.stage)
    for sector, stages in reached.items():
        own[sector] += farm.wait_seed * (C1 in stages and P2 in stages) + farm.commit_wait * (
            FUS in stages and C2 in stages
        )
    if own:
        last = max(own, key=lambda sector: trace.came[sector] + own[sector])
        tries = f", {failed[last]} failed tries among them" if failed[last] else ""
        yield Bound(
            "path as it went",
            trace.came[last] + own[last],
            f"sector {last} came at {duration(trace.came[last])}, and its own tasks took {duration(own[last])} where they"
            f" ran{tries}",
        )


# -- times and places --------------------------------------------------------------------------------------------------


def _takers(farm: FarmSpec, stage: TaskType) -> list[Group]:
    return [group for group in farm.groups if group.offers(stage)]


def _tasks(farm: FarmSpec, stage: TaskType) -> int:
    return sum(batch.count for batch in farm.batches if stage in batch.stages)


def _alone(farm: FarmSpec, group: Group, stage: TaskType) -> float:
    """Seconds of the stage on a machine of the group that has nothing else to do."""
    if stage is GET:
        local = any(other.storage and other.disk for other in farm.groups)
        size = space(FileType(P1_OUTPUT), farm.sector_size, PathType.STORAGE)
        return 0.0 if local or not group.storage else size / _rate(farm, group)
    return group.durations[stage] * (1 - farm.jitter) + _fetch(farm, group, stage)


def _next(farm: FarmSpec, group: Group, stage: TaskType) -> float:
    """Seconds in which a slot that has had its first task does one more: files may have been fetched ahead."""
    if stage is P2 and group.caps.prefetches:
        return min(group.durations[stage] * (1 - farm.jitter), _alone(farm, group, stage))
    return _alone(farm, group, stage)


def _fetch(farm: FarmSpec, group: Group, stage: TaskType) -> float:
    """Seconds for files that cannot lie there already, because nobody who makes them takes this stage."""
    maker, types = {P1: (AP, UNSEALED), P2: (P1, P1_OUTPUT)}.get(stage, (None, 0))
    made_here = (
        any(maker in batch.stages for batch in farm.batches) and maker is not None and group.offers(maker)
    )
    lies_here = any(batch.start is stage and batch.on == group.name for batch in farm.batches)
    if maker is None or made_here or lies_here:
        return 0.0
    return space(FileType(types), farm.sector_size) / _rate(farm, group)


def _rate(farm: FarmSpec, group: Group) -> float:
    return min(group.network, max(other.network for other in farm.groups))


def _lanes(group: Group, stage: TaskType) -> float:
    """Tasks' worth of full speed that the group can do side by side."""
    each = float((group.slots(stage) or 0) / group.count)
    if stage is P1 and group.p1_full_speed:
        each = min(each, group.p1_full_speed)
    if stage in (P2, C2) and group.gpus:
        per_card = max(1.0, each / group.gpus)
        each = min(each, group.gpus * (1 + group.gpu_overlap * (per_card - 1)))
    return each * group.count


def _most_on_gpu(group: Group) -> float:
    slots = sum(group.slots(stage) or 0 for stage in (P2, C2)) / group.count
    return max(1.0, slots / group.gpus)


def _path(farm: FarmSpec, batch: Batch, stages: Iterable[TaskType]) -> float:
    """The shortest way of a sector through those of the stages that its batch has, waits on the chain between them
    included."""
    own = [stage for stage in stages if stage in batch.stages]
    waits = {P2: farm.wait_seed, C2: farm.commit_wait}
    return sum(shortest(farm, stage) for stage in own) + sum(
        waits.get(stage, 0.0) for stage in own if stage is not batch.stop and stage is not own[-1]
    )


def _before(farm: FarmSpec, batch: Batch, stage: TaskType) -> float:
    upto = STAGES[: STAGES.index(stage) + 1]
    return batch.first + _path(farm, batch, upto) - shortest(farm, stage)


def _around(farm: FarmSpec, stage: TaskType) -> tuple[float, float]:
    """The shortest time before the stage's first task and after its last."""
    batches = [batch for batch in farm.batches if stage in batch.stages]
    since = STAGES[STAGES.index(stage) :]
    return (
        min(_before(farm, batch, stage) for batch in batches),
        min(_path(farm, batch, since) - shortest(farm, stage) for batch in batches),
    )
