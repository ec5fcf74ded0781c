"""``POST /remote/vanilla/…``: a miner has a store prove what lies there, as recorded of Lotus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from lotus_sched_cli.core.tasks import FileType
from lotus_sched_cli.lotus.types import Cid, SectorRef
from lotus_sched_cli.storage.errors import StorageError
from lotus_sched_cli.storage.store import Store

from .farm import TOKEN, Farm, put_sector

SEALED = "bagboea4b5abcblth2wk42vog3blw7nqpjmu3qpmm4sukvr6lx36ruwmv6zcjdbr6"
UNSEALED = "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy"
SINGLE: dict[str, Any] = {
    "Miner": 1000,
    "Sector": {
        "SealProof": 5,
        "SectorNumber": 12,
        "SealedCID": {"/": SEALED},
        "Challenge": [33, 6, 30],
        "Update": False,
    },
    "ProofType": 10,
}
POREP = {
    "Sector": {"ID": {"Miner": 1000, "Number": 12}, "ProofType": 5},
    "Sealed": {"/": SEALED},
    "Unsealed": {"/": UNSEALED},
    "Ticket": "AQ==",
    "Seed": "Ag==",
}


class Prover:
    """Says what it was asked; ``broken``: fails with these words."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.broken = ""

    async def single(
        self,
        sector: SectorRef,
        proof: int,
        sealed: Cid,
        challenge: Sequence[int],
        files: Mapping[FileType, Path],
    ) -> bytes:
        self.asked.append((sector.ID.Number, proof, str(sealed), list(challenge), files))
        if self.broken:
            raise StorageError(self.broken)
        return b"a proof"

    async def porep(
        self,
        sector: SectorRef,
        cids: tuple[Cid, Cid],
        ticket: bytes,
        seed: bytes,
        files: Mapping[FileType, Path],
    ) -> bytes:
        self.asked.append((sector.ID.Number, [str(cid) for cid in cids], ticket, seed, files))
        return b"commit1"


@pytest.fixture
def prover(farm: Farm) -> Prover:
    farm.prover = prover = Prover()
    return prover


async def store(farm: Farm) -> Store:
    path = farm.folder("w1", store=True)
    put_sector(path, 12)
    (path / "update/s-t01000-13").write_bytes(b"updated")
    (path / "update-cache/s-t01000-13").mkdir()
    return await farm.store(path)


async def post(store: Store, kind: str, body: Any, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(f"{store.url}/vanilla/{kind}", json=body, headers=TOKEN | headers)


async def test_a_proof_of_a_sector_comes_as_bytes(farm: Farm, prover: Prover) -> None:
    kept = await store(farm)
    answer = await post(kept, "single", SINGLE)
    assert (answer.status_code, answer.content) == (200, b"a proof")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["accept-ranges"] == "bytes" and answer.headers["content-length"] == "7"
    root = farm.root / "w1"
    files = {FileType.SEALED: root / "sealed/s-t01000-12", FileType.CACHE: root / "cache/s-t01000-12"}
    assert prover.asked == [(12, 10, SEALED, [33, 6, 30], files)]


async def test_of_an_updated_sector_the_update_is_proven(farm: Farm, prover: Prover) -> None:
    kept = await store(farm)
    answer = await post(
        kept, "single", SINGLE | {"Sector": SINGLE["Sector"] | {"SectorNumber": 13, "Update": True}}
    )
    assert answer.status_code == 200
    files = prover.asked[0][-1]
    assert [file.parent.name for file in files.values()] == ["update", "update-cache"]


async def test_commit1_is_made_where_the_files_are(farm: Farm, prover: Prover) -> None:
    answer = await post(await store(farm), "porep", POREP)
    assert (answer.status_code, answer.content) == (200, b"commit1")
    assert prover.asked[0][:4] == (12, [UNSEALED, SEALED], b"\1", b"\2")


@pytest.mark.parametrize(
    ("body", "broken", "text"),
    [
        ("no object", "", "Expected `object`"),
        (SINGLE | {"Sector": {"SealProof": 5, "SectorNumber": 12}}, "", "SealedCID is missing"),
        (SINGLE | {"Sector": SINGLE["Sector"] | {"SectorNumber": 99}}, "", "is not here"),
        (SINGLE, "the replica does not fit", "the replica does not fit"),
    ],
)
async def test_what_cannot_be_proven_is_500_with_the_reason(
    farm: Farm, prover: Prover, body: Any, broken: str, text: str
) -> None:
    prover.broken = broken
    answer = await post(await store(farm), "single", body)
    assert answer.status_code == 500 and text in answer.text
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_a_store_that_cannot_prove_says_so_and_nobody_else_gets_in(farm: Farm) -> None:
    kept = await store(farm)
    answer = await post(kept, "single", SINGLE)
    assert answer.status_code == 500 and "does not really seal" in answer.text
    async with httpx.AsyncClient() as client:
        assert (await client.post(f"{kept.url}/vanilla/single", json=SINGLE)).status_code == 401
        assert (await client.get(f"{kept.url}/vanilla/single", headers=TOKEN)).status_code == 500
