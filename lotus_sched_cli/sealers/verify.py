"""Checking a seal proof before it is taken: by its form, or really."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lotus_sched_cli.core.proofs import proof_bytes, sector_size
from lotus_sched_cli.core.tasks import SectorId
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.types import PieceInfo

from . import prover


@dataclass(frozen=True, slots=True, kw_only=True)
class SealClaim:
    """That ``proof`` proves a sealed sector. ``comm_d`` and ``comm_r`` are CID texts; with ``pieces``, CommD must be
    theirs."""

    proof_type: int
    sector: SectorId
    ticket: bytes
    seed: bytes
    comm_d: str
    comm_r: str
    proof: bytes
    pieces: Sequence[PieceInfo] | None = None


class Verifier(Protocol):
    """Says whether a proof proves. False is an invalid proof; an exception means that it could not be checked."""

    async def verify_seal(self, claim: SealClaim) -> bool: ...


class StandInVerifier:
    """Looks at the form only, so that the rehearsal of any peer passes: the proof's length by its type, CommR a sealed
    CID, CommD an unsealed one and that of the pieces."""

    async def verify_seal(self, claim: SealClaim) -> bool:
        try:
            if (len(claim.proof), len(claim.ticket), len(claim.seed)) != (
                proof_bytes(claim.proof_type),
                32,
                32,
            ):
                return False
            if (
                not cids.is_sealed(claim.comm_r)
                or cids.unsealed_cid(cids.commitment(claim.comm_d)) != claim.comm_d
            ):
                return False
            if claim.pieces is None:
                return True
            pieces = ((p.Size, str(p.PieceCID or "")) for p in claim.pieces)
            return cids.comm_d(pieces, sector_size(claim.proof_type)) == claim.comm_d
        except ValueError:
            return False


class RealVerifier:
    """Has each proof verified by ``lotus-proofs``, which needs the verifying key of the sector size."""

    def __init__(self, program: Path, environ: Mapping[str, str]) -> None:
        self._program = program
        self._environ = environ
        self._form = StandInVerifier()

    async def verify_seal(self, claim: SealClaim) -> bool:
        """Raises VerifyError where it could not be checked."""
        if not await self._form.verify_seal(claim):
            return False
        request = {
            "SealProof": claim.proof_type,
            "SectorID": {"Miner": claim.sector.miner, "Number": claim.sector.number},
            "Randomness": base64.b64encode(claim.ticket).decode(),
            "InteractiveRandomness": base64.b64encode(claim.seed).decode(),
            "Proof": base64.b64encode(claim.proof).decode(),
            "SealedCID": {"/": claim.comm_r},
            "UnsealedCID": {"/": claim.comm_d},
        }
        code, result = await self._ask(request, sector_size(claim.proof_type))
        if code == 0 and result.get("Valid") is True:
            return True
        error = result.get("Error", {})
        if code == prover.INVALID_PROOF:
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
