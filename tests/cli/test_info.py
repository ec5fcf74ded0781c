"""``lotus-miner info`` at a miner on a real chain, beyond what was recorded: trouble, debts, a node that is away."""

from __future__ import annotations

import json
import math
import time
from base64 import b64encode
from typing import Any

import pytest

from lotus_sched_cli.cli.views.actor import Winning, winning

from .conftest import FakeApi, Refused, Run

NOW = 1_800_000_000.0
FIL = 10**18
#: Deposits 1, vesting 2, no debt, pledge 3 attoFIL.
STATE = b64encode(b"\x86\xf6\x42\x00\x01\x42\x00\x02\xf6\x40\x42\x00\x03").decode()


@pytest.fixture
def node(api: FakeApi, clean_env: pytest.MonkeyPatch) -> FakeApi:
    """One fake for the miner and its full node."""
    clean_env.setenv("FULLNODE_API_INFO", api.info)
    clean_env.setattr(time, "time", lambda: NOW)
    power = {"RawBytePower": str(1 << 40), "QualityAdjPower": str(1 << 42)}
    total = {"RawBytePower": str(1 << 50), "QualityAdjPower": str(1 << 52)}
    api.answers = {
        "ActorAddress": "t01000",
        "WorkerStats": {},
        "Version": {"Version": "1.36.2+mainnet", "APIVersion": 66816, "BlockDelay": 30},
        "RuntimeSubsystems": ["Sealing"],
        "StartTime": "2027-01-15T07:00:00Z",
        "LogAlerts": [],
        "SectorsSummary": {"Proving": 1},
        "ChainHead": {"Blocks": [{"Timestamp": NOW - 10, "ParentBaseFee": "100"}]},
        "StateGetActor": {"Head": {"/": "bafy"}, "Balance": str(5 * FIL)},
        "ChainReadObj": STATE,
        "StateMinerInfo": {
            "SectorSize": 32 << 30, "Owner": "f0100", "Worker": "f0101", "ControlAddresses": None,
            "Beneficiary": "f0100", "BeneficiaryTerm": {"Quota": "0", "UsedQuota": "0", "Expiration": 0},
        },
        "StateMinerPower": {"MinerPower": power, "TotalPower": total, "HasMinPower": True},
        "StateMinerSectorCount": {"Live": 32, "Active": 30, "Faulty": 1},
        "StateMarketBalance": {"Escrow": "0", "Locked": "0"},
        "WalletBalance": str(FIL),
    }  # fmt: skip
    return api


def lines(miner: Run, *flags: str) -> list[str]:
    done = miner(*flags, "info")
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


def test_power_faults_and_what_may_be_won(node: FakeApi, miner: Run) -> None:
    out = lines(miner)
    assert "Miner: t01000 (32 GiB sectors)" in out
    assert "Power: 4 Ti / 4 Pi (0.0977%)" in out
    assert "\tRaw: 1 TiB / 1 PiB (0.0977%)" in out
    assert "\tProving: 992 GiB (32 GiB Faulty, 3.12%)" in out
    assert "Projected average block win rate: 98.20/week (every 1h42m39s)" in out
    node.answers["StateMinerPower"] = node.answers["StateMinerPower"] | {"HasMinPower": False}
    assert "Below minimum power threshold, no blocks will be won" in lines(miner)


@pytest.mark.parametrize(
    ("ago", "fee", "line"),
    [
        (44, 100, "Chain: [\x1b[32msync ok\x1b[0m] [basefee \x1b[34m100 aFIL\x1b[0m]"),
        (45, 100_000_001, "Chain: [\x1b[33msync slow (45s behind)\x1b[0m] [basefee \x1b[32m100 pFIL\x1b[0m]"),
        (150, 750_000_001, "Chain: [\x1b[31msync behind! (2m30s behind)\x1b[0m] [basefee \x1b[33m750 pFIL\x1b[0m]"),
        (7, 3_000_000_001, "Chain: [\x1b[32msync ok\x1b[0m] [basefee \x1b[31m3 nFIL\x1b[0m]"),
        (7, 7_000_000_001, "Chain: [\x1b[32msync ok\x1b[0m] [basefee \x1b[41;30m7 nFIL\x1b[0m]"),
    ],
)  # fmt: skip
def test_how_far_the_node_is_behind_and_what_gas_costs(
    node: FakeApi, miner: Run, ago: int, fee: int, line: str
) -> None:
    node.answers["ChainHead"] = {"Blocks": [{"Timestamp": NOW - ago, "ParentBaseFee": str(fee)}]}
    assert line in lines(miner, "--color", "--layout", "plain")


