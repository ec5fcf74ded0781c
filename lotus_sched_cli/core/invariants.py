"""What must hold at all times. On in tests, off in production: it looks at every task × worker."""

from __future__ import annotations

from collections import Counter

from . import space
from .decisions import Why
from .farm import Farm
from .files import holders_of
from .tasks import Kind, SectorId, TaskType

_P1, _P2 = TaskType.PRECOMMIT1, TaskType.PRECOMMIT2


def before_pass(farm: Farm) -> None:
    """Remember what each worker carried, so that ``check`` sees what the pass has bound."""
    for worker in farm.workers.values():
        worker.carried_before = frozenset(worker.carried)
    for task in farm.promised.values():
        assert task.promise is not None
        task.promise.new = False


def check(farm: Farm) -> None:
    """AssertionError that names the invariant that broke."""
    _ledgers(farm)
    _bindings(farm)
    _holds(farm)
    _promises(farm)
    _rooms(farm)
    _pieces(farm)
    _queue(farm)
    farm.policy.validate(farm.now)


def _ledgers(farm: Farm) -> None:
    for worker in farm.workers.values():
        types = Counter(task.spec.type for task in worker.carried.values())
        proofs = Counter((task.spec.type, task.spec.proof) for task in worker.carried.values())
        assert {k: n for k, n in worker.by_type.items() if n} == types, f"{worker.id}: counts by type"
        assert {k: n for k, n in worker.by_proof.items() if n} == proofs, f"{worker.id}: counts by proof"
        for kind in Kind:
            carried = sum(n for t, n in types.items() if t.kind is kind)
            assert worker.of(kind) == carried, f"{worker.id}: {kind} carried"
        for task_id, task in worker.carried.items():
            assert farm.tasks.get(task_id) is task and task.worker is worker, (
                f"{task_id}: carried by one worker"
            )
    carried_total = sum(len(worker.carried) for worker in farm.workers.values())
    bound = sum(task.state != "queued" for task in farm.tasks.values())
    assert carried_total == bound, "every bound task is carried once"


def _bindings(farm: Farm) -> None:
    """Nothing is bound to a worker that is not enabled."""
    for worker in farm.workers.values():
        new = [t for i, t in worker.carried.items() if i not in worker.carried_before and not t.restored]
        new = [t for t in new if not t.forced]
        enabled = worker.online and not worker.draining
        assert enabled or not new, f"{worker.id}: bound while not enabled"


def _holds(farm: Farm) -> None:
    refs: dict[str, Counter[SectorId]] = {worker_id: Counter() for worker_id in farm.workers}
    for sector in farm.sectors.values():
        for path_id, placement in sector.files.items():
            path = farm.paths[path_id]
            assert sector.id in path.sectors, f"{path_id} does not know {sector.id}"
            assert placement.holders == holders_of(path, placement), f"holders of {sector.id} on {path_id}"
            for worker_id in placement.holders:
                if worker_id in refs:
                    refs[worker_id][sector.id] += 1
    for worker in farm.workers.values():
        for task in worker.carried.values():
            if task.spec.type is _P1:
                refs[worker.id][task.spec.sector] += 1
        for task in (*worker.promised.values(), *(t for t in worker.carried.values() if t.ahead)):
            refs[worker.id][task.spec.sector] += 1
        assert worker.hold_refs == refs[worker.id], f"{worker.id}: reasons of its hold"
        held = sum(farm.sectors[sector_id].held for sector_id in worker.hold_refs)
        assert worker.hold == held, f"{worker.id}: hold counts {worker.hold}, {held} sectors fill it"
        mine = {p.spec.id for p in farm.paths.values() if worker.id in p.spec.owners}
        assert set(worker.paths) == mine, f"{worker.id}: its paths"


def _promises(farm: Farm) -> None:
    """Files are fetched ahead only for a P2 that waits and that nobody could take, to a worker all of whose P2 run."""
    known = {task_id: task for task_id, task in farm.tasks.items() if task.promise is not None}
    assert farm.promised == known, "the promised tasks"
    for worker in farm.workers.values():
        caps = worker.spec.caps
        mine = {i: t for i, t in known.items() if t.promise is not None and t.promise.worker is worker}
        left = {t.spec.id: t for t, promise in farm.broken if promise.worker is worker}
        assert worker.promised == mine | left, f"{worker.id}: what is fetched ahead to it"
        assert len(mine) <= caps.prefetches, f"{worker.id}: more than {caps.prefetches} promises"
        enabled = worker.known and worker.online and not worker.draining
        assert enabled or not mine, f"{worker.id}: promised while not enabled"
        for task_id, task in mine.items():
            assert task.spec.type is _P2 and task.waiting, f"{task_id}: promised and does not wait"
            assert task.promise is not None
            if not task.promise.new or task.promise.restored:
                continue
            hold = caps.precommit1_hold_max
            assert not hold or not task.sector.held or worker.hold <= hold, f"{worker.id}: hold over {hold}"
            running = sum(t.spec.type is _P2 and t.state == "running" for t in worker.carried.values())
            assert running == worker.p2 >= caps.precommit2_max, f"{worker.id}: promised with a slot free"
            for other in farm.workers.values():
                refusal = farm.policy.judge(task, other, farm.now)
                free = refusal is None or refusal.why is Why.PREFETCHED
                assert not free, f"{task_id}: promised although {other.id} has a slot for it"


def _rooms(farm: Farm) -> None:
    reserved: Counter[str] = Counter()
    for path in farm.paths.values():
        for reservation in path.reservations.values():
            assert reservation.bytes >= 0 and reservation.live, f"{path.spec.id}: a dead reservation"
            reserved[path.spec.id] += reservation.bytes
        assert path.reserved == reserved[path.spec.id] >= 0, f"{path.spec.id}: reserved is not the sum"


def _pieces(farm: Farm) -> None:
    waiting: Counter[str] = Counter()
    pieces: Counter[str] = Counter()
    for sector in farm.sectors.values():
        piece = sector.piece
        if piece is None or not piece.waits:
            continue
        pieces[piece.worker_id] += 1
        if piece.path_id is not None:
            waiting[piece.path_id] += piece.bytes
    for path in farm.paths.values():
        assert path.waiting == waiting[path.spec.id], f"{path.spec.id}: room promised to pieces"
    for worker in farm.workers.values():
        assert worker.pieces == pieces[worker.id], f"{worker.id}: pieces that wait"


def _queue(farm: Farm) -> None:
    """Tasks wait or are carried; none waits that a worker would take as things stand."""
    for task in farm.tasks.values():
        assert farm.sectors.get(task.spec.sector) is task.sector, f"{task.spec.id}: its sector"
        if task.state != "queued":
            assert task.worker is not None and not task.waiting, f"{task.spec.id}: waits and is bound"
            continue
        assert task.worker is None, f"{task.spec.id}: queued on a worker"
        if not task.waiting:
            assert task.not_before > farm.now, f"{task.spec.id}: neither waits nor is delayed"
            continue
        for worker in farm.workers.values():
            refusal = farm.policy.judge(task, worker, farm.now)
            assert refusal is not None, f"{task.spec.id} waits although {worker.id} would take it"
    for path in farm.paths.values():
        if space.healthy(path, farm.now):
            assert path.available is not None
