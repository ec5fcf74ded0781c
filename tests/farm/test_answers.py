"""Commands answer at once, whatever hangs and however much is in the works."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from farm.farm import Farm, program
from farm.test_scenes import FAST_CHAIN

SECTORS = 10_000
SPACE = {
    "Capacity": 1 << 50,
    "Available": 1 << 50,
    "FSAvailable": 1 << 50,
    "Reserved": 0,
    "Max": 0,
    "Used": 0,
}


@pytest.fixture
def deaf_host() -> Iterator[str]:
    """A host that takes connections and never answers: a disk that hangs."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/remote"


@pytest.mark.slow
def test_jobs_are_told_at_once_while_a_path_hangs_and_ten_thousand_sectors_are_in_the_works(
    farm: Farm, deaf_host: str
) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    farm.miner()
    path = {
        "ID": "4b2e0c2a-0000-4000-8000-00000000dead", "URLs": [deaf_host], "Weight": 10, "MaxStorage": 0, "CanSeal": True,
        "CanStore": False, "Groups": None, "AllowTo": None, "AllowTypes": None, "DenyTypes": None, "AllowMiners": None,
        "DenyMiners": None,
    }  # fmt: skip
    farm.call("StorageAttach", path, SPACE)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: farm.call("PledgeSector"), range(SECTORS)))

    for words in (["sealing", "jobs"], ["sealing", "workers"], ["sealing", "jobs", "--queued"]):
        with hanging(farm) as storage:
            lines = farm.cli("miner", *words).stdout.splitlines()
            assert storage.poll() is None, f"{words} was answered only after the path"
    assert len(lines) == SECTORS + 1
    assert len(farm.cli("miner", "sectors", "list").stdout.splitlines()) == SECTORS + 1
    told = farm.cli("miner", "storage", "list").stdout
    assert path["ID"] in told and "Error:" in told


@contextmanager
def hanging(farm: Farm) -> Iterator[subprocess.Popen[bytes]]:
    """``storage list``, which waits ten seconds for the path that hangs."""
    storage = subprocess.Popen(
        [*program("miner"), "storage", "list"], env=farm.env, stdout=subprocess.DEVNULL
    )
    try:
        yield storage
    finally:
        storage.kill()
        storage.wait(10)
