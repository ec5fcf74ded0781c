"""What a full node tells of a miner's actor, asked in the order in which Lotus's ``info`` asks."""

from __future__ import annotations

import time

from lotus_sched_cli.lotus.actor_state import funds

from .connect import Api
from .errors import CliError
from .views.actor import ActorOnChain, actor_view


def ask_actor(node: Api, actor: str) -> ActorOnChain:
    """Raises CliError where the node does not answer, or knows no such actor."""
    block_delay = float(node.call("Version")["BlockDelay"])
    head = node.call("ChainHead")
    state = node.call("StateGetActor", actor, [])
    try:
        bound = funds(node.call("ChainReadObj", state["Head"]))
    except ValueError as error:
        raise CliError(f"{actor}: {error}", "this program knows the actors of network version 28") from None
    info = node.call("StateMinerInfo", actor, [])
    return actor_view(
        now=time.time(),
        block_delay=block_delay,
        head=head,
        actor=state,
        funds=bound,
        info=info,
        power=node.call("StateMinerPower", actor, []),
        sectors=node.call("StateMinerSectorCount", actor, []),
        market=node.call("StateMarketBalance", actor, []),
        worker=node.call("WalletBalance", info["Worker"]),
        control=[node.call("WalletBalance", address) for address in info.get("ControlAddresses") or ()],
    )
