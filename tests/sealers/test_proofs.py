"""The sealer ``proofs`` with the real program: a sector of 2KiB up to C1, its data back, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest
from proofs.conftest import program_path  # noqa: F401 - a fixture

from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.rpc.streams import BytesReader, NullReader
from lotus_sched_cli.lotus.types import (
    REPLICA_SPOILED,
    Cid,
    PieceInfo,
    Range,
    SectorCids,
    SectorID,
    SectorRef,
)
from lotus_sched_cli.sealers import poseidon
from lotus_sched_cli.sealers.base import Job, SealError, Usage
from lotus_sched_cli.sealers.proofs import TASKS, ProofsSealer
from lotus_sched_cli.sealers.verify import RealVerifier, SealClaim, VerifyError
from lotus_sched_cli.storage.partial import PartialFile

TICKET, SEED = bytes([1]) * 32, bytes([2]) * 32
REF = SectorRef(SectorID(1000, 15), 5)
DATA = os.urandom(2032)


class Sector:
    """A sector's places under a storage path, and its tasks one after another."""

    def __init__(self, root: Path, program: Path) -> None:
        environ = {"PATH": os.environ["PATH"], "FIL_PROOFS_PARENT_CACHE": str(root / "parents")}
        environ["FIL_PROOFS_PARAMETER_CACHE"] = str(root / "no-parameters")
        self.environ = environ
        self.sealer = ProofsSealer(program, environ)
        self.used: list[Usage] = []
        names = {FileType.UNSEALED: "unsealed", FileType.SEALED: "sealed", FileType.CACHE: "cache"}
        self.files = {kind: root / name / str(REF.ID) for kind, name in names.items()}
        for file in self.files.values():
            file.parent.mkdir(parents=True, exist_ok=True)

    def job(self, task: TaskType) -> Job:
        return Job("call", task, REF, report=self.used.append)

    async def add(self, data: bytes = DATA) -> PieceInfo:
        return await self.sealer.add_piece(
            self.job(TaskType.ADD_PIECE), [], len(data), BytesReader(data), self.files
        )

    async def pc1(self, piece: PieceInfo, ticket: bytes = TICKET) -> bytes:
        return await self.sealer.precommit1(self.job(TaskType.PRECOMMIT1), ticket, [piece], self.files)

    async def pc2(self, out: bytes) -> SectorCids:
        return await self.sealer.precommit2(self.job(TaskType.PRECOMMIT2), out, self.files)

    async def c1(self, piece: PieceInfo, sealed: SectorCids, ticket: bytes = TICKET) -> bytes:
        job = self.job(TaskType.COMMIT1)
        return await self.sealer.commit1(job, ticket, SEED, [piece], sealed, self.files)


@pytest.fixture
def sector(tmp_path: Path, program_path: Path) -> Sector:  # noqa: F811
    return Sector(tmp_path, program_path)


async def test_a_finalized_sector_gives_back_the_piece_that_went_in(sector: Sector) -> None:
    piece = await sector.add()
    assert piece.Size == 2048
    unsealed = sector.files[FileType.UNSEALED]
    before = unsealed.read_bytes()
    sealed = await sector.pc2(await sector.pc1(piece))
    assert str(sealed.Unsealed) == str(piece.PieceCID) and cids.is_sealed(str(sealed.Sealed))
    aux = (sector.files[FileType.CACHE] / "p_aux").read_bytes()
    assert cids.sealed_cid(poseidon.comm_r(aux[:32], aux[32:])) == str(sealed.Sealed), "without the library"
    assert b"vanilla_proofs" in await sector.c1(piece, sealed)
    await sector.sealer.finalize(sector.job(TaskType.FINALIZE), sector.files)
    kept = {file.name for file in sector.files[FileType.CACHE].iterdir()}
    assert kept == {"p_aux", "t_aux", "sc-02-data-tree-r-last.dat"}

    unsealed.unlink()
    job = sector.job(TaskType.UNSEAL)
    assert sealed.Unsealed is not None
    await sector.sealer.unseal(job, 127, 254, TICKET, sealed.Unsealed, sector.files)
    with PartialFile.open(unsealed, 2048) as part:
        assert part.allocated == ((128, 384),) and part.read(128, 256) == before[128:384]
    await sector.sealer.unseal(job, 0, 2032, TICKET, sealed.Unsealed, sector.files)
    assert unsealed.read_bytes()[:2048] == before[:2048]

    await sector.sealer.release_unsealed(
        sector.job(TaskType.FINALIZE_UNSEALED), [Range(0, 127)], sector.files
    )
    with PartialFile.open(unsealed, 2048) as part:
        assert part.allocated == ((0, 128),)
    assert all(0 < use.max_rss < 1 << 30 and use.seconds > 0 for use in sector.used)
    assert len(sector.used) >= 7, "each run of the program has told what it took"


