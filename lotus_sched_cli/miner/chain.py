"""The miner's own simulated chain: epochs, tickets, seeds and messages, and the checks of a network's miner actor.

Time is the only thing that moves it: the head is reckoned from when the chain began. A message is executed in the epoch
after it was sent and counts as landed ``MessageConfidence`` epochs later; what it does is decided, and stored, on sending.
Tickets, seeds and tipsets follow from the seed that ``found`` stored: the same at every restart.

Rules: Lotus ``chain/actors/policy``, ``actors/builtin/miner`` (cli facts §7.3).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from lotus_sched_cli.core.pipeline import Piece, PipelineSettings
from lotus_sched_cli.core.tasks import SectorId
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.lotus.types import Cid, PieceInfo
from lotus_sched_cli.sealers.verify import SealClaim, Verifier

from .records import MessageRow
from .store import Store

#: The head when the chain begins: a ticket 900 epochs before it still has a positive number.
FIRST_EPOCH: Final = 1000
TICKET_LOOKBACK: Final = 900
#: 2880 + 900 epochs, at the network's pace more than a day.
TICKET_MAX_AGE: Final = 3780
#: Seconds that a ticket is good for at least: on a fast chain 3780 epochs would pass in minutes.
TICKET_MIN_LIFE: Final = 3600
#: Epochs from the precommit in which a sector must be proven: 30 days and the challenge delay.
PROVE_WITHIN: Final = 30 * 2880
SEED_CONFIDENCE: Final = 6

#: Messages that are kept in memory at least, before the landed ones are dropped.
YOUNG: Final = 1024

#: Exit codes of the miner actor.
OK, ILLEGAL_ARGUMENT, NOT_FOUND, FORBIDDEN = 0, 16, 17, 18


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """``[Chain]`` of config.toml: seconds per epoch, epochs from precommit to seed, epochs until a message counts."""

    block_delay: float = 30.0
    challenge_delay: int = 150
    message_confidence: int = 5


@dataclass(frozen=True, slots=True)
class SectorOnChain:
    """How the chain sees a sector at its head. Message states: ``""`` (none or refused), ``pending``, ``landed``."""

    precommit_epoch: int | None = None
    comm_r: str | None = None
    activation: int = 0
    expiration: int = 0
    precommit_message: str = ""
    commit_message: str = ""

    @property
    def proven(self) -> bool:
        return self.activation > 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a message, known from its sending on, to be told from epoch ``lands_at`` on."""

    kind: str
    executed_at: int
    lands_at: int
    exit_code: int
    error: str


class _Body(msgspec.Struct):
    """What a stored message says."""

    CommR: str = ""
    CommD: str = ""
    SealRandEpoch: int = 0
    SeedEpoch: int = 0
    Expiration: int = 0
    ProofDigest: str = ""


async def found(
    store: Store, *, seed: bytes, proofs: str, now: float, settings: ChainSettings | None = None
) -> None:
    """Begin the chain (``lotus-miner init``): its head is ``FIRST_EPOCH`` now. ``proofs``: stand-in or real."""
    pace = (settings or ChainSettings()).block_delay
    writes = store.writes()
    writes.meta("chain.seed", seed.hex())
    writes.meta("chain.proofs", proofs)
    writes.meta("chain.clock", [now, FIRST_EPOCH, pace])
    await writes.commit()


