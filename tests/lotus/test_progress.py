"""Long work shows how far it is: a bar on a terminal, a line every few seconds in a pipe, nothing for short work."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import pytest

from lotus_sched_cli.lotus import logs, progress
from lotus_sched_cli.lotus.progress import Pace, Shown, following

GIB = 1 << 30


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Iterator[list[float]]:
    yield [0.0]


def test_a_line_has_rate_and_time_left() -> None:
    pace = Pace("fetching cache of s-t01000-15 from 10.0.0.5:3456", 120 * GIB, 440 * GIB, 100)
    assert pace.line() == (
        "fetching cache of s-t01000-15 from 10.0.0.5:3456: 120 GiB of 440 GiB, 1.2 GiB/s, 4m27s left"
    )
    assert Pace("declaring /p", 4000, 10_000, 4, "files").line() == (
        "declaring /p: 4,000 of 10,000 files, 1,000/s, 6s left"
    )


def test_an_amount_that_nobody_knows_has_no_end() -> None:
    assert Pace("fetching", 3 * GIB, None, 3).line() == "fetching: 3 GiB, 1 GiB/s"
    assert Pace("fetching", 0, 10, 3).line() == "fetching: 0 B of 10 B, 0 B/s"


def test_a_bar_fits_the_terminal() -> None:
    bar = Pace("declaring /p", 5000, 10_000, 5, "files").bar(200)
    assert bar == "declaring /p [###############               ] 50% 5,000 of 10,000 files, 1,000/s, 5s left"
    assert len(Pace("declaring /p", 5000, 10_000, 5, "files").bar(40)) == 39


def test_in_a_pipe_a_line_comes_every_few_seconds(clock: list[float]) -> None:
    out = io.StringIO()
    shown = Shown("declaring", "files", out=out, clock=lambda: clock[0])
    for second in range(13):
        clock[0] = float(second)
        shown.tell(second * 100, 2000)
    shown.close()
    assert out.getvalue() == (
        "declaring: 500 of 2,000 files, 100/s, 15s left\ndeclaring: 1,000 of 2,000 files, 100/s, 10s left\n"
    )


def test_on_a_terminal_a_bar_is_drawn_in_place_and_taken_away(clock: list[float]) -> None:
    out = Terminal()
    shown = Shown("declaring", "files", out=out, clock=lambda: clock[0])
    clock[0] = 1.0
    shown.tell(100, 200)
    shown.close()
    assert out.getvalue().startswith("\r\x1b[0Kdeclaring [###############               ] 50%")
    assert out.getvalue().endswith("\r\x1b[0K") and "\n" not in out.getvalue()


def test_short_work_says_nothing(clock: list[float]) -> None:
    for out in (io.StringIO(), Terminal()):
        shown = Shown("declaring", "files", out=out, clock=lambda: clock[0])
        shown.tell(1, 2)
        shown.close()
        assert out.getvalue() == ""


async def followed(out: io.StringIO, until: str) -> str:
    logs.setup({}, stderr=out)
    try:
        async with following("fetching", lambda: (GIB, 2 * GIB)):
            async with asyncio.timeout(10):
                while until not in out.getvalue():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                logs.get("stores").info("between", place="a/b:1")
                # A thread writes: the work must not be over before the line is.
                while "fetching" not in out.getvalue().partition("\tbetween\n")[2]:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        logs.flush()
        return out.getvalue()
    finally:
        logs.shutdown()


async def test_a_daemon_s_log_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.02)
    text = await followed(io.StringIO(), "left\n")
    assert "\tINFO\tstores\t" in text and "\tfetching: 1 GiB of 2 GiB, " in text and "\x1b" not in text


async def test_a_daemon_on_a_terminal_keeps_a_bar_below_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "TICK", 0.02)
    text = await followed(Terminal(), "50%")
    assert "\r\x1b[0Kfetching [###############               ] 50% 1 GiB of 2 GiB" in text
    _, _, after = text.partition("\tbetween\n")
    assert after.startswith("fetching [") and after.endswith("\r\x1b[0K"), (
        "drawn again below the line, then gone"
    )