async def test_zeros_that_are_only_announced_and_pushed_data_have_their_true_cids(sector: Sector) -> None:
    zeros = await sector.sealer.add_piece(
        sector.job(TaskType.ADD_PIECE), [], 2032, NullReader(2032), sector.files
    )
    assert str(zeros.PieceCID) == cids.zero_piece_cid(2048)
    job = Job("call", TaskType.DATA_CID, SectorRef())
    piece = await sector.sealer.data_cid(job, 1016, BytesReader(DATA[:1016]))
    assert piece.Size == 1024 and str(piece.PieceCID).startswith("baga6ea4seaq")
    with pytest.raises(SealError, match="1015"):
        await sector.sealer.data_cid(job, 1016, BytesReader(DATA[:1015]))


async def test_a_second_precommit2_with_other_input_sends_the_sector_back(sector: Sector) -> None:
    """The library would encode the encoded replica again, without a word."""
    piece = await sector.add()
    out = await sector.pc1(piece)
    assert await sector.pc2(out) == await sector.pc2(out), "asked again, it answers again"
    with pytest.raises(SealError, match=REPLICA_SPOILED) as refused:
        await sector.pc2(out.replace(b'"registered_proof"', b' "registered_proof"'))
    assert refused.value.code == 0


async def test_a_library_that_gets_no_more_memory_is_the_task_s_error(sector: Sector, tmp_path: Path) -> None:
    """The real program with 20 MiB of address space: Rust ends itself, and says so to nobody but us."""
    piece = await sector.add()
    narrow = tmp_path / "narrow"
    narrow.write_text(f'#!/bin/sh\nulimit -v 20480\nexec {sector.sealer.program} "$@"\n')
    narrow.chmod(0o755)
    whole, sector.sealer = sector.sealer, ProofsSealer(narrow, sector.environ)
    with pytest.raises(
        SealError, match=r"^PC1 crashed with SIGABRT: most likely it got no more memory"
    ) as why:
        await sector.pc1(piece)
    assert "\n" not in why.value.text
    sector.sealer = whole
    sealed = await sector.pc2(await sector.pc1(piece))
    assert b"vanilla_proofs" in await sector.c1(piece, sealed), "and the next try goes well"


async def test_a_tampered_cache_and_a_wrong_ticket_are_the_fields_own_errors(sector: Sector) -> None:
    piece = await sector.add()
    sealed = await sector.pc2(await sector.pc1(piece))
    with pytest.raises(SealError, match=r"C1: .*Invalid"):
        await sector.c1(piece, sealed, ticket=SEED)
    layer = sector.files[FileType.CACHE] / "sc-02-data-layer-1.dat"
    layer.write_bytes(bytes(len(layer.read_bytes())))
    with pytest.raises(SealError, match=r"C1: .*Invalid"):
        await sector.c1(piece, sealed)