class Chain:
    """The chain of one miner; make it with :meth:`open`. ``proofs`` says what it takes as proof."""

    def __init__(
        self,
        store: Store,
        settings: ChainSettings,
        verifier: Verifier,
        clock: Callable[[], float],
        *,
        seed: bytes,
        proofs: str,
        began: tuple[float, int],
    ) -> None:
        self._store = store
        self.settings = settings
        self._verifier = verifier
        self._clock = clock
        self._seed = seed
        self.proofs = proofs
        self._began = began
        #: Of the messages that may not have landed yet; the others are read when asked for.
        self._young: dict[str, Outcome] = {}
        self._prune_at = YOUNG
        #: Of `lives`: proven sectors, expirations of precommitted ones, and the epoch from which to read on.
        self._lives: dict[int, tuple[int, int]] = {}
        self._expirations: dict[int, int] = {}
        self._lives_from = 0

    @classmethod
    async def open(
        cls, store: Store, settings: ChainSettings, verifier: Verifier, clock: Callable[[], float]
    ) -> Chain:
        """Go on where the stored chain stands. A changed BlockDelaySecs changes the pace from here, never the past."""
        seed = await store.meta("chain.seed")
        if seed is None:
            raise ValueError("the store has no chain; make the repo with: lotus-miner init")
        at, epoch, pace = await store.meta("chain.clock")
        if pace != settings.block_delay:
            now = clock()
            epoch += max(0, math.floor((now - at) / pace))
            at = now
            await store.set_meta("chain.clock", [at, epoch, settings.block_delay])
        chain = cls(
            store,
            settings,
            verifier,
            clock,
            seed=bytes.fromhex(seed),
            proofs=await store.meta("chain.proofs"),
            began=(at, epoch),
        )
        young = await store.messages(landing_after=chain.head())
        chain._young = {row.cid: _outcome(row) for row in young}
        return chain

    @property
    def id(self) -> str:
        """Tells this chain from any other."""
        return hashlib.sha256(self._seed).hexdigest()[:16]

    # -- time --------------------------------------------------------------------------------------------------------

    def head(self, at: float | None = None) -> int:
        """The head's epoch now, or at a time."""
        began, epoch = self._began
        passed = (self._clock() if at is None else at) - began
        # A microsecond of grace, as unix seconds in a float are that coarse: a timer for the very start of an epoch
        # must find it begun.
        return epoch + max(0, math.floor((passed + 1e-6) / self.settings.block_delay))

    def time_of(self, epoch: int) -> float:
        """When an epoch begins, unix seconds."""
        began, first = self._began
        return began + (epoch - first) * self.settings.block_delay

    def rules(self, base: PipelineSettings) -> PipelineSettings:
        """The pipeline's settings with this chain's numbers."""
        return replace(
            base,
            ticket_lookback=TICKET_LOOKBACK,
            ticket_max_age=self.ticket_max_age,
            challenge_delay=self.settings.challenge_delay,
            seed_confidence=SEED_CONFIDENCE,
        )

    # -- randomness --------------------------------------------------------------------------------------------------

    def ticket(self, sector: SectorId, epoch: int) -> bytes:
        """32 bytes of chain randomness for sealing."""
        return self._draw("ticket", sector, epoch)

    def seed(self, sector: SectorId, epoch: int) -> bytes:
        """32 bytes of interactive randomness for the proof."""
        return self._draw("seed", sector, epoch)

    def tipset(self, epoch: int) -> tuple[str, ...]:
        """The CIDs of an epoch's blocks."""
        return (cids.message_cid(self._seed + f"block/{epoch}".encode()),)

    def _draw(self, what: str, sector: SectorId, epoch: int) -> bytes:
        return hashlib.sha256(self._seed + f"{what}/{sector}/{epoch}".encode()).digest()

    # -- proofs ------------------------------------------------------------------------------------------------------

    async def verify(
        self,
        sector: SectorId,
        proof_type: int,
        *,
        ticket: bytes,
        seed: bytes,
        comm_d: str,
        comm_r: str,
        proof: bytes,
        pieces: Sequence[Piece],
    ) -> bool:
        """Whether the chain would take this proof. An exception says that it could not be checked."""
        claim = SealClaim(
            proof_type=proof_type,
            sector=sector,
            ticket=ticket,
            seed=seed,
            comm_d=comm_d,
            comm_r=comm_r,
            proof=proof,
            pieces=[PieceInfo(piece.size, Cid(piece.cid)) for piece in pieces],
        )
        return await self._verifier.verify_seal(claim)

    # -- messages ----------------------------------------------------------------------------------------------------

    async def send_precommit(
        self,
        sector: SectorId,
        proof_type: int,
        *,
        comm_r: str,
        comm_d: str,
        ticket_epoch: int,
        expiration: int,
    ) -> tuple[str, dict[str, Any]]:
        """Send a precommit; its CID and what Lotus's log shows of it. One that is on its way or landed is not sent twice."""
        info = {
            "SealProof": proof_type,
            "SectorNumber": sector.number,
            "SealedCID": {"/": comm_r},
            "SealRandEpoch": ticket_epoch,
            "DealIDs": None,
            "Expiration": expiration,
            "UnsealedCid": None,
        }
        body = _Body(CommR=comm_r, CommD=comm_d, SealRandEpoch=ticket_epoch, Expiration=expiration)
        sent = await self._messages(sector)
        for row in sent:
            if row.kind == "precommit" and row.exit_code == OK and _body(row).CommR == comm_r:
                return row.cid, info | {"Expiration": _body(row).Expiration}
        limit = self.ticket_max_age
        executed = self.head() + 1
        code, error = OK, ""
        if any(row.kind == "precommit" and row.exit_code == OK for row in sent):
            code, error = ILLEGAL_ARGUMENT, f"sector {sector.number} is precommitted with another sealed CID"
        elif not cids.is_sealed(comm_r):
            code, error = ILLEGAL_ARGUMENT, f"sealed CID had wrong prefix: {comm_r}"
        elif executed - ticket_epoch > limit:
            code = ILLEGAL_ARGUMENT
            error = f"seal challenge epoch {ticket_epoch} too old, must be after {executed - limit}"
        return await self._send(sector, "precommit", body, executed, code, error, len(sent)), info

    async def send_commit(
        self,
        sector: SectorId,
        proof_type: int,
        *,
        ticket: bytes,
        ticket_epoch: int,
        seed: bytes,
        seed_epoch: int,
        comm_d: str,
        comm_r: str,
        proof: bytes,
        pieces: Sequence[Piece],
    ) -> str:
        """Send the proof; the message's CID. The same proof is not sent twice unless it was refused."""
        body = _Body(CommR=comm_r, SeedEpoch=seed_epoch, ProofDigest=hashlib.sha256(proof).hexdigest())
        sent = await self._messages(sector)
        for row in sent:
            if row.kind == "commit" and row.exit_code == OK:
                return row.cid
        executed = self.head() + 1
        precommit = next((r for r in sent if r.kind == "precommit" and r.exit_code == OK), None)
        code, error = OK, ""
        if precommit is None or precommit.included_at >= executed:
            code, error = NOT_FOUND, f"no precommitted sector {sector.number}"
        else:
            born, said = precommit.included_at, _body(precommit)
            if executed > born + PROVE_WITHIN + self.settings.challenge_delay:
                code, error = FORBIDDEN, f"precommit of sector {sector.number} at {born} has expired"
            elif seed_epoch != born + self.settings.challenge_delay or seed != self.seed(sector, seed_epoch):
                code, error = ILLEGAL_ARGUMENT, f"seed of epoch {seed_epoch} is not the precommit's"
            elif said.CommR != comm_r or ticket != self.ticket(sector, said.SealRandEpoch):
                code, error = ILLEGAL_ARGUMENT, "the proof is for another sealed CID than was precommitted"
            elif not await self.verify(
                sector,
                proof_type,
                ticket=ticket,
                seed=seed,
                comm_d=comm_d,
                comm_r=comm_r,
                proof=proof,
                pieces=pieces,
            ):
                code, error = ILLEGAL_ARGUMENT, BAD_PROOF
        return await self._send(sector, "commit", body, executed, code, error, len(sent))

    def young(self, cid: str) -> Outcome | None:
        """The outcome of a message that was sent lately, without a look into the store."""
        return self._young.get(cid)

    async def outcome(self, cid: str) -> Outcome | None:
        """What becomes of a message, None if there is none; whether it has landed is for the head to say."""
        if (known := self._young.get(cid)) is not None:
            return known
        row = await self._store.message(cid)
        return None if row is None else _outcome(row)

    async def sector(self, sector: SectorId) -> SectorOnChain:
        """How the chain sees a sector."""
        head = self.head()
        view: dict[str, Any] = {}
        for row in await self._messages(sector):
            if row.exit_code != OK:
                continue
            view[f"{row.kind}_message"] = "landed" if row.lands_at <= head else "pending"
            if row.included_at > head:
                continue
            if row.kind == "precommit":
                body = _body(row)
                view |= {"precommit_epoch": row.included_at, "comm_r": body.CommR}
                view["expiration"] = body.Expiration
            else:
                view["activation"] = row.included_at
        return SectorOnChain(**view)

    async def lives(self) -> dict[int, tuple[int, int]]:
        """Sector → (activation, expiration) of all that are proven at the head; what has been read is kept."""
        head = self.head()
        for number, kind, epoch, body in await self._store.messages_from(self._lives_from):
            if epoch > head:
                continue
            if kind == "precommit":
                self._expirations[number] = msgspec.json.decode(body, type=_Body).Expiration
            else:
                self._lives[number] = (epoch, self._expirations.pop(number, 0) or self._lives[number][1])
        self._lives_from = head
        return self._lives

    @property
    def ticket_max_age(self) -> int:
        """Epochs that a ticket is good for."""
        return max(TICKET_MAX_AGE, math.ceil(TICKET_MIN_LIFE / self.settings.block_delay))

    async def _messages(self, sector: SectorId) -> list[MessageRow]:
        return await self._store.messages(sector.number)

    async def _send(
        self, sector: SectorId, kind: str, body: _Body, executed: int, code: int, error: str, nonce: int
    ) -> str:
        raw = msgspec.json.encode(body)
        cid = cids.message_cid(self._seed + f"{kind}/{sector}/{nonce}/".encode() + raw)
        row = MessageRow(
            cid=cid,
            number=sector.number,
            kind=kind,
            sent_at=executed - 1,
            included_at=executed,
            lands_at=executed + self.settings.message_confidence,
            exit_code=code,
            error=error,
            body=raw,
        )
        writes = self._store.writes()
        writes.new_message(row)
        await writes.commit()
        self._young[cid] = _outcome(row)
        if len(self._young) > self._prune_at:
            head = self.head()
            self._young = {c: young for c, young in self._young.items() if young.lands_at > head}
            self._prune_at = max(YOUNG, 2 * len(self._young))
        return cid


#: What the network says to a proof that does not prove.
BAD_PROOF: Final = "invalid proof"


def _outcome(row: MessageRow) -> Outcome:
    return Outcome(row.kind, row.included_at, row.lands_at, row.exit_code, row.error)


def _body(row: MessageRow) -> _Body:
    return msgspec.json.decode(row.body, type=_Body)
