"""A live farm (``SealingRecord``) as a farm for the simulator: workers that are alike become one group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from statistics import median
from typing import Any, Final

import msgspec

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.proofs import seal_proof
from lotus_sched_cli.core.tasks import BY_SHORT, TaskType
from lotus_sched_cli.lotus.cap_extras import with_extras
from lotus_sched_cli.lotus.extras import CapExtras
from lotus_sched_cli.sim.farm import ALWAYS, CHOSEN, DURATIONS, GET, STAGES, Batch, FarmSpec, Group

from .errors import CliError

#: Bytes per second of a worker that has fetched nothing yet: 10 Gbit/s.
NETWORK: Final = 1.25e9
#: What is said of a group of such workers.
NO_NETWORK: Final = "network not measured, nothing was fetched yet: 10Gbit is assumed"
#: PC1 has two layers in memory: Lotus's table gives it twice a sector, 64 GiB for 32 GiB.
P1_LAYERS: Final = 2
#: A share of failures is only written down from so many tasks on.
ENOUGH: Final = 10
_TASKS: Final = frozenset(CHOSEN) | ALWAYS


def farm_of(record: dict[str, Any], name: str) -> tuple[FarmSpec, dict[str, list[str]]]:
    """The farm, and remarks by group (``""``: on the whole). Raises CliError for one that cannot seal."""
    if not record["Workers"]:
        raise CliError("no worker is connected", "record the farm while its workers are ('sealing workers')")
    alike: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for worker in record["Workers"]:
        alike.setdefault(_likeness(worker), []).append(worker)
    groups: list[Group] = []
    both: set[str] = set()
    remarks = {"": _top(record)}
    for workers in alike.values():
        group, said = _group(record, workers, {g.name for g in groups})
        groups.append(group)
        remarks[group.name] = said
        if all(worker["Both"] for worker in workers):
            both.add(group.name)
    groups = _with_storage(groups, both, remarks)
    stop = _last_stage(groups)
    count = max(1, record["Sealing"], 2 * sum(group.slots(TaskType.PRECOMMIT1) or 0 for group in groups))
    farm = FarmSpec(
        name=name,
        groups=tuple(groups),
        batches=(Batch(count, stop=stop),),
        note="recorded from a live farm",
        sector_size=record["SectorSize"],
        proof=seal_proof(record["SectorSize"]),
        wait_seed=record["WaitSeed"],
        commit_wait=record["CommitWait"],
        policies=("balanced", "windowed"),
        spread_by=record["SpreadBy"],
        retry_delay=record["RetryDelay"],
        retry_delay_max=record["RetryDelayMax"],
    )
    return farm, remarks


def _top(record: dict[str, Any]) -> list[str]:
    return [
        f"Recorded from a live farm under the {record['Policy']} policy; {record['Sealing']} sectors were on their way.",
        "Durations are medians of the last tasks on each worker, with what ran beside them; those that no worker has",
        "done yet are the simulator's defaults and are named. Sectors: as many as fill every PC1 slot twice; change it.",
    ]


def _likeness(worker: dict[str, Any]) -> tuple[Any, ...]:
    """Equal for workers that make one group: the same machine and settings; disks may differ by a few per cent."""
    same = (
        "CPUs",
        "GPUs",
        "PreCommit1Max",
        "PreCommit1HoldMax",
        "PreCommit2Max",
        "Commit2Max",
        "ForceP2FromLocalP1",
    )
    return (
        tuple(worker["Tasks"]),
        tuple(worker[key] for key in same),
        tuple(sorted(worker["Limits"].items())),
        tuple(sorted(worker.get("Extras", {}).items())),
        round(worker["Memory"] / (16 << 30)),
        *(f"{worker[key]:.1e}" for key in ("Disk", "Storage", "Both")),
    )


def _group(record: dict[str, Any], workers: list[dict[str, Any]], taken: set[str]) -> tuple[Group, list[str]]:
    first = workers[0]
    tasks = frozenset(BY_SHORT[short] for short in first["Tasks"] if short in BY_SHORT) & _TASKS
    durations, said = _durations(workers, tasks)
    rates = [worker["Rate"] for worker in workers if worker["Rate"]]
    if not rates:
        said.append(NO_NETWORK)
    names = ", ".join(worker["Name"] for worker in workers[:8])
    group = Group(
        name=_unused("-".join(t.short.lower() for t in CHOSEN if t in tasks) or "storage", taken),
        count=len(workers),
        tasks=tasks | ALWAYS,
        caps=_caps(first),
        limits={BY_SHORT[s]: n for s, n in first["Limits"].items() if BY_SHORT.get(s) in _TASKS},
        cpus=max(1, first["CPUs"]),
        gpus=first["GPUs"],
        memory=first["Memory"],
        disk=min(worker["Disk"] for worker in workers),
        storage=min(worker["Storage"] for worker in workers),
        network=median(rates) if rates else NETWORK,
        durations=durations,
        p1_memory=P1_LAYERS * record["SectorSize"],
        failures=_failures(workers),
    )
    return group, [names + ("" if len(workers) <= 8 else f" and {len(workers) - 8} more"), *said]


def _caps(worker: dict[str, Any]) -> Caps:
    caps = Caps(
        worker["PreCommit1Max"],
        worker["PreCommit1HoldMax"],
        worker["PreCommit2Max"],
        worker["Commit2Max"],
        worker["ForceP2FromLocalP1"],
    )
    return with_extras(caps, msgspec.convert(worker.get("Extras", {}), CapExtras))


def _durations(
    workers: Iterable[dict[str, Any]], tasks: frozenset[TaskType]
) -> tuple[dict[TaskType, float], list[str]]:
    """Medians over the group's workers; the defaults where nobody has done such a task, named in a remark."""
    found, guessed = {}, []
    for stage, default in DURATIONS.items():
        seen = [w["Measured"][stage.short]["Seconds"] for w in workers if _done(w, stage)]
        found[stage] = round(median(seen), 3) if seen else default
        if not seen and stage in tasks:
            guessed.append(stage.short)
    return found, [f"not measured yet: {', '.join(guessed)}"] if guessed else []


