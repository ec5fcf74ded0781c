"""Checking a seal proof before it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lotus_sched_cli.core.proofs import proof_bytes, sector_size
from lotus_sched_cli.core.tasks import SectorId
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.types import PieceInfo


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
