"""A rehearsal's sealer: right forms, right files, and nothing of one run is taken for another's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from lotus_sched_cli.core.proofs import GIB, proof_bytes, space, unpadded
from lotus_sched_cli.core.tasks import FileType, PathType, SectorId, TaskType
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.rpc.streams import BytesReader, NullReader
from lotus_sched_cli.lotus.types import PieceInfo, SectorCids, SectorID, SectorRef
from lotus_sched_cli.sealers import standins
from lotus_sched_cli.sealers.base import Job, SealError
from lotus_sched_cli.sealers.simconfig import Failure, SimConfig
from lotus_sched_cli.sealers.simspace import SimSpace
from lotus_sched_cli.sealers.simulated import SimulatedSealer
from lotus_sched_cli.sealers.verify import SealClaim, StandInVerifier

TICKET, SEED = bytes([1]) * 32, bytes([2]) * 32
QUICK = SimConfig(speed=1e9)


def ref(number: int = 15, proof: int = 8) -> SectorRef:
    return SectorRef(SectorID(1000, number), proof)


class Bench:
    """A sector's places in one folder, and its tasks one after another."""

    def __init__(self, root: Path, sector: SectorRef, sealer: SimulatedSealer | None = None) -> None:
        self.sealer = sealer or SimulatedSealer(QUICK)
        self.sector = sector
        self.files = {
            FileType.UNSEALED: root / "unsealed" / str(sector.ID),
            FileType.SEALED: root / "sealed" / str(sector.ID),
            FileType.CACHE: root / "cache" / str(sector.ID),
        }
        for file in self.files.values():
            file.parent.mkdir(parents=True, exist_ok=True)
        self.size = 2048 if sector.ProofType == 5 else 32 * GIB

    def job(self, task: TaskType, gpu: int | None = None) -> Job:
        return Job("call", task, self.sector, gpu)

    async def add_piece(self) -> PieceInfo:
        size = unpadded(self.size)
        return await self.sealer.add_piece(
            self.job(TaskType.ADD_PIECE), [], size, NullReader(size), self.files
        )

    async def pc1(self, pieces: list[PieceInfo], ticket: bytes = TICKET) -> bytes:
        return await self.sealer.precommit1(self.job(TaskType.PRECOMMIT1), ticket, pieces, self.files)

    async def pc2(self, out: bytes) -> SectorCids:
        return await self.sealer.precommit2(self.job(TaskType.PRECOMMIT2), out, self.files)

    async def c1(self, pieces: list[PieceInfo], sealed: SectorCids, ticket: bytes = TICKET) -> bytes:
        return await self.sealer.commit1(self.job(TaskType.COMMIT1), ticket, SEED, pieces, sealed, self.files)

    def cache(self) -> set[str]:
        return {file.name for file in self.files[FileType.CACHE].iterdir()}


@pytest.mark.parametrize("proof", [5, 8])
async def test_a_sector_goes_from_piece_to_a_proof_that_the_stand_in_chain_takes(
    tmp_path: Path, proof: int
) -> None:
    bench = Bench(tmp_path, ref(proof=proof))
    piece = await bench.add_piece()
    assert str(piece.PieceCID) == cids.zero_piece_cid(bench.size)
    sealed = await bench.pc2(await bench.pc1([piece]))
    assert str(sealed.Unsealed) == cids.zero_piece_cid(bench.size), "CommD of a CC sector is its only piece"
    proof_text = await bench.sealer.commit2(bench.job(TaskType.COMMIT2), await bench.c1([piece], sealed))
    assert len(proof_text) == proof_bytes(proof)
    good = SealClaim(
        proof_type=proof,
        sector=SectorId(1000, 15),
        ticket=TICKET,
        seed=SEED,
        comm_d=str(sealed.Unsealed),
        comm_r=str(sealed.Sealed),
        proof=proof_text,
        pieces=[piece],
    )
    check = StandInVerifier().verify_seal
    assert await check(good)
    assert not await check(replace(good, proof=proof_text[:-1]))
    assert not await check(replace(good, comm_r=good.comm_d))
    assert not await check(replace(good, comm_d=good.comm_r))
    assert not await check(replace(good, comm_d=cids.zero_piece_cid(bench.size * 2)))
    assert not await check(replace(good, comm_d="no cid"))


async def test_the_cache_folder_holds_what_lotus_leaves_there_after_each_step(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ref(proof=5))
    piece = await bench.add_piece()
    out = await bench.pc1([piece])
    layers = {"sc-02-data-layer-1.dat", "sc-02-data-layer-2.dat", "sc-02-data-tree-d.dat"}
    assert bench.cache() == layers
    await bench.pc2(out)
    aux = {"p_aux", "t_aux", "sc-02-data-tree-r-last.dat"}
    assert bench.cache() == layers | aux | {"sc-02-data-tree-c.dat"}
    assert (bench.files[FileType.CACHE] / "p_aux").stat().st_size == 64
    await bench.sealer.finalize(bench.job(TaskType.FINALIZE), bench.files)
    assert bench.cache() == aux
    assert bench.files[FileType.SEALED].stat().st_size == 2048


async def test_stand_ins_of_a_32gib_sector_are_small_and_count_as_what_they_stand_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ref(proof=8))
    await bench.pc2(await bench.pc1([await bench.add_piece()]))
    real = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert real < 64 * 1024
    pretend = SimSpace(SimConfig(paths={"*": 2 << 40}), 32 * GIB)
    needed = space(FileType.UNSEALED | FileType.SEALED | FileType.CACHE, 32 * GIB, PathType.SEALING)
    volume = pretend.volume(tmp_path)
    used = volume.capacity - volume.available
    assert volume.capacity == 2 << 40
    assert 0.97 * needed < used <= needed * 1.01
    assert pretend.usage(bench.files[FileType.SEALED]) == 32 * GIB


