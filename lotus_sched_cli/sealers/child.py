"""One task, one process: started in a session of its own, watched, and dead when this returns.

Started from the event loop's thread, which lives as long as the worker: a parent-death signal counts that thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from lotus_sched_cli.lotus import logs, units

from .base import Job, SealError, Usage
from .guard import end_session
from .prover import MARK

log: Final = logs.get("sealer")

#: Seconds between two looks at a running child's memory.
LOOK: Final = 2.0
#: Where memory runs out, the kernel is to take a task (which is done again) before the worker or anything else.
OOM_SCORE_ADJ: Final = "500"
#: Seconds after a task's end in which what it left in sessions of their own may let go of its pipes.
GRACE: Final = 2.0
#: Bytes without a line's end that count as a line: a progress bar writes none for hours.
LONGEST_LINE: Final = 1 << 16
#: Bytes of standard output at most: a result; big outputs go by file.
LONGEST_RESULT: Final = 16 << 20
#: Seconds after which a look at a disk that hangs is left to die alone, once it was ended.
PATIENCE: Final = 2.0
#: What is said of one that the kernel killed for memory.
STARVED: Final = "killed by the kernel because memory ran out"
MORE_MEMORY: Final = "give it more, or fewer tasks at once"
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CHUNK: Final = 1 << 20


class Source(Protocol):
    """What is fed to a child's standard input."""

    async def read(self, n: int = -1) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Ended:
    """``code`` below 0: the signal's number. ``starved``: the kernel killed for want of memory meanwhile."""

    code: int
    out: bytes
    usage: Usage
    starved: bool


class TookTooLongError(SealError):
    """A task was over its limit and has been ended."""


async def run(
    job: Job,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    limit: float | None = None,
    patience: float | None = None,
    stdin: Source | None = None,
    line: Callable[[str], Usage | None] = lambda text: None,
) -> Ended:
    """Run to its end. ``line`` gets each line of standard error and may answer with the child's own figures.

    Cancelled, or after ``limit`` seconds (TookTooLongError): the whole session is killed before this returns. One in a read
    of a disk that hangs dies when that is over; ``patience`` is how many seconds to wait for it (None: as long as it takes,
    for what changes files).
    """
    began, kills = time.monotonic(), _oom_kills()
    process = await _start(
        argv, env, asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE
    )
    with contextlib.suppress(OSError):
        Path(f"/proc/{process.pid}/oom_score_adj").write_text(OOM_SCORE_ADJ)
    watch = _Watch(process, began, job)
    watching = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(limit):
            async with asyncio.TaskGroup() as group:
                out = group.create_task(_all(process.stdout, job))
                said = group.create_task(_lines(process.stderr, line))
                if stdin is not None:
                    group.create_task(_feed(process.stdin, stdin))
            code = await process.wait()
    except TimeoutError:
        text = f"{job.task.short} took longer than its limit of {limit:g} s and was ended"
        raise TookTooLongError(text) from None
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None
    finally:
        watching.cancel()
        await _end(process, patience)
    usage = said.result() or watch.usage()
    if job.report is not None:
        job.report(usage)
    return Ended(code, out.result(), usage, _oom_kills() > kills)


def killed(ended: Ended) -> str:
    """How a child ended that a signal ended."""
    number = -ended.code
    spent = took(ended.usage)
    if ended.starved and number == signal.SIGKILL:
        return f"was {STARVED} ({spent}); {MORE_MEMORY}"
    if number == signal.SIGKILL:
        return f"was killed from outside ({spent})"
    known = number in {s.value for s in signal.Signals}
    name = signal.Signals(number).name if known else f"signal {number}"
    hint = {
        signal.SIGABRT: ": most likely it got no more memory",
        signal.SIGBUS: ": a file under it was cut, or its disk is full",
    }
    return f"crashed with {name}{hint.get(signal.Signals(number), '') if known else ''} ({spent})"


def took(usage: Usage) -> str:
    """For a log or an error: seconds and memory."""
    memory = f", {units.size_str(usage.max_rss)} of memory at most" if usage.max_rss else ""
    return f"after {usage.seconds:.1f} s{memory}"


def end_leftovers(repo: Path) -> int:
    """Kill what an earlier process of this worker left running; how many that were.

    Children end with their worker by themselves; this makes sure of it.
    """
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(repo):
                found.append(process)
    for process in found:
        with contextlib.suppress(psutil.Error, OSError):
            end_session(os.getsid(process.pid))
            process.kill()
    psutil.wait_procs(found, timeout=10)
    return len(found)


