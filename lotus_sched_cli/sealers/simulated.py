"""The simulated sealer: takes the time that it is told and writes small stand-in files at Lotus's places.

Everything it makes depends on the sector, its ticket and its seed, so that a file or result of another run is
recognised. For rehearsal, tests and teaching; it works only for a simulated chain.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from lotus_sched_cli.core.proofs import SIZE_NAMES, proof_bytes, sector_size, unpadded
from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus import cids as ids
from lotus_sched_cli.lotus.rpc.streams import NullReader, Reader
from lotus_sched_cli.lotus.types import Cid, PieceInfo, Range, SectorCids, SectorRef

from . import standins
from .base import Files, Job, SealError
from .simconfig import DURATIONS, Failure, SimConfig

#: Moves between paths are the worker's own work.
TASKS: Final = frozenset(DURATIONS) | {TaskType.FETCH}

_CHUNK: Final = 1 << 20


class SimulatedSealer:
    """A Sealer by ``simulated.toml``. One instance serves all tasks of a worker."""

    name = "simulated"
    simulated = True

    def __init__(self, config: SimConfig | None = None) -> None:
        self.config = config or SimConfig()
        self._attempts: Counter[tuple[TaskType, int, int]] = Counter()
        self._cards: dict[int, asyncio.Lock] = {}

    def tasks(self) -> frozenset[TaskType]:
        return TASKS

    async def data_cid(self, job: Job, size: int, data: Reader) -> PieceInfo:
        piece = await _piece(size, data)
        await self._work(job)
        return piece

    async def add_piece(
        self, job: Job, existing: Sequence[int], size: int, data: Reader, files: Files
    ) -> PieceInfo:
        whole = sector_size(job.sector.ProofType)
        if sum(existing) + size > unpadded(whole):
            raise SealError(
                f"a piece of {size} bytes does not fit: {sum(existing)} of {unpadded(whole)} are taken"
            )
        piece = await _piece(size, data)
        await self._work(job)
        held = (standins.read(files[FileType.UNSEALED]) or {}) if existing else {}
        pieces = [*held.get("pieces", []), str(piece.PieceCID)]
        await self._write(job, files[FileType.UNSEALED], whole, pieces=pieces)
        return piece

    async def precommit1(self, job: Job, ticket: bytes, pieces: Sequence[PieceInfo], files: Files) -> bytes:
        proof, whole = job.sector.ProofType, sector_size(job.sector.ProofType)
        _need(files[FileType.UNSEALED])
        root = _comm_d(pieces, whole)
        replica = _replica(job.sector, ticket, root)
        cache = files[FileType.CACHE]
        await asyncio.to_thread(_empty, cache)
        await self._write(job, files[FileType.SEALED], whole, replica=replica.hex())
        names = [standins.TREE_D, *standins.layers(proof)]

        async def layer(n: int) -> None:
            name = names[n]
            await self._write(
                job, cache / name, standins.pretended(FileType.CACHE, name, whole), replica=replica.hex()
            )

        await self._work(job, len(names), layer)
        return _json(
            {
                "_lotus_SealRandomness": base64.b64encode(ticket).decode(),
                "comm_d": list(root),
                "config": {"id": "tree-d", "path": str(cache), "rows_to_discard": 0, "size": whole // 16 - 1},
                "labels": {_shape(proof): {"_h": None, "labels": standins.layers(proof)}},
                "registered_proof": _proof_name(proof),
                "simulated": True,
            }
        )

    async def precommit2(self, job: Job, pc1_out: bytes, files: Files) -> SectorCids:
        proof, whole = job.sector.ProofType, sector_size(job.sector.ProofType)
        told = _decode(pc1_out, "PreCommit1's output")
        ticket = base64.b64decode(told.get("_lotus_SealRandomness", ""))
        root = bytes(told["comm_d"])
        replica = _replica(job.sector, ticket, root)
        cache = files[FileType.CACHE]
        for file in (files[FileType.SEALED], *(cache / name for name in standins.layers(proof))):
            _match(file, replica)
        names = [*standins.trees("c", proof), *standins.trees("r-last", proof)]

        async def tree(n: int) -> None:
            name = names[n]
            await self._write(
                job, cache / name, standins.pretended(FileType.CACHE, name, whole), replica=replica.hex()
            )

        await self._work(job, len(names), tree)
        comm_c, comm_r_last = standins.digest("comm_c", replica), standins.digest("comm_r_last", replica)
        await asyncio.to_thread((cache / standins.P_AUX).write_bytes, comm_c + comm_r_last)
        await self._write(job, cache / standins.T_AUX, 1024, replica=replica.hex())
        return SectorCids(
            Unsealed=Cid(ids.unsealed_cid(root)), Sealed=Cid(ids.sealed_cid(_comm_r(comm_c, comm_r_last)))
        )

    async def commit1(
        self,
        job: Job,
        ticket: bytes,
        seed: bytes,
        pieces: Sequence[PieceInfo],
        cids: SectorCids,
        files: Files,
    ) -> bytes:
        proof, whole = job.sector.ProofType, sector_size(job.sector.ProofType)
        root = _comm_d(pieces, whole)
        replica = _replica(job.sector, ticket, root)
        cache = files[FileType.CACHE]
        for file in (files[FileType.SEALED], *(cache / name for name in standins.layers(proof))):
            _match(file, replica)
        aux = await asyncio.to_thread(_bytes, cache / standins.P_AUX)
        comm_r = _comm_r(aux[:32], aux[32:])
        if str(cids.Sealed) != ids.sealed_cid(comm_r) or str(cids.Unsealed) != ids.unsealed_cid(root):
            raise SealError(
                "Invalid vanilla proof generated: the commitments are not those of the files in the cache"
            )
        await self._work(job)
        return _json(
            {
                "comm_d": list(root),
                "comm_r": list(comm_r),
                "registered_proof": _proof_name(proof),
                "replica_id": list(replica),
                "seed": list(seed),
                "simulated": True,
                "ticket": list(ticket),
                "vanilla_proofs": {_shape(proof): []},
            }
        )

    async def commit2(self, job: Job, c1_out: bytes) -> bytes:
        told = _decode(c1_out, "Commit1's output")
        if job.gpu is None:
            await self._work(job)
        else:
            # as with bellperson's lock: C2 on one card take turns
            async with self._cards.setdefault(job.gpu, asyncio.Lock()):
                await self._work(job)
        length = proof_bytes(job.sector.ProofType)
        one = standins.digest("proof", bytes(told["replica_id"]), bytes(told["comm_r"]), bytes(told["seed"]))
        return b"".join(standins.digest(one, str(n)) for n in range(-(-length // 32)))[:length]

    async def finalize(self, job: Job, files: Files) -> None:
        await self._work(job)
        kept = standins.kept_when_final(job.sector.ProofType)
        await asyncio.to_thread(_keep_only, files[FileType.CACHE], kept)

    async def release_unsealed(self, job: Job, keep: Sequence[Range], files: Files) -> None:
        await self._work(job)
        held = standins.read(files[FileType.UNSEALED]) or {}
        ranges = [[r.Offset, r.Size] for r in keep]
        await self._write(
            job,
            files[FileType.UNSEALED],
            sector_size(job.sector.ProofType),
            pieces=held.get("pieces", []),
            kept=ranges,
        )

    async def unseal(
        self, job: Job, offset: int, size: int, ticket: bytes, comm_d: Cid, files: Files
    ) -> None:
        _need(files[FileType.SEALED])
        await self._work(job)
        whole = sector_size(job.sector.ProofType)
        await self._write(job, files[FileType.UNSEALED], whole, unsealed=[offset, size])

    # -- time and failures --------------------------------------------------------------------------------------------

    async def _work(self, job: Job, steps: int = 1, step: Callable[[int], Any] | None = None) -> None:
        """Let the task's time pass in equal steps, each followed by ``step(n)``. Raises SealError for a simulated failure."""
        key = (job.task, job.sector.ID.Miner, job.sector.ID.Number)
        self._attempts[key] += 1
        dice = random.Random(f"{self.config.seed}/{job.task}/{key[1]}/{key[2]}/{self._attempts[key]}")
        left = self.config.durations.get(job.task, 0.0) / self.config.speed
        left *= 1 + self.config.jitter * dice.uniform(-1, 1)
        failure = self._failure(job, self._attempts[key], dice)
        fails_at = left * failure.after if failure else None
        passed = 0.0
        for n in range(steps):
            passed += left / steps
            if fails_at is not None and failure is not None and passed >= fails_at:
                await asyncio.sleep(max(0.0, fails_at - (passed - left / steps)))
                raise SealError(
                    f"{failure.text} (simulated: {job.task.short} of sector {job.sector.ID.Number})"
                )
            await asyncio.sleep(left / steps)
            if step is not None:
                await step(n)

    def _failure(self, job: Job, attempt: int, dice: random.Random) -> Failure | None:
        for rule in self.config.failures:
            if rule.task is not job.task:
                continue
            listed = job.sector.ID.Number in rule.sectors and attempt <= rule.times
            if listed or dice.random() < rule.rate:
                return rule
        return None

    async def _write(self, job: Job, file: Path, size: int, **about: Any) -> None:
        try:
            await asyncio.to_thread(standins.write, file, {"sector": str(job.sector.ID), **about}, size)
        except OSError as why:
            code = 102 if why.errno in (28, 122) else 0
            raise SealError(f"writing {file}: {(why.strerror or str(why)).lower()}", code) from why


