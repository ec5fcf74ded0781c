"""Checking a seal proof before it is taken: by its form, or really."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from lotus_sched_cli.core.proofs import proof_bytes, sector_size
from lotus_sched_cli.core.tasks import SectorId
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.types import PieceInfo

from . import prover


class Verifier(Protocol):
    """Says whether a proof proves. False is an invalid proof; an exception means that it could not be checked."""

    async def verify_seal(
        self,
        *,
        proof_type: int,
        sector: SectorId,
        ticket: bytes,
        seed: bytes,
        comm_d: str,
        comm_r: str,
        proof: bytes,
        pieces: Sequence[PieceInfo] | None = None,
    ) -> bool:
        """``comm_d`` and ``comm_r`` are CID texts; with ``pieces``, CommD must be theirs."""
        ...


class StandInVerifier:
    """Looks at the form only, so that the rehearsal of any peer passes: the proof's length by its type, CommR a sealed
    CID, CommD an unsealed one and that of the pieces."""

    async def verify_seal(
        self,
        *,
        proof_type: int,
        sector: SectorId,
        ticket: bytes,
        seed: bytes,
        comm_d: str,
        comm_r: str,
        proof: bytes,
        pieces: Sequence[PieceInfo] | None = None,
    ) -> bool:
        try:
            if len(proof) != proof_bytes(proof_type) or len(ticket) != 32 or len(seed) != 32:
                return False
            if not cids.is_sealed(comm_r) or cids.unsealed_cid(cids.commitment(comm_d)) != comm_d:
                return False
            if pieces is None:
                return True
            return (
                cids.comm_d(((p.Size, str(p.PieceCID or "")) for p in pieces), sector_size(proof_type))
                == comm_d
            )
        except ValueError:
            return False


class RealVerifier:
    """Has each proof verified by ``lotus-proofs``, which needs the verifying key of the sector size."""

    def __init__(self, program: Path, environ: Mapping[str, str]) -> None:
        self._program = program
        self._environ = environ
        self._form = StandInVerifier()

    async def verify_seal(
        self,
        *,
        proof_type: int,
        sector: SectorId,
        ticket: bytes,
        seed: bytes,
        comm_d: str,
        comm_r: str,
        proof: bytes,
        pieces: Sequence[PieceInfo] | None = None,
    ) -> bool:
        """Raises VerifyError where it could not be checked."""
        if not await self._form.verify_seal(
            proof_type=proof_type,
            sector=sector,
            ticket=ticket,
            seed=seed,
            comm_d=comm_d,
            comm_r=comm_r,
            proof=proof,
            pieces=pieces,
        ):
            return False
        request = {
            "SealProof": proof_type,
            "SectorID": {"Miner": sector.miner, "Number": sector.number},
            "Randomness": base64.b64encode(ticket).decode(),
            "InteractiveRandomness": base64.b64encode(seed).decode(),
            "Proof": base64.b64encode(proof).decode(),
            "SealedCID": {"/": comm_r},
            "UnsealedCID": {"/": comm_d},
        }
        code, result = await self._ask(request, sector_size(proof_type))
        if code == 0 and result.get("Valid") is True:
            return True
        error = result.get("Error", {})
        if code == _INVALID:
            return False
        raise VerifyError(f"cannot verify the proof: {error.get('Message') or f'exit code {code}'}")

    async def _ask(self, request: object, size: int) -> tuple[int | None, dict[str, Any]]:
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                "verify",
                "--parent",
                str(os.getpid()),
                env=prover.environment(self._environ, size),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as why:
            raise VerifyError(f"cannot start {self._program}: {why.strerror or why}") from why
        try:
            out, _ = await process.communicate(json.dumps(request).encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        try:
            return process.returncode, json.loads(out)
        except ValueError:
            return process.returncode, {}


class VerifyError(Exception):
    """A proof could not be checked; it may be good."""


#: The program's exit code for a proof that does not prove.
_INVALID = 5
