"""``SealingRecord``: the live farm with its measured durations, for the simulator."""

from __future__ import annotations

from statistics import median

from lotus_sched_cli.lotus.cap_extras import extras_of
from lotus_sched_cli.lotus.farm_record import FarmRecord, RecordedTask, RecordedWorker
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.known_workers import Worker
from lotus_sched_cli.miner.measured import Kind
from lotus_sched_cli.miner.specs import limits_of


def farm_record(miner: Miner) -> FarmRecord:
    """The workers that are connected, as they are now. Asks nobody."""
    settings = miner.config.scheduler()
    pace = miner.chain.settings
    return FarmRecord(
        SectorSize=miner.facts.sector_size,
        Policy=settings.policy,
        SpreadBy=settings.spread_by,
        RetryDelay=settings.retry_delay,
        RetryDelayMax=settings.retry_delay_max,
        WaitSeed=pace.block_delay * (pace.message_confidence + pace.challenge_delay),
        CommitWait=pace.block_delay * pace.message_confidence,
        Sealing=miner.sectors.sealing,
        Workers=[_worker(miner, worker) for worker in miner.workers.live()],
    )


def _worker(miner: Miner, worker: Worker) -> RecordedWorker:
    own, caps = worker.info.Resources, worker.caps
    record = miner.dispatch.desk.measured.records.get(worker.number)
    paths = [path for path in miner.index.paths.values() if worker.id in path.owners]
    limits = limits_of(worker.info)
    return RecordedWorker(
        Name=worker.name,
        Number=worker.number,
        Tasks=sorted(task.short for task in worker.tasks),
        CPUs=own.CPUs,
        GPUs=len(own.GPUs or ()),
        Memory=own.MemPhysical,
        Disk=sum(path.stat.Capacity for path in paths if path.info.CanSeal),
        Storage=sum(path.stat.Capacity for path in paths if path.info.CanStore and not path.info.CanSeal),
        Both=sum(path.stat.Capacity for path in paths if path.info.CanStore and path.info.CanSeal),
        PreCommit1Max=caps.precommit1_max,
        PreCommit1HoldMax=caps.precommit1_hold_max,
        PreCommit2Max=caps.precommit2_max,
        Commit2Max=caps.commit2_max,
        ForceP2FromLocalP1=caps.force_p2_from_local_p1,
        Extras=extras_of(caps),
        Limits={task.short: most for (task, proof), most in limits.items() if proof == miner.facts.proof},
        Rate=median(record.rates) if record is not None and record.rates else 0.0,
        Measured={} if record is None else {t.short: _task(kind) for t, kind in record.kinds.items()},
    )


def _task(kind: Kind) -> RecordedTask:
    return RecordedTask(median(kind.seconds) if kind.seconds else 0.0, kind.done, kind.failed)
