"""Real sealing: what the worker adds to the program, PC1 side by side, and memory beside Lotus's table.

``LOTUS_BENCH_512=1`` adds AP, PC1, PC2 and C1 of 512MiB: some ten minutes of two idle processors and 6 GB of disk.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from lotus_sched_cli.core.proofs import SIZE_NAMES, sector_size
from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus.rpc.streams import NullReader
from lotus_sched_cli.lotus.types import PieceInfo, SectorCids, SectorID, SectorRef
from lotus_sched_cli.lotus.units import size_str
from lotus_sched_cli.sealers import prover
from lotus_sched_cli.sealers.base import Job, Usage
from lotus_sched_cli.sealers.proofs import ProofsSealer
from lotus_sched_cli.sealers.proofsconfig import ProofsConfig
from lotus_sched_cli.worker.resources import table

from .rows import Row

TICKET, SEED = bytes([1]) * 32, bytes([2]) * 32
ROUNDS = 15
#: Overhead that a task may have, seconds, and as part of a PC1 of 512MiB; two PC1 against one.
OVERHEAD, OVERHEAD_512, SIDE_BY_SIDE = 0.1, 0.03, 1.7
BIG = "LOTUS_BENCH_512"


class Sector:
    """A sector in a folder of its own; ``used`` has the last figures of each task."""

    def __init__(self, sealer: ProofsSealer, root: Path, proof: int, number: int) -> None:
        self.sealer, self.ref = sealer, SectorRef(SectorID(1000, number), proof)
        names = {FileType.UNSEALED: "unsealed", FileType.SEALED: "sealed", FileType.CACHE: "cache"}
        self.files = {kind: root / name / str(self.ref.ID) for kind, name in names.items()}
        for file in self.files.values():
            file.parent.mkdir(parents=True, exist_ok=True)
        self.used: dict[TaskType, Usage] = {}

    def job(self, task: TaskType) -> Job:
        return Job("bench", task, self.ref, report=lambda usage: self.used.__setitem__(task, usage))

    async def add(self) -> PieceInfo:
        size = sector_size(self.ref.ProofType) // 128 * 127
        job = self.job(TaskType.ADD_PIECE)
        return await self.sealer.add_piece(job, [], size, NullReader(size), self.files)

    async def pc1(self, piece: PieceInfo) -> bytes:
        return await self.sealer.precommit1(self.job(TaskType.PRECOMMIT1), TICKET, [piece], self.files)

    async def pc2(self, out: bytes) -> SectorCids:
        return await self.sealer.precommit2(self.job(TaskType.PRECOMMIT2), out, self.files)

    async def c1(self, piece: PieceInfo, cids: SectorCids) -> bytes:
        job = self.job(TaskType.COMMIT1)
        return await self.sealer.commit1(job, TICKET, SEED, [piece], cids, self.files)


def run() -> list[Row]:
    program = prover.find(os.environ)
    if program is None:
        return [Row("real sealing", "not measured", f"{prover.PROGRAM} is not built: make proofs")]
    with tempfile.TemporaryDirectory(prefix="lotus-bench-") as folder:
        return asyncio.run(_measure(program, Path(folder)))


async def _measure(program: Path, root: Path) -> list[Row]:
    environ = dict(os.environ) | {"FIL_PROOFS_PARENT_CACHE": str(root / "parents")}
    sealer = ProofsSealer(program, environ)
    rows = [await _overhead(sealer, root / "small")]
    rows.append(await _two_at_once(program, environ, root))
    rows += await _memory(sealer, root)
    return rows


async def _overhead(sealer: ProofsSealer, root: Path) -> Row:
    """A task's time at the worker, less what its process says of itself."""
    sector = Sector(sealer, root, 5, 1)
    added: list[float] = []
    for _ in range(ROUNDS):
        sector.files[FileType.UNSEALED].unlink(missing_ok=True)
        began = time.perf_counter()
        piece = await sector.add()
        added.append(time.perf_counter() - began - sector.used[TaskType.ADD_PIECE].seconds)
        began = time.perf_counter()
        await sector.pc1(piece)
        added.append(time.perf_counter() - began - sector.used[TaskType.PRECOMMIT1].seconds)
    median, worst = statistics.median(added), max(added)
    return Row(
        "worker's overhead of a task (AP, PC1 of 2KiB)",
        f"{median * 1000:.0f} ms",
        f"worst of {len(added)}: {worst * 1000:.0f} ms",
        "≤ 100 ms",
        median <= OVERHEAD,
    )


async def _two_at_once(program: Path, environ: dict[str, str], root: Path) -> Row:
    sealer = ProofsSealer(program, environ, ProofsConfig(environment={"RAYON_NUM_THREADS": "1"}))
    sectors = [Sector(sealer, root / "pair", 6, number) for number in (1, 2)]
    pieces = [await sector.add() for sector in sectors]
    await sectors[0].pc1(pieces[0])  # the parent cache is made, and read once

    async def seconds(count: int) -> float:
        began = time.perf_counter()
        await asyncio.gather(*(s.pc1(p) for s, p in zip(sectors[:count], pieces, strict=False)))
        return time.perf_counter() - began

    ratios, ones = [], []
    for _ in range(3):
        one, two = await seconds(1), await seconds(2)
        ratios.append(2 * one / two)
        ones.append(one)
    ratio = statistics.median(ratios)
    return Row(
        "two PC1 of 8MiB at once, one thread each, against one",
        f"{ratio:.2f} ×",
        f"one takes {statistics.median(ones):.1f} s, {os.cpu_count()} processors",
        "≥ 1.7 ×",
        ratio >= SIDE_BY_SIDE,
    )


async def _memory(sealer: ProofsSealer, root: Path) -> list[Row]:
    rows: list[Row] = []
    parameters = prover.environment(os.environ, 2048).get(prover.PARAMETERS)
    for proof in (5, 6, 7) if os.environ.get(BIG) else (5, 6):
        sector = Sector(sealer, root / f"size-{proof}", proof, 1)
        piece = await sector.add()
        began = time.perf_counter()
        out = await sector.pc1(piece)
        whole = time.perf_counter() - began
        if proof == 7:
            rows.append(_part(whole, sector.used[TaskType.PRECOMMIT1].seconds))
        out = await sector.c1(piece, await sector.pc2(out))
        if proof == 5 and parameters and list(Path(parameters).glob("*.params")):
            await sector.sealer.commit2(sector.job(TaskType.COMMIT2), out)
        rows += [_peak(task, proof, used) for task, used in sector.used.items()]
    return rows


def _part(whole: float, own: float) -> Row:
    """What the worker added to a PC1 that took ``own`` seconds by its own account."""
    part = (whole - own) / own
    return Row(
        "worker's overhead of a PC1 of 512MiB",
        f"{part:.2%}",
        f"{(whole - own) * 1000:.0f} ms of {own:.0f} s",
        "≤ 3 %",
        part <= OVERHEAD_512,
    )


def _peak(task: TaskType, proof: int, used: Usage) -> Row:
    needs = table({})[task][proof]
    return Row(
        f"peak memory of {task.short}, {SIZE_NAMES[sector_size(proof)]}",
        size_str(used.max_rss),
        f"Lotus's table: {size_str(needs.max_memory + needs.base_min_memory)}; "
        f"took {used.seconds:.2f} s, {used.cpu_seconds:.2f} s of processors",
    )
