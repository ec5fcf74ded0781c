"""Why the scheduler decided as it did, and the operator's word that a worker is mended (methods of ours)."""

from __future__ import annotations

from lotus_sched_cli.core.events import RestOver
from lotus_sched_cli.core.tasks import BY_SHORT, TaskType
from lotus_sched_cli.lotus.explained import ExplainedTask
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.miner import upkeep
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.views import explain


class ExplainAPI:
    _miner: Miner

    async def SealingExplain(self, what: str) -> list[ExplainedTask]:
        return explain.explain(self._miner, what)

    async def SealingEndRest(self, worker: str, task: str) -> list[str]:
        """Let a worker take again what it rests from: one task type (``PC2`` or Lotus's text), or all for "".

        The types that it rested from.
        """
        found = upkeep.find(self._miner.workers, worker)
        kind = _task_type(task) if task else None
        ledger = self._miner.dispatch.scheduler.ledger(found.id)
        rests = [rest.task for rest in ledger.rests] if ledger is not None else []
        ended = [rest for rest in rests if kind in (None, rest)]
        if not ended:
            what = kind.short if kind is not None else "anything"
            raise RpcError(1, f"worker {found.label} does not rest from {what}")
        self._miner.dispatch.desk.post(RestOver(found.id, kind))
        return [rest.value for rest in ended]


def _task_type(text: str) -> TaskType:
    known = BY_SHORT.get(text.upper())
    if known is not None:
        return known
    try:
        return TaskType(text)
    except ValueError:
        raise RpcError(1, f'no task type "{text}"; use one of {", ".join(sorted(BY_SHORT))}') from None
