"""What the pipeline waits for, carried out: the chain, proofs, timers, the removal of files. Each ends in an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from lotus_sched_cli.core.pipeline import Sector
from lotus_sched_cli.core.pipeline import actions as act
from lotus_sched_cli.core.pipeline import events as ev
from lotus_sched_cli.core.tasks import SectorId
from lotus_sched_cli.lotus import logs

from .chain import BAD_PROOF, Chain, Outcome
from .pool import Pool
from .store import Store
from .timers import Timers

log = logs.get("sectors")

#: Things that are asked for at once.
AT_ONCE: Final = 32
#: Proofs that are verified at once: each takes a core for a while.
VERIFYING_AT_ONCE: Final = 2

Work = Callable[[], Awaitable[ev.SectorEvent | None]]


class Asks:
    """``do`` starts an action; ``answer`` is called once with its event. A failure answers AskFailed."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        remove_files: Callable[[SectorId], Awaitable[None]],
        timers: Timers,
        answer: Callable[[int, ev.SectorEvent], None],
    ) -> None:
        self._store = store
        self._chain = chain
        self._remove_files = remove_files
        self._timers = timers
        self._answer = answer
        self._pool = Pool("asks", AT_ONCE)
        self._verifying = Pool("verify", VERIFYING_AT_ONCE)

    @property
    def busy(self) -> bool:
        return self._pool.busy or self._verifying.busy

    async def idle(self) -> None:
        await self._pool.idle()
        await self._verifying.idle()

    async def stop(self) -> None:
        await self._pool.stop()
        await self._verifying.stop()

    def do(self, sector: Sector, action: act.Action) -> None:
        number = sector.id.number
        match action:
            case act.WaitUntil(turn, at):
                self._timers.at(at, self._answer, number, ev.TimeUp(turn))
            case act.AskTicket(turn, lookback):
                epoch = self._chain.head() - lookback
                self._answer(number, ev.TicketReady(turn, self._chain.ticket(sector.id, epoch), epoch))
            case act.WatchTicket(turn, epoch):
                self._timers.at(self._chain.time_of(epoch), self._answer, number, ev.TicketOld(turn))
            case act.AskSeed(turn, epoch, ready_at):
                self._timers.at(
                    self._chain.time_of(ready_at),
                    self._answer,
                    number,
                    ev.SeedReady(turn, self._chain.seed(sector.id, epoch), epoch),
                )
            case act.SendPreCommit(turn, expiration):
                self._ask(number, turn, partial(self._send_precommit, sector.clone(), turn, expiration))
            case act.SendCommit(turn):
                self._ask(number, turn, partial(self._send_commit, sector.clone(), turn))
            case act.WaitMessage(turn, cid):
                if (young := self._chain.young(cid)) is not None:
                    self._await_landing(number, turn, young)
                else:
                    self._ask(number, turn, partial(self._message, number, turn, cid))
            case act.AskChain(turn):
                self._ask(number, turn, partial(self._look, sector.id, turn))
            case act.CheckProof(turn):
                check = partial(self._check, sector.clone(), turn)
                self._ask(number, turn, check, self._verifying)
            case act.RemoveFiles(turn):
                self._ask(number, turn, partial(self._remove, sector.id, turn))
            case _:
                raise TypeError(f"no way to do {action}")

    def _ask(self, number: int, turn: int, work: Work, pool: Pool | None = None) -> None:
        async def ask() -> None:
            try:
                event = await work()
            except Exception as error:
                log.warn(f"sector {number}: {error}", sector=str(number))
                event = ev.AskFailed(turn, str(error))
            if event is not None:
                self._answer(number, event)

        (pool or self._pool).put(ask)

    async def _send_precommit(self, sector: Sector, turn: int, expiration: int) -> ev.SectorEvent:
        assert sector.comm_r is not None and sector.comm_d is not None
        cid, info = await self._chain.send_precommit(
            sector.id,
            sector.proof,
            comm_r=sector.comm_r,
            comm_d=sector.comm_d,
            ticket_epoch=sector.ticket_epoch,
            expiration=expiration,
        )
        return ev.Sent(turn, cid, info)

    async def _send_commit(self, sector: Sector, turn: int) -> ev.SectorEvent:
        proof, given = await self._proof(sector)
        cid = await self._chain.send_commit(
            sector.id,
            sector.proof,
            proof=proof,
            ticket_epoch=sector.ticket_epoch,
            seed_epoch=sector.seed_epoch,
            **given,
        )
        return ev.Sent(turn, cid)

    async def _check(self, sector: Sector, turn: int) -> ev.SectorEvent:
        proof, given = await self._proof(sector)
        valid = await self._chain.verify(sector.id, sector.proof, proof=proof, **given)
        return ev.ProofChecked(turn, proof, valid, "" if valid else BAD_PROOF)

    async def _proof(self, sector: Sector) -> tuple[bytes, dict[str, Any]]:
        given = {
            "ticket": sector.ticket,
            "seed": sector.seed,
            "comm_d": sector.comm_d,
            "comm_r": sector.comm_r,
            "pieces": sector.pieces,
        }
        return await self._store.kept(sector.id.number, "proof") or b"", given

    async def _message(self, number: int, turn: int, cid: str) -> ev.SectorEvent | None:
        outcome = await self._chain.outcome(cid)
        if outcome is None:
            return ev.MessageFailed(turn, f"message {cid} is not known to the chain")
        self._await_landing(number, turn, outcome)
        return None

    def _await_landing(self, number: int, turn: int, outcome: Outcome) -> None:
        self._timers.at(self._chain.time_of(outcome.lands_at), self._landed, number, turn, outcome)

    def _landed(self, number: int, turn: int, outcome: Outcome) -> None:
        if outcome.exit_code == 0:
            tipset = self._chain.tipset(outcome.executed_at)
            self._answer(number, ev.Landed(turn, outcome.executed_at, tipset))
        else:
            text = f"{outcome.kind} message failed, exit code {outcome.exit_code}: {outcome.error}"
            self._answer(number, ev.MessageFailed(turn, text, bad_proof=outcome.error == BAD_PROOF))

    async def _look(self, sector: SectorId, turn: int) -> ev.SectorEvent:
        seen = await self._chain.sector(sector)
        return ev.OnChain(
            turn,
            precommit_epoch=seen.precommit_epoch,
            comm_r=seen.comm_r,
            proven=seen.proven,
            precommit_message=seen.precommit_message,
            commit_message=seen.commit_message,
        )

    async def _remove(self, sector: SectorId, turn: int) -> ev.SectorEvent:
        try:
            await self._remove_files(sector)
        except Exception as error:
            return ev.RemovalFailed(turn, str(error))
        return ev.FilesRemoved(turn)