# -- commitments and files --------------------------------------------------------------------------------------------


def _comm_d(pieces: Sequence[PieceInfo], whole: int) -> bytes:
    try:
        return ids.piece_sum(((p.Size, ids.commitment(str(p.PieceCID or ""))) for p in pieces), whole)
    except ids.CidError as why:
        raise SealError(f"the pieces make no sector: {why}") from why


async def _piece(size: int, data: Reader) -> PieceInfo:
    """The piece's id: the true one for zeros that are only announced, else one made of the data's hash."""
    padded = size // 127 * 128
    if isinstance(data, NullReader) and data.size == size:
        try:
            return PieceInfo(padded, Cid(ids.zero_piece_cid(padded)))
        except ids.CidError as why:
            raise SealError(f"a piece of {size} bytes cannot be: {why}") from why
    state, got = b"", 0
    while got < size and (chunk := await data.read(min(_CHUNK, size - got))):
        state = standins.digest(state, chunk)
        got += len(chunk)
    if got != size:
        raise SealError(f"the piece's data ended after {got} of {size} bytes")
    return PieceInfo(padded, Cid(ids.unsealed_cid(standins.field_element(state))))


def _replica(sector: SectorRef, ticket: bytes, root: bytes) -> bytes:
    return standins.digest("replica", str(sector.ID), str(sector.ProofType), ticket, root)


