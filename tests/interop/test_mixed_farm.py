"""Our miner with our workers and with stock workers written in Go, each on real HTTP."""

from __future__ import annotations

from collections import Counter

import pytest
from farm.farm import Farm, Proc
from farm.test_scenes import FAST_CHAIN, sealer

from .peers import build

pytestmark = pytest.mark.slow


def stock_worker(farm: Farm, name: str, *flags: str, wait: bool = True, miner: str = "") -> Proc:
    """A Go worker registers at the farm's miner; ``miner``: its URL, if it is another's."""
    program = build("stockworker")
    url, token = farm.endpoint()
    repo = farm.root / name
    repo.mkdir(exist_ok=True)
    argv = [
        str(program),
        "-miner",
        miner or url,
        "-token",
        token,
        "-repo",
        str(repo),
        "-name",
        name,
        "-heartbeat",
        "500ms",
        *flags,
    ]
    proc = farm.procs[name] = Proc(name, argv, farm.env, farm.root / f"{name}.log")
    before = farm.registrations(name)
    proc.start()
    if wait:
        farm.wait_for(lambda: farm.registrations(name) > before, 30, f"{name} to register")
    return proc


def p1_at_once(farm: Farm) -> Counter[str]:
    rows = [job for job in farm.jobs() if job["Task"] == "seal/v0/precommit/1" and job["RunWait"] == 0]
    return Counter(job["Sched"]["WorkerID"] if "Sched" in job else job["Hostname"] for job in rows)


def test_forty_sectors_on_two_of_our_workers_and_two_stock_ones(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN.replace("[Chain]", "PreCommit1Max = 2\n[Chain]"))
    settings = sealer(farm, AP=0.05, PC1=0.6, PC2=0.2, C1=0.05, C2=0.2, FIN=0.05)
    farm.miner()
    for name in ("ours-1", "ours-2"):
        farm.worker(name, "--precommit1max", "3", "--sealer", "simulated", "--sealer-config", settings)
    for name in ("stock-1", "stock-2"):
        stock_worker(farm, name, "-work", "300ms")
    hosts = {w["Sched"]["ID"]: w["Info"]["Hostname"] for w in farm.call("WorkerStats").values()}
    for _ in range(40):
        farm.call("PledgeSector")
    most: Counter[str] = Counter()

    def all_proving() -> bool:
        for worker, count in p1_at_once(farm).items():
            host = hosts.get(worker, worker)
            most[host] = max(most[host], count)
        return farm.all_proving(40)()

    farm.wait_for(all_proving, 240, "forty sectors to prove")

    # caps: from flags on ours, from config.toml on stock
    assert most["ours-1"] <= 3 and most["ours-2"] <= 3, most
    assert most["stock-1"] <= 2 and most["stock-2"] <= 2, most
    placed = farm.placements()
    for task in ("precommit/1", "precommit/2", "commit/2"):
        by_host = Counter(host for _, t, host in placed if t == task)
        assert sum(by_host.values()) == 40, (task, by_host)
        assert by_host.keys() == {"ours-1", "ours-2", "stock-1", "stock-2"}, (task, by_host)
    assert not any(status["LastErr"] for status in (farm.call("SectorsStatus", n, False) for n in range(40)))
    own = farm.call("StorageLocal")
    for number in range(40):
        found = farm.call("StorageFindSector", {"Miner": 1000, "Number": number}, 2, 0, False)
        assert [entry["ID"] in own for entry in found] == [True]


def test_a_killed_stock_worker_gives_its_call_back_with_code_101(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    farm.miner("--nosync")
    stock_worker(farm, "stock-1", "-work", "1500ms")
    farm.call("PledgeSector")
    farm.wait_for(lambda: any(j["Task"] == "seal/v0/precommit/1" for j in farm.jobs()), 30, "the P1")
    farm.procs["stock-1"].kill9()
    stock_worker(farm, "stock-1", "-work", "20ms")
    farm.wait_for(farm.all_proving(1), 60, "the sector to prove")
    kinds = [(line["Kind"], line["Message"]) for line in farm.call("SectorsStatus", 0, False)["Log"]]
    assert not [text for kind, text in kinds if kind.endswith("SealPreCommit1Failed") and "101" not in text]


def test_a_stock_worker_that_is_back_is_told_of_the_files_that_were_removed_meanwhile(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    farm.miner()
    stock_worker(farm, "stock-1", "-work", "2s")
    farm.call("PledgeSector")
    farm.wait_for(lambda: any(j["Task"] == "seal/v0/precommit/2" for j in farm.jobs()), 30, "the P2")
    farm.procs["stock-1"].kill9()
    files = [*(farm.root / "stock-1").rglob("s-t0*-0")]
    assert {file.parent.name for file in files} >= {"sealed", "cache"}
    farm.call("SectorRemove", 0)
    farm.wait_for(lambda: farm.states() == {"Removed": 1}, 60, "the sector to be removed")
    assert all(file.exists() for file in files)
    stock_worker(farm, "stock-1", "-work", "20ms")
    farm.wait_for(lambda: not any(file.exists() for file in files), 30, "its files to be deleted")
    farm.wait_for(lambda: not any(farm.call("StorageList").values()), 10, "the index to say so")


@pytest.mark.parametrize(
    ("flags", "said", "todo"),
    [
        (("-api", str(0x010600)), "unsupported worker api version", "same release as this miner"),
        (("-callback", "http://127.0.0.1:9"), "connecting remote storage failed", "--listen HOST:PORT)"),
    ],
    ids=["wrong-version", "unreachable-callback"],
)
def test_a_stock_worker_that_cannot_be_taken_is_refused_in_lotuss_words(
    farm: Farm, flags: tuple[str, ...], said: str, todo: str
) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    farm.miner()
    proc = stock_worker(farm, "stock-1", *flags, wait=False)
    farm.wait_for(lambda: not proc.alive, 30, "the worker to end")
    assert said in proc.text()
    line = next(text for text in farm.procs["miner"].text().splitlines() if said in text)
    assert "is not taken" in line and line.rstrip().endswith(todo), line
    assert farm.miner_answers()


def test_a_stock_worker_without_memory_is_taken_and_breaks_no_command(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    farm.miner()
    stock_worker(farm, "stock-1", "-memory", "0", "-work", "20ms")
    assert "stock-1" in farm.cli("miner", "sealing", "workers").stdout
    (line,) = [line for line in farm.procs["miner"].text().splitlines() if "no memory" in line]
    assert "WARN" in line and "stock-1" in line and "/proc/meminfo" in line
    farm.call("PledgeSector")
    farm.wait_for(farm.all_proving(1), 60, "the sector to prove")


def test_a_path_without_capacity_gets_no_sector_and_breaks_no_command(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    farm.miner()
    stock_worker(farm, "stock-1", "-no-capacity", "-work", "20ms")
    line = next(line for line in farm.procs["miner"].text().splitlines() if "tells no capacity" in line)
    assert "WARN" in line and "/remote" in line and line.rstrip().endswith("is its disk mounted?")
    listed = farm.cli("miner", "storage", "list").stdout
    assert "0 B/0 B" in listed, listed
    stock_worker(farm, "stock-2", "-work", "20ms")
    farm.call("PledgeSector")
    farm.wait_for(farm.all_proving(1), 60, "the sector to prove")
    hosts = {host for _, task, host in farm.placements() if task in ("addpiece", "precommit/1")}
    assert hosts == {"stock-2"}