async def test_half_of_a_commit1_and_missing_parameters_have_different_codes(sector: Sector) -> None:
    piece = await sector.add()
    out = await sector.c1(piece, await sector.pc2(await sector.pc1(piece)))
    job = sector.job(TaskType.COMMIT2)
    with pytest.raises(SealError, match="Commit1Out") as half:
        await sector.sealer.commit2(job, out[: len(out) // 2])
    with pytest.raises(SealError, match="is missing") as missing:
        await sector.sealer.commit2(job, out)
    assert half.value.code == 0, "whoever tries it, it stays wrong"
    assert missing.value.code == 100, "another worker may have them"


async def test_a_proof_of_the_right_length_that_cannot_be_checked_is_not_called_invalid(
    sector: Sector,
) -> None:
    piece = await sector.add()
    sealed = await sector.pc2(await sector.pc1(piece))
    verify = RealVerifier(sector.sealer.program, sector.environ).verify_seal
    claim = SealClaim(
        proof_type=5,
        sector=SectorId(1000, 15),
        ticket=TICKET,
        seed=SEED,
        comm_d=str(sealed.Unsealed),
        comm_r=str(sealed.Sealed),
        proof=bytes(192),
        pieces=[piece],
    )
    assert not await verify(replace(claim, proof=bytes(191)))
    with pytest.raises(VerifyError, match="is missing"):
        await verify(claim)


async def test_what_is_being_unsealed_is_marked_before_the_rest_is_freed(sector: Sector) -> None:
    await sector.add()
    unsealed = sector.files[FileType.UNSEALED]
    with unsealed.open("rb") as unsealing:
        fcntl.flock(unsealing, fcntl.LOCK_EX)
        job = sector.job(TaskType.FINALIZE_UNSEALED)
        freeing = asyncio.create_task(sector.sealer.release_unsealed(job, [Range(0, 127)], sector.files))
        blocked = f":{unsealed.stat().st_ino} "
        async with asyncio.timeout(20):
            while not any("->" in lock and blocked in lock for lock in locks()):
                assert not freeing.done()
                await asyncio.sleep(0.005)
    await freeing
    with PartialFile.open(unsealed, 2048) as part:
        assert part.allocated == ((0, 128),)


def locks() -> list[str]:
    return Path("/proc/locks").read_text().splitlines()


def test_it_offers_no_more_than_it_does() -> None:
    assert TaskType.REPLICA_UPDATE not in TASKS and TaskType.WINDOW_POST not in TASKS


async def test_a_finalized_sector_proves_for_a_window_that_it_is_still_here(sector: Sector) -> None:
    piece = await sector.add()
    sealed = await sector.pc2(await sector.pc1(piece))
    await sector.sealer.finalize(sector.job(TaskType.FINALIZE), sector.files)
    assert sealed.Sealed is not None
    challenge = [33, 6, 30, 50, 56, 31, 35, 19, 54, 32]
    proof = await sector.sealer.vanilla(REF, 10, sealed.Sealed, challenge, sector.files)
    assert len(proof) == 5680, "as recorded of Lotus, 10 challenges of a 2 KiB sector"
    aux = (sector.files[FileType.CACHE] / "p_aux").read_bytes()
    assert aux[:32] in proof and aux[32:] in proof
    replica = sector.files[FileType.SEALED].read_bytes()
    assert all(replica[32 * leaf : 32 * leaf + 32] in proof for leaf in challenge)
    again = [leaf % 64 for leaf in range(66)]
    winning = await sector.sealer.vanilla(REF, 0, sealed.Sealed, again, sector.files)
    assert len(winning) > len(proof)

    sector.files[FileType.SEALED].write_bytes(bytes(2048))
    with pytest.raises(SealError, match="WDP: vanilla"):
        await sector.sealer.vanilla(REF, 10, sealed.Sealed, challenge, sector.files)


@pytest.mark.parametrize(
    ("post", "challenge", "text"),
    [
        (15, [1], "no PoSt proof has this number"),
        (8, [1], "not for sectors of 2048 bytes"),
        (10, [], "there is none"),
    ],
)
async def test_what_cannot_be_proven_is_said_before_a_file_is_read(
    sector: Sector, post: int, challenge: list[int], text: str
) -> None:
    with pytest.raises(SealError, match=text):
        await sector.sealer.vanilla(REF, post, Cid(cids.sealed_cid(bytes(32))), challenge, sector.files)