def _comm_r(comm_c: bytes, comm_r_last: bytes) -> bytes:
    return standins.field_element(standins.digest("comm_r", comm_c, comm_r_last))


def _match(file: Path, replica: bytes) -> None:
    """Raises SealError where the file is not of this sector's present sealing."""
    said = standins.read(file)
    if said is None:
        raise SealError(f"{file} is missing or no stand-in")
    if said.get("replica") != replica.hex():
        raise SealError(f"Store is inconsistent: {file} belongs to another run (other ticket or pieces)")


def _need(file: Path) -> None:
    if not file.exists():
        raise SealError(f"{file} is missing")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as why:
        raise SealError(f"reading {file}: {(why.strerror or str(why)).lower()}") from why


def _empty(cache: Path) -> None:
    """PreCommit1 never meets old layers."""
    try:
        cache.mkdir(exist_ok=True)
        _keep_only(cache, frozenset())
    except OSError as why:
        raise SealError(f"emptying {cache}: {(why.strerror or str(why)).lower()}") from why


def _keep_only(folder: Path, names: frozenset[str]) -> None:
    for file in folder.iterdir():
        if file.name not in names:
            file.unlink(missing_ok=True)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _decode(raw: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "comm_d" not in found:
        raise SealError(f"{what} is not what this sealer made")
    return found


def _shape(proof: int) -> str:
    return f"StackedDrg{SIZE_NAMES[sector_size(proof)]}V1"


def _proof_name(proof: int) -> str:
    family = {0: "V1", 1: "V1_1", 2: "V1_1_Feat_SyntheticPoRep", 3: "V1_2_Feat_NonInteractivePoRep"}[
        proof // 5
    ]
    return f"StackedDrg{SIZE_NAMES[sector_size(proof)]}{family}"
