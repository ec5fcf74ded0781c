"""``POST /remote/vanilla/…``: proofs in the clear of the files that lie here, for a miner that makes SNARKs of them.

Statuses and bodies as Lotus's ``storage/paths/http_handler.go``: the raw proof, or 500 with a line of text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
from aiohttp import web
from msgspec import Struct

from lotus_sched_cli.core.tasks import FileType, SectorId
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.rpc import gohttp
from lotus_sched_cli.lotus.types import Cid, PostSectorChallenge, SectorID, SectorRef

from .errors import StorageError

log = get("stores")

Files = Mapping[FileType, Path]
#: A miner asks for all sectors of a partition at once, 2349 of 32 GiB; each proof is a process and its disk reads.
AT_ONCE: Final = 16


class VanillaProver(Protocol):
    """Makes the proofs, of sealed file and cache folder; raises StorageError."""

    async def single(
        self, sector: SectorRef, proof: int, sealed: Cid, challenge: Sequence[int], files: Files
    ) -> bytes:
        """Of one sector for a PoSt with proof type ``proof``."""
        ...

    async def porep(
        self, sector: SectorRef, cids: tuple[Cid, Cid], ticket: bytes, seed: bytes, files: Files
    ) -> bytes:
        """Commit1's output; ``cids`` are (unsealed, sealed)."""
        ...


class _Single(Struct):
    Miner: int = 0
    Sector: PostSectorChallenge = PostSectorChallenge()
    ProofType: int = 0


class _PoRep(Struct):
    Sector: SectorRef
    Sealed: Cid
    Unsealed: Cid
    Ticket: bytes = b""
    Seed: bytes = b""


#: Where a file of a sector lies here; raises NotFoundError.
Find = Callable[[FileType, SectorId], Awaitable[Path]]


class VanillaHandler:
    """Answers ``single`` and ``porep``; without a prover it says that there is none."""

    def __init__(self, prover: VanillaProver | None, find: Find) -> None:
        self._prover = prover
        self._find = find
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def answer(self, request: web.Request, kind: str) -> web.StreamResponse:
        try:
            if self._prover is None:
                raise StorageError("no vanilla proofs here: this program does not really seal (lotus-proofs)")
            body = await request.read()
            async with self._turn:
                proof = await (self._single(body) if kind == "single" else self._porep(body))
        except (StorageError, msgspec.MsgspecError, ValueError, OSError) as why:
            log.error(f"vanilla {kind}: {why}")
            return gohttp.refusal(500, str(why))
        return web.Response(
            body=proof, content_type="application/octet-stream", headers={"Accept-Ranges": "bytes"}
        )

    async def _single(self, body: bytes) -> bytes:
        assert self._prover is not None
        asked = msgspec.json.decode(body, type=_Single)
        about = asked.Sector
        if about.SealedCID is None:
            raise StorageError("the sector's SealedCID is missing")
        ref = SectorRef(SectorID(asked.Miner, about.SectorNumber), about.SealProof)
        files = await self._files(ref, update=about.Update)
        return await self._prover.single(ref, asked.ProofType, about.SealedCID, about.Challenge or (), files)

    async def _porep(self, body: bytes) -> bytes:
        assert self._prover is not None
        asked = msgspec.json.decode(body, type=_PoRep)
        files = await self._files(asked.Sector, update=False)
        cids = (asked.Unsealed, asked.Sealed)
        return await self._prover.porep(asked.Sector, cids, asked.Ticket, asked.Seed, files)

    async def _files(self, ref: SectorRef, *, update: bool) -> Files:
        """An updated sector's update stands where the sealed file was."""
        sector = SectorId(ref.ID.Miner, ref.ID.Number)
        kinds = (FileType.UPDATE, FileType.UPDATE_CACHE) if update else (FileType.SEALED, FileType.CACHE)
        sealed, cache = [await self._find(kind, sector) for kind in kinds]
        return {FileType.SEALED: sealed, FileType.CACHE: cache}
