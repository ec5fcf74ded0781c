"""What goes over the wire to the index, as Lotus's worker says it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from lotus_sched_cli.core.tasks import FileType, PathType
from lotus_sched_cli.lotus.types import FsStat, HealthReport, StorageInfo
from lotus_sched_cli.storage.index import RpcIndex

from .farm import sector


class Recorder:
    """A caller that keeps what it is told and answers with ``answers``."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.said: list[tuple[str, Any]] = []

    async def call(self, method: str, *params: Any, result: Any = Any, **_: Any) -> Any:
        self.said.append((method, json.loads(msgspec.json.encode(params))))
        return msgspec.convert(self.answers.get(method), result)


async def test_params_are_lotus_ones() -> None:
    caller = Recorder()
    index = RpcIndex(caller)
    await index.StorageAttach(StorageInfo(ID="i", URLs=["http://10.0.0.5:3456/remote"], Weight=10), FsStat(9))
    await index.StorageDeclareSector("i", sector(1), FileType.SEALED, False)
    await index.StorageDropSector("i", sector(1), FileType.CACHE)
    await index.StorageReportHealth("i", HealthReport(Err="sick"))
    assert await index.StorageFindSector(sector(1), FileType.SEALED, 2048, False) == []
    assert await index.StorageBestAlloc(FileType.UNSEALED, 2048, PathType.SEALING, 1000) == []
    assert await index.StorageList() == {}
    await index.StorageDetach("i", "http://10.0.0.5:3456/remote")
    stat = {"Capacity": 9, "Available": 0, "FSAvailable": 0, "Reserved": 0, "Max": 0, "Used": 0}
    info = {
        "ID": "i", "URLs": ["http://10.0.0.5:3456/remote"], "Weight": 10, "MaxStorage": 0, "CanSeal": False, "CanStore": False,
        "Groups": None, "AllowTo": None, "AllowTypes": None, "DenyTypes": None, "AllowMiners": None, "DenyMiners": None,
    }  # fmt: skip
    assert caller.said == [
        ("StorageAttach", [info, stat]),
        ("StorageDeclareSector", ["i", {"Miner": 1000, "Number": 1}, 2, False]),
        ("StorageDropSector", ["i", {"Miner": 1000, "Number": 1}, 4]),
        ("StorageReportHealth", ["i", {"Stat": {**stat, "Capacity": 0}, "Err": "sick"}]),
        ("StorageFindSector", [{"Miner": 1000, "Number": 1}, 2, 2048, False]),
        ("StorageBestAlloc", [1, 2048, "sealing", 1000]),
        ("StorageList", []),
        ("StorageDetach", ["i", "http://10.0.0.5:3456/remote"]),
    ]


async def test_answers_come_as_types() -> None:
    entry = {
        "ID": "i",
        "URLs": ["u"],
        "BaseURLs": ["b"],
        "Weight": 10,
        "CanSeal": True,
        "CanStore": False,
        "Primary": True,
    }
    caller = Recorder(
        StorageFindSector=[entry],
        StorageList={"i": [{"Miner": 1000, "Number": 1, "SectorFileType": 6}], "empty": None},
        StorageInfo={"ID": "i", "Weight": 3},
    )
    index = RpcIndex(caller)
    (found,) = await index.StorageFindSector(sector(1), FileType.SEALED, 0, False)
    assert found.Primary and found.URLs == ["u"]
    assert (await index.StorageInfo("i")).Weight == 3
    listed = await index.StorageList()
    assert listed["empty"] == [] and listed["i"][0].SectorFileType == 6
