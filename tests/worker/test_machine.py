"""What a worker tells of its machine: memory within its control group, cards, the resource table, caps, tasks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.proofs import GIB
from lotus_sched_cli.core.tasks import ALWAYS_OFFERED, TaskType
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.sealers.simulated import TASKS
from lotus_sched_cli.worker import gpus, resources
from lotus_sched_cli.worker.caps import resolve
from lotus_sched_cli.worker.gpus import Gpu
from lotus_sched_cli.worker.hardware import count_cpus, measure_memory
from lotus_sched_cli.worker.options import RunOptions
from lotus_sched_cli.worker.profile import Profile
from lotus_sched_cli.worker.run import run
from lotus_sched_cli.worker.tasktypes import choose


class Machine:
    """/proc and /sys of a made-up machine."""

    def __init__(self, root: Path, mounts: str, group: str) -> None:
        self.root = root
        self.write("proc/self/mountinfo", mounts)
        self.write("proc/self/cgroup", group)

    def write(self, path: str, text: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")


GROUP = "farm/sealing"
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1 = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"


@pytest.fixture(autouse=True)
def machine_of_64_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ram:
        total, available = 64 * GIB, 60 * GIB

    class Swap:
        total, used = 8 * GIB, 1 * GIB

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Ram)
    monkeypatch.setattr(psutil, "swap_memory", lambda: Swap)


def test_without_a_limit_the_machines_memory_counts(tmp_path: Path) -> None:
    memory = measure_memory(root=tmp_path)
    assert (memory.physical, memory.used) == (64 * GIB, 4 * GIB)
    assert (memory.swap, memory.swap_used) == (8 * GIB, 1 * GIB)
    assert measure_memory(root=tmp_path, no_swap=True).swap == 0


def test_the_tightest_limit_on_the_way_up_counts_with_its_own_use(tmp_path: Path) -> None:
    machine = Machine(tmp_path, V2, f"0::/{GROUP}\n")
    for folder, limit, current in (("farm", 16 * GIB, 9 * GIB), (GROUP, 32 * GIB, 5 * GIB)):
        machine.write(f"sys/fs/cgroup/{folder}/memory.max", limit)
        machine.write(f"sys/fs/cgroup/{folder}/memory.current", current)
        machine.write(f"sys/fs/cgroup/{folder}/memory.stat", f"anon 1\nfile {2 * GIB}")
        machine.write(f"sys/fs/cgroup/{folder}/memory.swap.max", "max")
    memory = measure_memory(root=tmp_path)
    assert (memory.physical, memory.used) == (16 * GIB, 7 * GIB)
    assert memory.swap == 8 * GIB


def test_a_container_that_sees_its_own_group_as_the_root_is_limited_all_the_same(tmp_path: Path) -> None:
    machine = Machine(tmp_path, V2, "0::/\n")
    machine.write("sys/fs/cgroup/memory.max", 4 * GIB)
    machine.write("sys/fs/cgroup/memory.current", 3 * GIB)
    machine.write("sys/fs/cgroup/memory.stat", f"file {1 * GIB}")
    machine.write("sys/fs/cgroup/memory.swap.max", 2 * GIB)
    machine.write("sys/fs/cgroup/memory.swap.current", 7)
    memory = measure_memory(root=tmp_path)
    assert (memory.physical, memory.used, memory.swap, memory.swap_used) == (
        4 * GIB, 2 * GIB, 2 * GIB, 7,
    )  # fmt: skip


def test_version_1_of_control_groups_too_below_a_part_of_the_tree(tmp_path: Path) -> None:
    mounts = V1.replace(" / /sys", " /docker/abc /sys")
    machine = Machine(tmp_path, mounts, "9:name=systemd:/\n4:memory:/docker/abc\n")
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", 8 * GIB)
    machine.write("sys/fs/cgroup/memory/memory.usage_in_bytes", 6 * GIB)
    machine.write("sys/fs/cgroup/memory/memory.stat", f"inactive_file {1 * GIB}\nactive_file {2 * GIB}")
    memory = measure_memory(root=tmp_path)
    assert (memory.physical, memory.used) == (8 * GIB, 3 * GIB)


@pytest.mark.parametrize("limit", [0, 128 * GIB, "max", 9223372036854771712, "x"])
def test_a_limit_that_is_none_is_none(tmp_path: Path, limit: object) -> None:
    machine = Machine(tmp_path, V2, "0::/\n")
    machine.write("sys/fs/cgroup/memory.max", limit)
    assert measure_memory(root=tmp_path).physical == 64 * GIB


def test_processors_are_those_of_the_affinity_mask() -> None:
    mask = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mask)})
        assert count_cpus() == 1
    finally:
        os.sched_setaffinity(0, mask)


# -- cards ------------------------------------------------------------------------------------------------------------

A, B = Gpu(0, "GPU-aaaa1111-22", "NVIDIA H100"), Gpu(1, "GPU-bbbb1111-22", "NVIDIA H100")


class Nvml:
    """Stands in for pynvml."""

    def __init__(self, cards: list[Gpu], broken: Exception | None = None) -> None:
        self.cards, self.broken = cards, broken

    def nvmlInit(self) -> None:
        if self.broken:
            raise self.broken

    def nvmlShutdown(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        return self.cards[index]

    def nvmlDeviceGetUUID(self, card: Gpu) -> str:
        return card.uuid

    def nvmlDeviceGetName(self, card: Gpu) -> bytes:
        return card.name.encode()


@pytest.mark.parametrize(
    ("setting", "seen"),
    [
        (None, [A, B]), ("0,1", [A, B]), ("1", [B]), ("1,0", [B, A]), ("", []), ("-1", []), ("0,-1,1", [A]),
        ("GPU-bbbb1111-22", [B]), ("GPU-b", [B]), ("GPU-", []), ("gpu-aaaa", [A]), ("7", []), ("0,7,1", [A]),
        ("0,0", []), (" 1 ", [B]), ("MIG-x", []), ("none", []),
    ],
)  # fmt: skip
def test_cards_hidden_by_cuda_visible_devices_are_left_out(setting: str | None, seen: list[Gpu]) -> None:
    environ = {} if setting is None else {"CUDA_VISIBLE_DEVICES": setting}
    found = gpus.detect(environ, Nvml([A, B]))
    assert list(found.gpus) == seen
    assert bool(found.warning) == (not seen)


@pytest.mark.parametrize("broken", [RuntimeError("Driver Not Loaded"), OSError(5, "x"), AttributeError("y")])
def test_a_broken_driver_is_no_card_and_one_warning(broken: Exception) -> None:
    found = gpus.detect({}, Nvml([], broken))
    assert found.gpus == () and found.warning and "\n" not in found.warning


def test_parallel_tasks_spread_over_the_cards() -> None:
    profile = Profile(name="w", id="", tasks=TASKS, caps=Caps(), gpus=(A, B))
    assert [profile.take_card(TaskType.COMMIT2) for _ in range(3)] == [0, 1, 0]
    assert profile.take_card(TaskType.PRECOMMIT1) is None
    profile.free_card(1)
    assert profile.take_card(TaskType.PRECOMMIT2) == 1


# -- resources and caps -----------------------------------------------------------------------------------------------


def test_variables_override_the_table_sized_before_unsized_and_nonsense_is_0() -> None:
    env = {
        "PC1_32G_MAX_CONCURRENT": "4",
        "PC1_MAX_CONCURRENT": "9",
        "C2_MAX_MEMORY": "7",
        "AP_MIN_MEMORY": "4G",
        "PC2_MIN_MEMORY": "-5",
        "PC2_MAX_MEMORY": "99999999999999999999",
        "PC2_MAX_PARALLELISM": "-1",
    }
    table = resources.table(env)
    needs = table[TaskType.PRECOMMIT2][8]
    assert (needs.min_memory, needs.max_memory, needs.max_parallelism) == (0, 0, -1)
    assert table[TaskType.PRECOMMIT1][8].max_concurrent == 4
    assert table[TaskType.PRECOMMIT1][5].max_concurrent == 9
    assert {needs.max_memory for needs in table[TaskType.COMMIT2].values()} == {7}
    assert table[TaskType.ADD_PIECE][8].min_memory == 0


async def test_what_is_wrong_whatever_the_miner_says_is_said_before_it_is_asked(tmp_path: Path) -> None:
    nowhere = RunOptions(
        worker_repo=tmp_path / "w", miner_repo=tmp_path / "no-miner", listen="127.0.0.1:0", environ={}
    )
    with pytest.raises(UserError, match=r'"1000001" for --precommit1max'):
        await run(replace(nowhere, precommit1max=1_000_001))
    with pytest.raises(UserError, match="LOTUS_WORKER_COMMIT2MAX"):
        await run(replace(nowhere, environ={"LOTUS_WORKER_COMMIT2MAX": "two"}))
    assert not (tmp_path / "w").exists()


def test_multicore_sdr_needs_more_threads_and_a_bad_number_of_producers_is_lotuss_error() -> None:
    env = {"FIL_PROOFS_USE_MULTICORE_SDR": "1"}
    assert resources.table(env)[TaskType.PRECOMMIT1][8].max_parallelism == 4
    assert resources.table({"FIL_PROOFS_USE_MULTICORE_SDR": "true"})[TaskType.UNSEAL][8].max_parallelism == 1
    with pytest.raises(UserError, match=r'strconv\.Atoi: parsing "x": invalid syntax'):
        resources.table(env | {"FIL_PROOFS_MULTICORE_SDR_PRODUCERS": "x"})


def test_dc_has_no_sector_size() -> None:
    assert resources.unsized_data_cid({"DC_32GiB_MAX_CONCURRENT": "2"}) == {"DC_MAX_CONCURRENT": "2"}


def test_a_cap_comes_from_its_flag_else_its_variable_else_max_concurrent_else_the_default() -> None:
    env = {"LOTUS_WORKER_PRECOMMIT1MAX": "9", "PC1_MAX_CONCURRENT": "4", "PC2_32G_MAX_CONCURRENT": "3"}
    found = resolve(RunOptions(precommit1max=13), env, 32 * GIB)
    assert found.caps == Caps(13, 25, 3, 1, False) and found.sources["precommit1max"] == "flag"
    assert resolve(RunOptions(), env, 32 * GIB).caps.precommit1_max == 9
    assert resolve(RunOptions(), {"PC1_MAX_CONCURRENT": "4"}, 32 * GIB).caps.precommit1_max == 4
    assert resolve(RunOptions(), {"PC1_2K_MAX_CONCURRENT": "4"}, 32 * GIB).caps == Caps()
    assert resolve(
        RunOptions(), {"LOTUS_WORKER_FORCEP2FROMLOCALP1": "true"}, 2048
    ).caps.force_p2_from_local_p1


@pytest.mark.parametrize("bad", ["-1", "abc", "1.5", "99999999999"])
def test_a_cap_that_is_none_is_told_with_its_name_and_value(bad: str) -> None:
    with pytest.raises(UserError, match=f'"{bad}" for LOTUS_WORKER_COMMIT2MAX'):
        resolve(RunOptions(), {"LOTUS_WORKER_COMMIT2MAX": bad}, 2048)


def test_a_negative_flag_and_a_bad_switch() -> None:
    with pytest.raises(UserError, match='"-1" for --precommit1max'):
        resolve(RunOptions(precommit1max=-1), {}, 2048)
    with pytest.raises(UserError, match="give true or false"):
        resolve(RunOptions(), {"LOTUS_WORKER_FORCEP2FROMLOCALP1": "maybe"}, 2048)


def test_info_carries_caps_and_id_and_a_stock_miner_finds_them_as_max_concurrent() -> None:
    profile = Profile(name="w1", id="some-id", tasks=TASKS, caps=Caps(13, 0, 5, 2, True), gpus=(A,))
    info = profile.info()
    told = info.Resources
    assert (info.Hostname, info.WorkerID, told.GPUs) == ("w1", "some-id", ["NVIDIA H100"])
    assert (told.PreCommit1Max, told.PreCommit1HoldMax, told.PreCommit2Max) == (13, 0, 5)
    assert (told.Commit2Max, told.ForceP2FromLocalP1) == (2, True)
    assert told.Resources is not None
    assert told.Resources["seal/v0/precommit/1"]["8"].MaxConcurrent == 13
    assert told.Resources["seal/v0/commit/2"]["3"].MaxConcurrent == 2
    assert told.Resources["seal/v0/addpiece"]["8"].MaxConcurrent == 0
    assert len(told.Resources) == 14


# -- task types -------------------------------------------------------------------------------------------------------


def offered(
    caps: Caps | None = None, able: frozenset[TaskType] | None = None, **flags: Any
) -> frozenset[TaskType]:
    able = frozenset(TaskType) if able is None else able
    tasks = choose(RunOptions(**flags), able, "test").tasks
    return Profile(name="w", id="", tasks=tasks, caps=caps or Caps()).tasks()


def test_a_worker_offers_by_default_what_lotuss_offers() -> None:
    seal = {
        TaskType.ADD_PIECE, TaskType.DATA_CID, TaskType.PRECOMMIT1, TaskType.UNSEAL, TaskType.PRECOMMIT2,
        TaskType.COMMIT2, TaskType.REPLICA_UPDATE, TaskType.PROVE_REPLICA_UPDATE2, TaskType.REGEN_SECTOR_KEY,
    }  # fmt: skip
    assert offered() == ALWAYS_OFFERED | seal
    assert offered(addpiece=False) == ALWAYS_OFFERED | seal - {TaskType.ADD_PIECE, TaskType.DATA_CID}
    assert TaskType.DATA_CID in offered(addpiece=False, data_cid=True)
    assert TaskType.DOWNLOAD_SECTOR in offered(sector_download=True)
    assert offered(no_default=True) == ALWAYS_OFFERED
    assert offered(no_default=True, commit=True, data_cid=True) == ALWAYS_OFFERED | {TaskType.COMMIT2}


def test_a_cap_of_0_takes_the_type_off_the_offer() -> None:
    tasks = offered(Caps(0, 25, 0, 0))
    assert not tasks & {TaskType.PRECOMMIT1, TaskType.PRECOMMIT2, TaskType.COMMIT2}


def test_classes_do_not_mix() -> None:
    assert offered(windowpost=True) == {TaskType.WINDOW_POST}
    with pytest.raises(
        UserError, match="to be for WdPoSt worker, but task seal/v0/precommit/1 is for Sealing"
    ):
        offered(windowpost=True, precommit1=True)
    with pytest.raises(
        UserError, match="for WinPost worker, but task post/v0/windowproof is for WdPoSt worker"
    ):
        offered(windowpost=True, winningpost=True)


def test_what_the_sealer_cannot_do_is_not_offered_and_said_where_asked_for() -> None:
    choice = choose(RunOptions(replica_update=True), TASKS, "simulated")
    assert TaskType.REPLICA_UPDATE not in choice.tasks and TaskType.PRECOMMIT1 in choice.tasks
    assert len(choice.notes) == 1 and "--replica-update" in choice.notes[0]
    assert not choose(RunOptions(), TASKS, "simulated").notes
    with pytest.raises(UserError, match="--windowpost: the sealer 'simulated' cannot do WDP"):
        choose(RunOptions(windowpost=True), TASKS, "simulated")