def _done(worker: dict[str, Any], stage: TaskType) -> bool:
    measured = worker["Measured"].get(stage.short)
    return bool(measured and measured["Done"])


def _failures(workers: Iterable[dict[str, Any]]) -> dict[TaskType, float]:
    shares = {}
    for stage in STAGES:
        kinds = [worker["Measured"].get(stage.short) for worker in workers]
        done = sum(kind["Done"] for kind in kinds if kind)
        failed = sum(kind["Failed"] for kind in kinds if kind)
        if failed and done and done + failed >= ENOUGH:
            shares[stage] = round(failed / (done + failed), 4)
    return shares


def _unused(name: str, taken: set[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}-{number}"
    return unique


def _with_storage(groups: list[Group], both: set[str], remarks: dict[str, list[str]]) -> list[Group]:
    """Where only sealing paths store, nobody has storage of his own: the simulator keeps the two apart."""
    if any(group.storage for group in groups):
        return groups
    for name in both:
        remarks[name].append(
            "its sealing paths store too; the simulator gives it as much room again for that"
        )
    return [replace(group, storage=group.disk) if group.name in both else group for group in groups]


def _last_stage(groups: list[Group]) -> TaskType:
    """Up to where sectors get in this farm. Raises CliError if they do not even begin."""
    last = None
    for stage in STAGES:
        able = any(group.offers(stage) for group in groups)
        if not able or (stage is GET and not any(group.storage for group in groups)):
            break
        last = stage
    if last is None:
        raise CliError("no worker takes AP", "connect the workers that begin sectors, then record again")
    return last
