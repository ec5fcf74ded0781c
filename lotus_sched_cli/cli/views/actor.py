"""A miner's actor on a real chain, as its full node tells (Lotus: ``cli/miner/info.go``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lotus_sched_cli.lotus.actor_state import Funds

#: The network's, whatever a test network's block delay is.
EPOCH_SECONDS, EPOCHS_A_WEEK, BLOCKS_AN_EPOCH = 30, 7 * 2880, 5
#: What is left to bad luck where a block is expected "with 99.9 %".
UNLUCKY: Final = 0.001


@dataclass(frozen=True, slots=True)
class Winning:
    """What the power lets expect: blocks in a week, seconds from one to the next, seconds that bring one with 99.9 %."""

    per_week: float
    every: float
    nearly_certain: float


@dataclass(frozen=True, slots=True)
class Beneficiary:
    """``quota`` and ``used`` as text, attoFIL; None where the owner is the beneficiary, whom nothing limits."""

    address: str
    quota: str | None
    used: str | None
    expiration: int | None


@dataclass(frozen=True, slots=True)
class ActorOnChain:
    """Powers and sizes in bytes; amounts as text, attoFIL (they pass what JSON's numbers hold).

    ``behind``: seconds since the head's block. ``winning`` None: too little power, or none. ``control`` None: no control
    addresses.
    """

    behind: float
    block_delay: float
    base_fee: str
    sector_size: int
    power: int
    total_power: int
    raw_power: int
    total_raw_power: int
    has_min_power: bool
    committed: int
    proving: int
    faulty: int
    winning: Winning | None
    balance: str
    precommit_deposits: str
    initial_pledge: str
    vesting: str
    available: str
    market: str
    market_locked: str
    worker: str
    control: str | None
    spendable: str
    beneficiary: Beneficiary | None


def actor_view(
    *,
    now: float,
    block_delay: float,
    head: Mapping[str, Any],
    actor: Mapping[str, Any],
    funds: Funds,
    info: Mapping[str, Any],
    power: Mapping[str, Any],
    sectors: Mapping[str, int],
    market: Mapping[str, str],
    worker: str,
    control: Sequence[str],
) -> ActorOnChain:
    """Of the answers to ChainHead, StateGetActor, StateMinerInfo, StateMinerPower, StateMinerSectorCount,
    StateMarketBalance and WalletBalance (of the worker and of each control address)."""
    mine, total = ({k: int(v) for k, v in power[of].items()} for of in ("MinerPower", "TotalPower"))
    size = info["SectorSize"]
    available = int(actor["Balance"]) - funds.bound
    controls = sum(map(int, control))
    market_free = int(market["Escrow"]) - int(market["Locked"])
    return ActorOnChain(
        behind=now - min(block["Timestamp"] for block in head["Blocks"]),
        block_delay=block_delay,
        base_fee=head["Blocks"][0]["ParentBaseFee"],
        sector_size=size,
        power=mine["QualityAdjPower"],
        total_power=total["QualityAdjPower"],
        raw_power=mine["RawBytePower"],
        total_raw_power=total["RawBytePower"],
        has_min_power=power["HasMinPower"],
        committed=sectors["Live"] * size,
        proving=(sectors["Active"] + sectors["Faulty"]) * size,
        faulty=sectors["Faulty"] * size,
        winning=winning(mine["QualityAdjPower"], total["QualityAdjPower"]) if power["HasMinPower"] else None,
        balance=actor["Balance"],
        precommit_deposits=str(funds.precommit_deposits),
        initial_pledge=str(funds.initial_pledge),
        vesting=str(funds.vesting),
        available=str(available),
        market=market["Escrow"],
        market_locked=market["Locked"],
        worker=worker,
        control=str(controls) if control else None,
        spendable=str(available + market_free + int(worker) + controls),
        beneficiary=_beneficiary(info),
    )


def winning(power: int, total: int) -> Winning | None:
    """An epoch wins a number of blocks that is Poisson's, on average its share of the network's five."""
    if power <= 0 or total <= 0:
        return None
    chance = -math.expm1(-power * BLOCKS_AN_EPOCH / total)
    if chance <= 0:
        return None
    missed = 1 - chance
    certain = (
        EPOCH_SECONDS * math.log(UNLUCKY) / math.log(missed)
        if 0 < missed < 1
        else math.inf
        if missed
        else 0.0
    )
    return Winning(EPOCHS_A_WEEK * chance, EPOCH_SECONDS / chance, certain)


def _beneficiary(info: Mapping[str, Any]) -> Beneficiary | None:
    address = info.get("Beneficiary") or ""
    if not address or address == "<empty>":
        return None
    term = info.get("BeneficiaryTerm")
    if address == info["Owner"] or not term:
        return Beneficiary(address, None, None, None)
    return Beneficiary(address, term["Quota"], term["UsedQuota"], term["Expiration"])
