"""Answers that several commands need: the chain, and the statuses of many sectors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from lotus_sched_cli.lotus import apiinfo
from lotus_sched_cli.lotus.rpc.oneshot import OneShot

from .connect import READ_SECONDS, Api, ask
from .errors import CliError
from .views.info import ChainState
from .views.sectors import Chain

#: In ``Version``'s text of a miner on its own chain (where Lotus has ``+mainnet``).
SIMULATED: Final = "+simulated"
#: Connections for questions about many sectors, however many are asked for: a miner's sockets are finite.
MAX_CONNECTIONS: Final = 16


def actor_number(api: Api) -> int:
    """1000 for ``t01000``."""
    return int(str(api.call("ActorAddress"))[2:])


def chain_of(api: Api) -> Chain:
    """Head and epoch length: of our miner's own chain, or of the full node that Lotus's commands would ask.

    Where neither answers, epochs are shown as bare numbers and the sector's own status tells what is on chain.
    """
    return of_chain(api, node_chain)


def head_of(api: Api) -> Chain:
    """The same without which sectors are on chain: a list that a miner of many sectors waits long for."""
    return of_chain(api, lambda node, _: Chain(node.call("ChainHead")["Height"]))


def of_chain(api: Api, ask_node: Callable[[Api, str], Chain]) -> Chain:
    version = api.call("Version")
    if SIMULATED in version["Version"]:
        state = chain_state(api, version)
        return Chain(state.head if state else None, state.block_delay if state else 30.0)
    node = full_node()
    if node is None:
        return Chain()
    return replace(
        ask_node(node, str(api.call("ActorAddress"))), block_delay=float(version.get("BlockDelay") or 30)
    )


def chain_state(api: Api, version: Mapping[str, Any] | None = None) -> ChainState | None:
    """Our miner's simulated chain; None for a miner on a real one. ``version``: its ``Version``, if known."""
    version = version or api.call("Version")
    if SIMULATED not in version["Version"]:
        return None
    told = api.call_or_none("SimulatedChain") or {}
    return ChainState(
        head=told.get("Head"),
        block_delay=float(told.get("BlockDelaySecs") or version.get("BlockDelay") or 30),
        proofs=told.get("Proofs", ""),
    )


def full_node() -> Api | None:
    """The node of a stock miner, where its address is known here."""
    if not (os.environ.get("FULLNODE_API_INFO") or os.environ.get("LOTUS_PATH")):
        return None
    try:
        return Api(apiinfo.find(apiinfo.FULLNODE), apiinfo.FULLNODE)
    except apiinfo.ApiError:
        return None


def node_chain(node: Api, actor: str) -> Chain:
    """What Lotus's ``sectors list`` asks the node."""
    head = node.call("ChainHead")
    active = node.call("StateMinerActiveSectors", actor, head["Cids"]) or ()
    every = node.call("StateMinerSectors", actor, None, head["Cids"]) or ()
    return Chain(
        head=head["Height"],
        on_chain=frozenset(s["SectorNumber"] for s in every),
        active=frozenset(s["SectorNumber"] for s in active),
    )


Status = tuple[int, dict[str, Any] | None, str]


def many(api: Api, method: str, params: Sequence[tuple[Any, ...]]) -> list[Any]:
    """One method many times, over a few connections; the answers in order. Raises CliError for the first that fails."""
    lanes = max(1, min(MAX_CONNECTIONS, -(-len(params) // 20)))
    share = max(1, -(-len(params) // lanes))

    def ask_all(part: Sequence[tuple[Any, ...]]) -> list[Any]:
        with OneShot(api.info.url, api.info.token, timeout=READ_SECONDS) as peer:
            return [ask(api, peer, method, each) for each in part]

    with ThreadPoolExecutor(lanes) as pool:
        parts = [params[at : at + share] for at in range(0, len(params), share)]
        return [answer for answers in pool.map(ask_all, parts) for answer in answers]


def statuses(api: Api, numbers: Sequence[int], *, on_chain: bool, at_once: int) -> list[Status]:
    """(number, ``SectorsStatus`` or None, error) of each, over at most ``at_once`` connections."""
    lanes = max(1, min(at_once, MAX_CONNECTIONS, -(-len(numbers) // 20)))
    if lanes == 1:
        return list(lane(api, numbers, on_chain))
    share = -(-len(numbers) // lanes)
    it = iter(numbers)
    parts = [list(islice(it, share)) for _ in range(lanes)]
    with ThreadPoolExecutor(lanes) as pool:
        return [row for rows in pool.map(lambda part: list(lane(api, part, on_chain)), parts) for row in rows]


def lane(api: Api, numbers: Sequence[int], on_chain: bool) -> Iterator[Status]:
    """One connection's share."""
    with OneShot(api.info.url, api.info.token, timeout=READ_SECONDS) as peer:
        for number in numbers:
            try:
                yield number, ask(api, peer, "SectorsStatus", (number, on_chain)), ""
            except CliError as error:
                yield number, None, str(error)