async def test_a_path_without_a_pretended_capacity_has_the_figures_of_its_disk(tmp_path: Path) -> None:
    from lotus_sched_cli.storage.fsstat import DiskSpace

    pretend = SimSpace(SimConfig(paths={"/elsewhere": 1 << 40}), 32 * GIB)
    assert pretend.volume(tmp_path).capacity == DiskSpace().volume(tmp_path).capacity


async def test_another_ticket_gives_another_sector_and_its_files_are_not_taken_for_the_first_ones(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, ref(proof=5))
    piece = await bench.add_piece()
    first = await bench.pc1([piece])
    sealed = await bench.pc2(first)
    second = await bench.pc1([piece], ticket=bytes([9]) * 32)
    with pytest.raises(SealError, match="another run"):
        await bench.pc2(first)
    again = await bench.pc2(second)
    assert again.Sealed != sealed.Sealed
    with pytest.raises(SealError):
        await bench.c1([piece], sealed)


async def test_a_tampered_cache_fails_commit1_in_the_fields_words(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ref(proof=5))
    piece = await bench.add_piece()
    sealed = await bench.pc2(await bench.pc1([piece]))
    (bench.files[FileType.CACHE] / "p_aux").write_bytes(bytes(64))
    with pytest.raises(SealError, match="Invalid vanilla proof generated"):
        await bench.c1([piece], sealed)


async def test_piece_data_that_ends_early_or_does_not_fit_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ref(proof=5))
    job = bench.job(TaskType.ADD_PIECE)
    with pytest.raises(SealError, match="ended after 3 of 127"):
        await bench.sealer.add_piece(job, [], 127, BytesReader(b"abc"), bench.files)
    with pytest.raises(SealError, match="does not fit"):
        await bench.sealer.add_piece(job, [2032], 127, NullReader(127), bench.files)


async def test_the_same_seed_takes_the_same_time_and_fails_the_same_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("lotus_sched_cli.sealers.simulated.asyncio.sleep", sleep)
    rules = (Failure(TaskType.FINALIZE, rate=0.5),)

    async def run() -> list[str]:
        slept.clear()
        told = []
        sealer = SimulatedSealer(SimConfig(seed=7, failures=rules))
        for number in range(20):
            bench = Bench(tmp_path, ref(number, 5), sealer)
            bench.files[FileType.CACHE].mkdir(exist_ok=True)
            try:
                await sealer.finalize(bench.job(TaskType.FINALIZE), bench.files)
                told.append("ok")
            except SealError as why:
                told.append(why.text)
        return [*told, *map(str, slept)]

    once = await run()
    assert once == await run()
    assert 3 < once[:20].count("ok") < 17
    assert "simulated" in next(text for text in once if text != "ok")
    assert all(270 * 0.4 <= float(seconds) <= 330 for seconds in once[20:])


async def test_listed_sectors_fail_so_many_times_and_then_succeed(tmp_path: Path) -> None:
    rule = Failure(TaskType.FINALIZE, sectors=frozenset({15}), times=2, text="bad luck")
    sealer = SimulatedSealer(SimConfig(speed=1e9, failures=(rule,)))
    bench = Bench(tmp_path, ref(15, 5), sealer)
    bench.files[FileType.CACHE].mkdir()
    for _ in range(2):
        with pytest.raises(SealError, match="bad luck"):
            await sealer.finalize(bench.job(TaskType.FINALIZE), bench.files)
    await sealer.finalize(bench.job(TaskType.FINALIZE), bench.files)


async def test_two_c2_on_one_card_take_turns_and_on_two_cards_run_together(tmp_path: Path) -> None:
    config = SimConfig(jitter=0, durations={TaskType.COMMIT2: 0.05})

    async def both(*cards: int) -> float:
        bench = Bench(tmp_path, ref(proof=5), SimulatedSealer(config))
        quick = Bench(tmp_path, ref(proof=5))
        piece = await quick.add_piece()
        c1 = await quick.c1([piece], await quick.pc2(await quick.pc1([piece])))
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(bench.sealer.commit2(bench.job(TaskType.COMMIT2, card), c1) for card in cards))
        return asyncio.get_running_loop().time() - began

    assert await both(0, 0) >= 0.1
    assert await both(0, 1) < 0.1


async def test_a_cancelled_task_ends_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ref(proof=5), SimulatedSealer(SimConfig(jitter=0)))
    quick = Bench(tmp_path, ref(proof=5))
    piece = await quick.add_piece()
    task = asyncio.create_task(bench.pc1([piece]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_names_of_trees_are_those_of_the_field() -> None:
    assert standins.trees("c", 8) == [f"sc-02-data-tree-c-{n}.dat" for n in range(8)]
    assert standins.trees("r-last", 9)[-1] == "sc-02-data-tree-r-last-15.dat"
    assert standins.layers(8)[-1] == "sc-02-data-layer-11.dat"
    assert standins.pretended(FileType.CACHE, "sc-02-data-tree-r-last-0.dat", 32 * GIB) == 9586976
    assert standins.pretended(FileType.CACHE, "sc-02-data-tree-c.dat", 2048) == 2336
    assert standins.pretended(FileType.CACHE, "sc-02-data-tree-r-last.dat", 2048) == 32