def test_debts_and_control_addresses(node: FakeApi, miner: Run) -> None:
    node.answers["StateGetActor"] = {"Head": {"/": "bafy"}, "Balance": "0"}
    out = lines(miner, "--color", "--layout", "plain")
    assert "\x1b[31m      Available:  -6 aFIL" in out and "\x1b[33m       Available: 0" in "\n".join(out)
    node.answers["StateMinerInfo"] = node.answers["StateMinerInfo"] | {
        "ControlAddresses": ["f0102", "f0103"],
        "Beneficiary": "f0200",
        "BeneficiaryTerm": {"Quota": "9", "UsedQuota": "4", "Expiration": 77},
    }
    out = lines(miner)
    assert "       Control:   2 FIL" in out
    at = out.index("Beneficiary:\tf0200")
    assert out[at + 1 : at + 4] == [
        "Beneficiary Quota:\t9", "Beneficiary Used Quota:\t4", "Beneficiary Expiration:\t77",
    ]  # fmt: skip
    asked = [params for method, params in node.calls if method == "WalletBalance"]
    assert asked[-3:] == [["f0101"], ["f0102"], ["f0103"]]


def test_data_has_exact_amounts(node: FakeApi, miner: Run) -> None:
    told = json.loads(miner("--format", "json", "info").out)
    assert told["on_chain"]["available"] == str(5 * FIL - 6)
    assert told["on_chain"]["spendable"] == str(6 * FIL - 6)
    assert told["chain"] is None and told["sector_size"] == 32 << 30


def refuse(*_: Any) -> None:
    raise Refused("the node is busy")


@pytest.mark.parametrize(
    ("method", "answer", "why"),
    [
        ("ChainHead", refuse, "the node is busy"),
        ("WalletBalance", refuse, "the node is busy"),
        ("ChainReadObj", "AAAA", "t01000: no miner actor's state"),
    ],
)
def test_a_node_in_trouble_takes_nothing_from_what_the_miner_tells(
    node: FakeApi, miner: Run, method: str, answer: Any, why: str
) -> None:
    node.answers[method] = answer
    done = miner("info")
    assert done.code == 0 and "Proving: 1" in done.out and "Power:" not in done.out
    assert done.err.startswith(f"WARN: chain, power and balances are left out: {why}")
    assert done.err.count("\n") == 1


def test_a_node_that_is_not_there(node: FakeApi, miner: Run, clean_env: pytest.MonkeyPatch) -> None:
    clean_env.setenv("FULLNODE_API_INFO", "t:/ip4/127.0.0.1/tcp/1/http")
    done = miner("info")
    assert done.code == 0 and "Proving: 1" in done.out
    assert "is lotus daemon running there?" in done.err


def test_without_a_node_nothing_is_asked_of_one(
    node: FakeApi, miner: Run, clean_env: pytest.MonkeyPatch
) -> None:
    clean_env.delenv("FULLNODE_API_INFO")
    assert "Power:" not in "\n".join(lines(miner)) and "ChainHead" not in node.methods


def test_chances() -> None:
    assert winning(0, 10) is None and winning(10, 0) is None
    sure = winning(10_000, 1)
    assert sure == Winning(20160.0, 30.0, 0.0)
    half = winning(1 << 40, 1 << 41)
    assert half is not None and math.isclose(half.per_week, 20160 * (1 - math.exp(-2.5)))
    tiny = winning(1, 10**24)
    assert tiny is not None and tiny.nearly_certain == math.inf
