"""The sealer's processes: ended when cancelled, too slow or orphaned; what killed them is told. A stand-in program plays."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.lotus.rpc.streams import BytesReader
from lotus_sched_cli.lotus.types import SectorID, SectorRef
from lotus_sched_cli.sealers import child, guard, proofs, prover, verify
from lotus_sched_cli.sealers.base import Job, SealError, Usage
from lotus_sched_cli.sealers.external import ExternalConfig, ExternalSealer
from lotus_sched_cli.sealers.proofs import ProofsSealer
from lotus_sched_cli.sealers.proofsconfig import ProofsConfig
from lotus_sched_cli.sealers.verify import RealVerifier, SealClaim, VerifyError
from lotus_sched_cli.sealers.words import Words

REF = SectorRef(SectorID(1000, 15), 5)
DATA = "baga6ea4seaqmt3tjvhstxe4p4cqzbq6jwutewl3qyeg4si5snppquzgdypzdwiq"
#: Says where it is and waits, with a child of its own.
WAITS = 'sleep 600 & echo $$ > "$HOME/pid"; echo $! > "$HOME/inner"; wait'


def sealer(root: Path, script: str, **config: object) -> ProofsSealer:
    program = root / "lotus-proofs"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    environ = {"PATH": os.environ["PATH"], "HOME": str(root), "LOTUS_API": "secret", "MINER_API_INFO": "t:x"}
    return ProofsSealer(program, environ, ProofsConfig(**config), root / "repo")  # type: ignore[arg-type]


async def finalize(sealer: ProofsSealer, root: Path, gpu: int | None = None) -> None:
    await sealer.finalize(Job("call", TaskType.FINALIZE, REF, gpu), {FileType.CACHE: root / "cache"})


def numbers(root: Path) -> list[int]:
    """Process ids of the waiting program and its own child, once it has told them."""
    end = time.monotonic() + 20
    while not (root / "inner").exists() or not (root / "inner").read_text().strip():
        assert time.monotonic() < end, "the program did not start"
        time.sleep(0.01)
    return [int((root / name).read_text()) for name in ("pid", "inner")]


async def pids(root: Path) -> list[psutil.Process]:
    return [psutil.Process(number) for number in await asyncio.to_thread(numbers, root)]


def within(seconds: float, ready: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not ready() and time.monotonic() < end:
        time.sleep(0.01)
    return ready()


def dead(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


async def test_a_cancelled_task_is_dead_when_it_has_ended(tmp_path: Path) -> None:
    task = asyncio.create_task(finalize(sealer(tmp_path, WAITS), tmp_path))
    running = await pids(tmp_path)
    assert os.getsid(running[0].pid) == running[0].pid, "a session of its own"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not running[0].is_running()
    assert dead(running)


async def test_a_task_over_its_limit_is_ended_and_says_so(tmp_path: Path) -> None:
    slow = sealer(tmp_path, WAITS, limits={TaskType.FINALIZE: 0.5})
    task = asyncio.create_task(finalize(slow, tmp_path))
    running = await pids(tmp_path)
    with pytest.raises(SealError, match=r"FIN took longer than its limit of 0.5 s and was ended"):
        await task
    assert dead(running)


@pytest.mark.parametrize("stuck", [False, True], ids=["dies", "stuck in the kernel"])
async def test_a_look_for_parameters_that_hangs_leaves_c2_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stuck: bool
) -> None:
    monkeypatch.setattr(proofs, "LONGEST_LOOK", 2.0)
    monkeypatch.setattr(child, "PATIENCE", 0.2)
    # What reads a disk that hangs gets no signal before the disk answers.
    if stuck:
        monkeypatch.setattr(child, "end_session", lambda session: None)
    hangs = sealer(tmp_path, WAITS, environment={prover.PARAMETERS: "/nfs/parameters"})
    pipes = open_pipes()
    look = asyncio.create_task(hangs.lacks_parameters(5))
    running = await pids(tmp_path)
    async with asyncio.timeout(20):
        assert await look == ""
    assert await asyncio.to_thread(within, 20, lambda: open_pipes() == pipes)
    (said,) = [text for text in caplog.messages if text.startswith("C2 is offered without a look")]
    assert str(hangs.program) in said and "2 s" in said and "/nfs/parameters" in said
    if stuck:
        guard.end_session(running[0].pid)
    assert dead(running), "what was left to die alone is no zombie when it has"


def open_pipes() -> int:
    return sum(
        os.path.realpath(file).rpartition("/")[2].startswith("pipe:")
        for file in Path("/proc/self/fd").iterdir()
    )


async def test_the_kernel_takes_a_task_before_the_worker(tmp_path: Path) -> None:
    task = asyncio.create_task(finalize(sealer(tmp_path, WAITS), tmp_path))
    running = await pids(tmp_path)

    def later() -> bool:
        own = int(Path("/proc/self/oom_score_adj").read_text())
        return int(Path(f"/proc/{running[0].pid}/oom_score_adj").read_text()) > own

    assert await asyncio.to_thread(within, 20, later)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_task_that_is_cancelled_while_it_says_much_is_dead_too(tmp_path: Path) -> None:
    """More than the pipes hold, on both, and nobody reads any more."""
    said = 'while :; do echo "$0 $0 $0 $0"; done'
    talks = sealer(tmp_path, f'echo $$ > "$HOME/pid"; (echo $$ > "$HOME/inner"; {said}) & {said} >&2')
    task = asyncio.create_task(finalize(talks, tmp_path))
    running = await pids(tmp_path)
    task.cancel()
    async with asyncio.timeout(20):
        await asyncio.gather(task, return_exceptions=True)
    assert dead(running)


async def test_a_task_that_is_cancelled_while_it_is_started_is_dead_too(tmp_path: Path) -> None:
    slow = sealer(tmp_path, WAITS)
    for turns in range(12):
        task = asyncio.create_task(finalize(slow, tmp_path))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(20):
            await asyncio.gather(task, return_exceptions=True)
        left = [p for p in psutil.process_iter() if lives(p, tmp_path)]
        assert not left, f"cancelled after {turns} turns"


def lives(process: psutil.Process, root: Path) -> bool:
    """Whether a sealer of this folder started it and it has not ended."""
    try:
        ours = process.environ().get(prover.MARK) == str(root / "repo")
        return ours and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


async def test_memory_that_ran_out_is_told_from_another_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = sealer(tmp_path, "kill -9 $$")
    with pytest.raises(SealError, match="FIN was killed from outside"):
        await finalize(killed, tmp_path)
    counts = iter([3, 4])
    monkeypatch.setattr(child, "_oom_kills", lambda: next(counts))
    with pytest.raises(SealError, match="FIN was killed by the kernel because memory ran out"):
        await finalize(killed, tmp_path)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -BUS $$", "crashed with SIGBUS: a file under it was cut"),
        ("kill -ABRT $$", "crashed with SIGABRT: most likely it got no more memory"),
        ("echo nonsense; exit 1", "ended with exit code 1 and no result"),
        ("exit 0", "ended with exit code 0 and no result"),
        ("head -c 100000 /dev/zero | tr '\\0' '['", "ended with exit code 0 and no result"),
        (
            """printf '{"Error":{"Message":"'; head -c 100000 /dev/zero | tr '\\0' a; printf ' it ended"}}'; exit 1""",
            r"FIN: aaa.*aaa … \(100009 characters\) … aaa.*aaa it ended$",
        ),
    ],
)
async def test_a_program_that_breaks_is_one_line(tmp_path: Path, script: str, words: str) -> None:
    with pytest.raises(SealError, match=words) as why:
        await finalize(sealer(tmp_path, script), tmp_path)
    assert "\n" not in why.value.text


FILES = {kind: Path("/nowhere") for kind in (FileType.UNSEALED, FileType.SEALED, FileType.CACHE)}


@pytest.mark.parametrize(
    ("task", "result", "words"),
    [
        ("DC", "null", "DC: lotus-proofs gave a result that is no object"),
        ("DC", "[]", "DC: lotus-proofs gave a result that is no object"),
        ("DC", "{}", r"lotus-proofs \(DC\) is not as it must be: Size is 0, not 2048"),
        ("DC", '{"Size":"a"}', "Expected `int`"),
        ("DC", '{"Size":NaN}', "Expected `int`"),
        ("DC", '{"Size":2048}', "PieceCID is '', the id of no data"),
        ("DC", '{"Size":2048,"PieceCID":{"/":"junk"}}', "PieceCID is 'junk', the id of no data"),
        ("PC2", "{}", "Unsealed is '', the id of no data"),
        ("PC2", f'{{"Unsealed":{{"/":"{DATA}"}},"Sealed":{{"/":"{DATA}"}}}}', "the id of no sealed sector"),
        ("C2", "{}", "missing required field `Proof`"),
        ("C2", '{"Proof":"%%%"}', "base64"),
        ("C2", '{"Proof":"AAAA"}', "Proof has 3 bytes, not 192"),
    ],
)
async def test_a_result_of_the_wrong_shape_is_one_line(
    tmp_path: Path, task: str, result: str, words: str
) -> None:
    odd = sealer(tmp_path, f"cat > {tmp_path}/request; cat <<'X'\n{result}\nX")
    with pytest.raises(SealError, match=words) as why:
        if task == "DC":
            await odd.data_cid(Job("call", TaskType.DATA_CID, REF), 2032, BytesReader(bytes(2032)))
        elif task == "PC2":
            await odd.precommit2(Job("call", TaskType.PRECOMMIT2, REF), b"{}", FILES)
        else:
            await odd.commit2(Job("call", TaskType.COMMIT2, REF), b"{}")
    assert "\n" not in why.value.text


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("mkfifo $o", "cannot be read: it is no plain file"),
        ("mkdir $o", "cannot be read: it is no plain file"),
        ("ln -s /dev/zero $o", "cannot be read: it is no plain file"),
        ("truncate -s 10G $o", "cannot be read: it has 10737418240 bytes"),
        (": > $o", "cannot be read: input data was truncated"),
        ("echo '[[[' > $o", "cannot be read: expected `object`"),
    ],
)
async def test_an_output_that_is_none_is_one_line_and_not_waited_for(
    tmp_path: Path, made: str, words: str
) -> None:
    find = 'while [ $# -gt 1 ]; do [ "$1" = --output ] && o=$2; shift; done'
    odd = sealer(tmp_path, f"{find}\n{made}\necho '{{}}'")
    async with asyncio.timeout(30):
        with pytest.raises(SealError, match=words):
            await odd.precommit1(Job("call", TaskType.PRECOMMIT1, REF), bytes(32), [], FILES)


async def test_a_program_that_puts_out_without_end_is_ended(tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(SealError, match="FIN put more than 16 MiB on standard output and was ended"):
            await finalize(sealer(tmp_path, "exec cat /dev/zero"), tmp_path)


async def test_of_a_flood_of_words_the_beginning_is_passed_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flood = "yes flood | head -n 100000 >&2; yes '' | head -n 1000000 >&2; echo '{}'"
    async with asyncio.timeout(60):
        await finalize(sealer(tmp_path, flood), tmp_path)
    said = [text for text in caplog.messages if text.startswith("FIN of sector 15: ")]
    assert 5_000 < len(said) < 20_000
    assert said[-1].endswith("it says more than is passed on here; lines are left out")


def test_after_a_flood_words_are_passed_on_again_with_how_many_were_not() -> None:
    now = 0.0
    heard: list[str] = []
    words = Words(heard.append, lambda: now)
    for _ in range(20_000):
        words("flood")
    passed = heard.count("flood")
    assert heard[-1] == "it says more than is passed on here; lines are left out"
    now = 3600.0
    words("calm")
    assert heard[-2:] == [f"{20_000 - passed} lines were left out", "calm"]
    words("x" * (2 << 20))
    assert heard[-1] == "it says more than is passed on here; lines are left out"


SEALED = "bagboea4b5abcamxmh7exq7vrvacvajooeapagr3a4g3tpjhw73iny47hvafw76gr"
CLAIM = SealClaim(
    proof_type=5,
    sector=SectorId(1000, 15),
    ticket=bytes(32),
    seed=bytes(32),
    comm_d=DATA,
    comm_r=SEALED,
    proof=bytes(192),
)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo '[]'", "ended with exit code 0 and no result"),
        ("echo null", "ended with exit code 0 and no result"),
        ("echo '{\"Error\":1}'; exit 1", "ended with exit code 1 and no result"),
        ("head -c 100000 /dev/zero | tr '\\0' '['", "ended with exit code 0 and no result"),
        ("exit 5", "ended with exit code 5 and no result"),
        ('echo \'{"Error":{"Message":"no key"}}\'; exit 3', "no key$"),
        ("kill -9 $$", "lotus-proofs was killed from outside"),
        ("exec cat /dev/zero", "more than 16 MiB on standard output"),
        ("sleep 600", "gave no answer in 1 s; does the disk of the parameters hang?"),
    ],
)
async def test_a_proof_that_cannot_be_checked_says_why_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    if script == "sleep 600":
        monkeypatch.setattr(verify, "LONGEST_CHECK", 1.0)
    checks = RealVerifier(sealer(tmp_path, f"cat > {tmp_path}/asked; {script}").program, {})
    async with asyncio.timeout(30):
        with pytest.raises(VerifyError, match=words.replace("?", r"\?")) as why:
            await checks.verify_seal(CLAIM)
    assert str(why.value).startswith("cannot verify the proof: ") and "\n" not in str(why.value)


async def test_a_check_is_over_when_the_program_is(tmp_path: Path) -> None:
    """Whatever it has left in the background ends with it."""
    said = 'sleep 600 & echo $! > "$HOME/inner"; cat > "$HOME/asked"; echo \'{"Valid":true}\''
    checks = RealVerifier(sealer(tmp_path, said).program, {"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    async with asyncio.timeout(20):
        assert await checks.verify_seal(CLAIM)
    left = int((tmp_path / "inner").read_text())
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE


async def test_a_program_that_wrote_no_output_is_one_line(tmp_path: Path) -> None:
    lazy = sealer(tmp_path, "echo '{}'")
    files = {
        FileType.UNSEALED: tmp_path / "u",
        FileType.SEALED: tmp_path / "s",
        FileType.CACHE: tmp_path / "c",
    }
    with pytest.raises(SealError, match="PC1: lotus-proofs ended well and wrote no output"):
        await lazy.precommit1(Job("call", TaskType.PRECOMMIT1, REF), bytes(32), [], files)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (r"a\nb\r\n  c", "FIN: a b c"),
        (r"\u001b[2Jgone", r"FIN: \x1b[2Jgone"),
        (r"half \ud800", r"FIN: half \ud800"),
    ],
)
async def test_an_error_is_one_line_that_the_wire_can_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, said: str, shown: str
) -> None:
    (tmp_path / "result").write_text(f'{{"Error":{{"Message":"{said}"}}}}')
    (tmp_path / "line").write_text(f'{{"level":"warn","msg":"{said}"}}\n\x1b[2J\n')
    script = f"cat {tmp_path}/line >&2; cat {tmp_path}/result; exit 1"
    with pytest.raises(SealError) as why:
        await finalize(sealer(tmp_path, script), tmp_path)
    assert why.value.text == str(why.value) == shown
    assert shown.replace("FIN", "FIN of sector 15") in caplog.messages
    assert msgspec.json.encode(why.value.text)
    assert all(text.isprintable() for text in caplog.messages)


FIGURES = '{"msg":"done","level":"info","seconds":%s,"user_seconds":1,"system_seconds":1,"max_rss":%s}'


@pytest.mark.parametrize(
    "said",
    [
        '{"msg":"done","level":"info","max_rss":5}',
        "[" * 100_000,
        FIGURES % (1, "1e999"),
        FIGURES % ("1" + "0" * 400, 1),
        FIGURES % ("NaN", 1),
        FIGURES % (-1, 1),
    ],
)
async def test_odd_log_lines_end_no_task(tmp_path: Path, said: str) -> None:
    (tmp_path / "said").write_text(said + "\n")
    await finalize(sealer(tmp_path, f"cat {tmp_path}/said >&2; echo '{{}}'"), tmp_path)


async def test_words_without_an_end_are_passed_on_in_parts(tmp_path: Path) -> None:
    heard: list[str] = []

    def line(text: str) -> None:
        heard.append(text)

    bar = "head -c 1000000 /dev/zero | tr '\\0' . >&2"
    argv = ["/bin/sh", "-c", bar]
    job = Job("call", TaskType.FINALIZE, REF)
    ended = await child.run(job, argv, env={"PATH": os.environ["PATH"]}, line=line)
    assert ended.code == 0
    assert sum(map(len, heard)) == 1_000_000
    assert len(heard) > 1


@pytest.mark.parametrize(("code", "call_code"), [(1, 0), (2, 0), (3, 100), (4, 102), (5, 0), (6, 0)])
async def test_exit_codes_become_lotus_codes(tmp_path: Path, code: int, call_code: int) -> None:
    result = json.dumps({"Error": {"Kind": "k", "Message": "the field's words"}})
    with pytest.raises(SealError, match="the field's words") as why:
        await finalize(sealer(tmp_path, f"cat <<'X'\n{result}\nX\nexit {code}"), tmp_path)
    assert why.value.code == call_code


async def test_a_program_that_is_not_there_or_will_not_start(tmp_path: Path) -> None:
    gone = sealer(tmp_path, "exit 0")
    gone.program.unlink()
    with pytest.raises(SealError, match="no such file"):
        await finalize(gone, tmp_path)


async def test_a_child_gets_one_card_its_lock_and_none_of_our_secrets(tmp_path: Path) -> None:
    shows = sealer(tmp_path, 'env > "$HOME/env"; echo "{}"', environment={"RAYON_NUM_THREADS": "1"})
    await finalize(shows, tmp_path, gpu=2)
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert (env["CUDA_VISIBLE_DEVICES"], env["CUDA_DEVICE_ORDER"]) == ("2", "PCI_BUS_ID")
    assert env["BELLPERSON_GPUS_PER_LOCK"] == "1" and env["RAYON_NUM_THREADS"] == "1"
    assert not {"LOTUS_API", "MINER_API_INFO"} & env.keys()
    await finalize(shows, tmp_path)
    assert "CUDA_VISIBLE_DEVICES" not in (tmp_path / "env").read_text()


async def test_what_a_running_child_takes_is_reported_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "LOOK", 0.08)
    told: list[Usage] = []
    seen = asyncio.Event()

    def report(usage: Usage) -> None:
        told.append(usage)
        seen.set()

    job = Job("call", TaskType.FINALIZE, REF, report=report)
    task = asyncio.create_task(sealer(tmp_path, WAITS).finalize(job, {FileType.CACHE: tmp_path / "cache"}))
    await asyncio.wait_for(seen.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert told[0].max_rss > 100_000 and told[0].seconds > 0


def test_leftovers_are_ended_by_their_mark_and_nobody_else_is(tmp_path: Path) -> None:
    def start(repo: str) -> subprocess.Popen[bytes]:
        env = {prover.MARK: repo, "PATH": os.environ["PATH"]}
        return subprocess.Popen(["sleep", "600"], env=env, start_new_session=True)

    ours, other = start(str(tmp_path / "w1")), start(str(tmp_path / "w2"))
    try:
        assert child.end_leftovers(tmp_path / "w1") == 1
        assert not psutil.pid_exists(ours.pid) or ours.wait(10) == -signal.SIGKILL
        assert other.poll() is None
        assert child.end_leftovers(tmp_path / "w1") == 0
    finally:
        other.kill()
        other.wait(10)


def test_what_is_forked_while_a_session_is_ended_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    leader = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert leader.stdout is not None
    forked = psutil.Process(int(leader.stdout.readline()))
    real, lists = os.listdir, []

    def listdir(folder: str) -> list[str]:
        lists.append(real(folder))
        return [name for name in lists[-1] if len(lists) > 1 or name != str(forked.pid)]

    monkeypatch.setattr(guard.os, "listdir", listdir)
    guard.end_session(leader.pid)
    leader.wait(10)
    monkeypatch.undo()
    assert dead([forked])


def external(root: Path, command: str, limit: float | None = None) -> ExternalSealer:
    limits = {} if limit is None else {TaskType.FINALIZE: limit}
    return ExternalSealer(ExternalConfig({TaskType.FINALIZE: command}, limits), {})


#: An operator's script with programs of its own, one of them in a process group of its own.
COMMAND = "set -m; sleep 600 & echo $$ > {root}/pid; echo $! > {root}/inner; wait"


@pytest.mark.parametrize("how", ["cancelled", "over its limit"])
async def test_an_operators_command_ends_with_all_that_it_started(tmp_path: Path, how: str) -> None:
    commands = external(tmp_path, COMMAND.format(root=tmp_path), None if how == "cancelled" else 2.0)
    job = Job("call", TaskType.FINALIZE, REF)
    task = asyncio.create_task(commands.finalize(job, {FileType.CACHE: tmp_path / "cache"}))
    running = await pids(tmp_path)
    if how == "cancelled":
        task.cancel()
    async with asyncio.timeout(20):
        (why,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(why, asyncio.CancelledError) or "limit of 2 s" in str(why)
    assert dead(running)


async def test_a_guard_that_is_killed_takes_its_command_along(tmp_path: Path) -> None:
    commands = external(tmp_path, COMMAND.format(root=tmp_path))
    job = Job("call", TaskType.FINALIZE, REF)
    task = asyncio.create_task(commands.finalize(job, {FileType.CACHE: tmp_path / "cache"}))
    running = await pids(tmp_path)
    guard = running[0].parent()
    assert guard is not None
    guard.kill()
    async with asyncio.timeout(20):
        with pytest.raises(SealError, match="its guard ended with -9"):
            await task
    assert dead(running)


async def test_what_a_command_leaves_in_the_background_ends_with_it(tmp_path: Path) -> None:
    commands = external(tmp_path, f"sleep 600 & echo $! > {tmp_path}/inner; exit 0")
    async with asyncio.timeout(20):
        await commands.finalize(Job("call", TaskType.FINALIZE, REF), {FileType.CACHE: tmp_path / "cache"})
    left = int((tmp_path / "inner").read_text())
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("how", ["well", "over its limit"])
async def test_a_daemon_that_a_command_leaves_does_not_hold_its_task(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "GRACE", 0.2)
    wait = "exit 0" if how == "well" else "sleep 600"
    commands = external(
        tmp_path,
        f"setsid sh -c 'echo $$ > {tmp_path}/daemon; exec sleep 600' & "
        f"while ! [ -s {tmp_path}/daemon ]; do sleep 0.02; done; {wait}",
        None if how == "well" else 1.0,
    )
    job = Job("call", TaskType.FINALIZE, REF)
    try:
        async with asyncio.timeout(20):
            (why,) = await asyncio.gather(
                commands.finalize(job, {FileType.CACHE: tmp_path / "cache"}), return_exceptions=True
            )
        assert why is None if how == "well" else "limit of 1 s" in str(why)
    finally:
        os.kill(int((tmp_path / "daemon").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("size", [127, 127 << 13])
async def test_nor_does_one_that_the_program_leaves_and_that_holds_its_input(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "GRACE", 0.2)
    monkeypatch.setattr(child, "LOOK", 0.4)
    script = f"""exec 3<&0
    setsid sh -c 'echo $$ > {tmp_path}/daemon; exec sleep 600' <&3 &
    while ! [ -s {tmp_path}/daemon ]; do sleep 0.02; done
    echo '{{"Size":{size // 127 * 128},"PieceCID":{{"/":"{DATA}"}}}}'"""
    job = Job("call", TaskType.DATA_CID, REF)
    try:
        async with asyncio.timeout(20):
            told = await sealer(tmp_path, script).data_cid(job, size, BytesReader(bytes(size)))
        assert told.Size == size // 127 * 128
    finally:
        os.kill(int((tmp_path / "daemon").read_text()), signal.SIGKILL)


EXTERNAL_WORKER = """
import asyncio, sys
from pathlib import Path
from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.lotus.types import SectorID, SectorRef
from lotus_sched_cli.sealers.base import Job
from lotus_sched_cli.sealers.external import ExternalConfig, ExternalSealer
root = Path(sys.argv[1])
command = f'set -m; sleep 600 & echo $$ > {root}/pid; echo $! > {root}/inner; wait'
sealer = ExternalSealer(ExternalConfig({TaskType.FINALIZE: command}), {})
job = Job("call", TaskType.FINALIZE, SectorRef(SectorID(1000, 15), 5))
asyncio.run(sealer.finalize(job, {FileType.CACHE: root / "cache"}))
"""


def test_kill_9_ends_an_operators_command_and_its_children_at_once(tmp_path: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", EXTERNAL_WORKER, str(tmp_path)])
    running = [psutil.Process(number) for number in numbers(tmp_path)]
    worker.kill()
    worker.wait(10)
    assert dead(running)
