"""Checking a seal proof before it is taken: by its form, or really."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from lotus_sched_cli.core.proofs import proof_bytes, sector_size
from lotus_sched_cli.core.tasks import SectorId, TaskType
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.rpc.streams import BytesReader
from lotus_sched_cli.lotus.types import PieceInfo, SectorRef

from . import child, prover
from .base import Job, SealError

#: Seconds that checking one proof may take: about one, but the key's disk may hang.
LONGEST_CHECK: Final = 300.0


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
        ended = await self._ask(request, claim.proof_type)
        if ended.code < 0:
            raise VerifyError(f"cannot verify the proof: {prover.PROGRAM} {child.killed(ended)}")
        try:
            result = msgspec.json.decode(ended.out, type=_Answer)
        except (msgspec.MsgspecError, RecursionError):
            text = f"{prover.PROGRAM} ended with exit code {ended.code} and no result"
            raise VerifyError(f"cannot verify the proof: {text}") from None
        if ended.code == 0 and result.Valid:
            return True
        if ended.code == prover.INVALID_PROOF:
            return False
        raise VerifyError(f"cannot verify the proof: {result.Error.Message or f'exit code {ended.code}'}")

    async def _ask(self, request: object, proof_type: int) -> child.Ended:
        argv = [str(self._program), "verify", "--log", "json", "--parent", str(os.getpid())]
        try:
            return await child.run(
                Job("verify", TaskType.COMMIT2, SectorRef(ProofType=proof_type)),
                argv,
                env=prover.environment(self._environ, sector_size(proof_type)),
                limit=LONGEST_CHECK,
                patience=child.PATIENCE,
                stdin=BytesReader(json.dumps(request).encode()),
            )
        except child.TookTooLongError:
            text = f"{self._program} gave no answer in {LONGEST_CHECK:g} s; does the disk of the parameters hang?"
            raise VerifyError(f"cannot verify the proof: {text}") from None
        except SealError as why:
            raise VerifyError(f"cannot verify the proof: {why.text}") from why


class _Error(msgspec.Struct):
    Message: str = ""


class _Answer(msgspec.Struct):
    Valid: bool = False
    Error: _Error = msgspec.field(default_factory=_Error)


class VerifyError(Exception):
    """A proof could not be checked; it may be good."""