async def _start(argv: Sequence[str], env: Mapping[str, str], stdin: int) -> asyncio.subprocess.Process:
    """Raises SealError. Cancelled meanwhile: what was started is dead."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *argv,
            env=env,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except OSError as why:
        raise SealError(f"starting {argv[0]}: {(why.strerror or str(why)).lower()}") from why
    except ValueError as why:  # a zero byte in an argument, a variable's name with "="
        raise SealError(f"starting {argv[0]}: {why}") from why
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _end(await starting)
        raise


async def _end(process: asyncio.subprocess.Process, patience: float | None = None) -> None:
    """The end of the session's processes, also of those whose leader is gone, and, whatever happens, of the leader."""
    end_session(process.pid)
    # Its pipes are read to their end: with something left in one that nobody reads, it would never count as over.
    ending = asyncio.ensure_future(process.communicate())
    loop = asyncio.get_running_loop()
    cutting = loop.call_later(GRACE, _cut, process)
    until = None if patience is None else loop.time() + patience
    cancelled = False
    while not ending.done():
        try:
            left = None if until is None else until - loop.time()
            if not (await asyncio.wait({ending}, timeout=left))[0]:
                _cut(process)
                ending.cancel()
                break
        except asyncio.CancelledError:
            cancelled = True
    cutting.cancel()
    if cancelled:
        raise asyncio.CancelledError


def _cut(process: asyncio.subprocess.Process) -> None:
    """Let go of its pipes. asyncio counts a process as over when nobody holds them any more, a daemon that it left included."""
    stdin = process.stdin.transport if process.stdin is not None else None
    if stdin is not None and (not stdin.is_closing() or stdin.get_write_buffer_size()):
        stdin.abort()
    process._transport.close()  # type: ignore[attr-defined]  # there is no public way


async def _all(stream: asyncio.StreamReader | None, job: Job) -> bytes:
    assert stream is not None
    out = bytearray()
    while chunk := await stream.read(_CHUNK):
        out += chunk
        if len(out) > LONGEST_RESULT:
            most = units.size_str(LONGEST_RESULT)
            raise SealError(f"{job.task.short} put more than {most} on standard output and was ended")
    return bytes(out)


async def _lines(stream: asyncio.StreamReader | None, line: Callable[[str], Usage | None]) -> Usage | None:
    """Feed each line to ``line``; its last figures."""
    assert stream is not None
    usage, rest = None, b""
    while chunk := await stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) >= LONGEST_LINE:
            whole, rest = [*whole, rest], b""
        for raw in filter(None, whole):
            usage = line(raw.decode(errors="replace")) or usage
    if rest:
        usage = line(rest.decode(errors="replace")) or usage
    return usage


async def _feed(stream: asyncio.StreamWriter | None, source: Source) -> None:
    """A child that stops reading says itself why."""
    assert stream is not None
    try:
        while True:
            try:
                data = await source.read(_CHUNK)
            except OSError as why:
                raise SealError(f"reading the piece's data: {why}") from why
            if not data:
                break
            stream.write(data)
            await stream.drain()
        stream.close()
        await stream.wait_closed()
    except ConnectionError:
        pass


class _Watch:
    """Looks at a running child from outside: what a killed one took is known from the last look.

    Where it is gone and others of its session hold its pipes still, they are ended: the task ends with its leader. What has
    left the session lives on, and is not listened to.
    """

    def __init__(self, process: asyncio.subprocess.Process, began: float, job: Job) -> None:
        self._process = process
        self._proc = Path(f"/proc/{process.pid}")
        self._began = began
        self._job = job
        self._cpu, self._rss = 0.0, 0

    def usage(self) -> Usage:
        return Usage(time.monotonic() - self._began, self._cpu, self._rss)

    async def run(self) -> None:
        pause, gone = LOOK / 8, 0.0
        while True:
            await asyncio.sleep(pause)
            if not self._proc.exists():
                end_session(self._process.pid)
                gone = gone or time.monotonic()
                if time.monotonic() - gone >= GRACE:
                    log.warn(
                        f"{self._job.task.short} has ended; a process that it left behind holds its output open still"
                    )
                    _cut(self._process)
                    return
            self._look()
            if self._rss and self._job.report is not None:
                self._job.report(self.usage())
            pause = min(LOOK, pause * 2)

    def _look(self) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            status = (self._proc / "status").read_text()
            peak = next((s for s in status.splitlines() if s.startswith("VmHWM:")), None)
            if peak is not None:
                self._rss = max(self._rss, int(peak.split()[1]) * 1024)
            fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
            self._cpu = (int(fields[11]) + int(fields[12])) / _TICKS


def _oom_kills() -> int:
    """How often the kernel has killed for want of memory since it started."""
    with contextlib.suppress(OSError, ValueError):
        for text in Path("/proc/vmstat").read_text().splitlines():
            if text.startswith("oom_kill "):
                return int(text.split()[1])
    return 0
