"""Folders for what passes between a task and its process: gone at the end, and after a kill with the next worker."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lotus_sched_cli.sealers import scratch

WORKER = """
import asyncio
from lotus_sched_cli.sealers.scratch import folder, given

async def main():
    async with folder() as place:
        await given(place / "piece", bytes(1000))
        print(place, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch._swept.cache_clear()
    return tmp_path


def started(place: Path) -> subprocess.Popen[str]:
    environ = os.environ | {"TMPDIR": str(place)}
    return subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, env=environ, text=True)


async def test_what_a_killed_worker_left_goes_with_the_next_and_a_living_ones_stays(place: Path) -> None:
    both = [started(place) for _ in range(2)]
    try:
        folders = []
        for worker in both:
            assert worker.stdout is not None
            folders.append(Path(worker.stdout.readline().strip()))
        both[0].kill()
        assert both[0].wait(20) == -signal.SIGKILL
        assert (folders[0] / "piece").exists()
        async with scratch.folder() as ours:
            assert set(place.iterdir()) == {folders[1], ours}
            assert (folders[1] / "piece").exists()
        assert list(place.iterdir()) == [folders[1]]
    finally:
        for worker in both:
            worker.kill()
            worker.wait(20)


async def test_what_only_looks_like_one_is_left_alone(place: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.tex").write_text("years of work")
    (place / "lotus-sched-task-link").symlink_to(elsewhere)
    (place / "lotus-sched-task-file").write_text("a file")
    async with scratch.folder():
        pass
    assert (elsewhere / "thesis.tex").exists()
    assert {file.name for file in place.iterdir()} >= {"lotus-sched-task-link", "lotus-sched-task-file"}


async def test_where_there_are_no_locks_a_task_has_its_folder_and_nothing_is_swept(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "lotus-sched-task-other").mkdir()

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(scratch.fcntl, "flock", none)
    async with scratch.folder() as ours:
        assert set(place.iterdir()) == {place / "lotus-sched-task-other", ours}
