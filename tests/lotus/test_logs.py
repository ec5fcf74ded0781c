"""Log lines as operators' runbooks grep them."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lotus_sched_cli.lotus import log_lines, logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    logs.shutdown()
    logging.getLogger().handlers[:], logging.getLogger().level = before
    logging.getLogger("lotus").propagate = True


def written(environ: dict[str, str] | None = None, **how: Any) -> io.StringIO:
    out = io.StringIO()
    logs.setup(environ or {}, stderr=out, **how)
    return out


def text(out: io.StringIO) -> str:
    logs.flush()
    return out.getvalue()


def test_a_line_is_five_columns_and_its_fields() -> None:
    out = written()
    log = logs.get("advmgr")
    log.info("hello", place="sealer/sched.go:97")
    log.debug(
        "SCHED ASSIGNED", place="sealer/x.go:1", sector="15", sqi=0, utilization=0.5, refs=[1, {"a": "<b>"}]
    )
    first, second = text(out).splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d{4})\tINFO\tadvmgr\tsealer/sched\.go:97\thello", first
    )
    assert second.split("\t")[1:] == [
        "DEBUG", "advmgr", "sealer/x.go:1", "SCHED ASSIGNED",
        '{"sector": "15", "sqi": 0, "utilization": 0.5, "refs": [1,{"a":"<b>"}]}',
    ]  # fmt: skip


def test_without_a_place_the_calling_line_stands() -> None:
    out = written()
    logs.get("main").warn("here")
    assert re.search(r"\tWARN\tmain\tlotus/test_logs\.py:\d+\there\n", text(out))


def test_json_lines_have_lotus_s_member_order() -> None:
    out = written({"GOLOG_LOG_FMT": "json", "GOLOG_LOG_LABELS": "host=a,farm=b"})
    logs.get("sectors").error("broke", place="pipeline/x.go:3", sector="7")
    got = json.loads(text(out))
    assert list(got) == ["level", "ts", "logger", "caller", "msg", "host", "farm", "sector"]
    assert (got["level"], got["logger"], got["caller"]) == ("error", "sectors", "pipeline/x.go:3")


def test_colour_is_the_level_word_alone() -> None:
    out = written({"GOLOG_LOG_FMT": "color", "GOLOG_LOG_LEVEL": "debug"})
    log = logs.get("main")
    for say in (log.debug, log.info, log.warn, log.error):
        say("x", place="a/b:1")
    codes = re.findall(r"\t\x1b\[(\d+)m(\w+)\x1b\[0m\tmain\t", text(out))
    assert codes == [("35", "DEBUG"), ("34", "INFO"), ("33", "WARN"), ("31", "ERROR")]


def test_a_terminal_gets_colour_and_a_pipe_does_not() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for fmt, coloured in (("", True), ("nocolor", False)):
        out = Terminal()
        logs.setup({"GOLOG_LOG_FMT": fmt}, stderr=out)
        logs.get("main").info("x")
        assert ("\x1b[" in text(out)) is coloured


def test_lotus_s_levels_hold_until_the_variable_exists() -> None:
    for environ, levels in (
        ({}, {"advmgr": "debug", "stores": "debug", "sectors": "info", "dht": "error"}),
        ({"GOLOG_LOG_LEVEL": ""}, {"advmgr": "error", "sectors": "error"}),
        ({"GOLOG_LOG_LEVEL": "info,advmgr=warn"}, {"advmgr": "warn", "stores": "info"}),
    ):
        written(environ)
        assert {name: logs.level_of(name) for name in levels} == levels


def test_an_unknown_level_is_said_and_left_out() -> None:
    out = written({"GOLOG_LOG_LEVEL": "loud,advmgr=info"})
    assert 'unrecognized level: "loud"' in out.getvalue()
    assert (logs.level_of("advmgr"), logs.level_of("rpc")) == ("info", "error")


def test_levels_change_while_running() -> None:
    out = written()
    log = logs.get("rpc")
    log.debug("unheard")
    logs.set_level("rpc", "DEBUG")
    log.debug("heard", place="a/b:1")
    logs.set_level("*", "error")
    log.info("unheard")
    assert not log.enabled(logging.INFO)
    assert [line.split("\t")[4] for line in text(out).splitlines()] == ["heard"]
    with pytest.raises(logs.LogConfigError, match='unrecognized level: "x"'):
        logs.set_level("rpc", "x")
    logs.set_level("never-heard-of", "info")


def test_the_list_of_loggers_has_those_that_runbooks_name() -> None:
    logs.get("mine")
    assert {"advmgr", "stores", "sectors", "worker", "rpc", "mine"} <= set(logs.names())


def test_a_file_gets_the_lines_instead_and_both_on_request(tmp_path: Path) -> None:
    file = tmp_path / "miner.log"
    out = written({"GOLOG_FILE": str(file)})
    logs.get("main").info("one", place="a/b:1")
    assert text(out) == ""
    out = written({"GOLOG_FILE": str(file), "GOLOG_OUTPUT": "stderr"})
    logs.get("main").info("two", place="a/b:1")
    assert "two" in text(out)
    assert [line.split("\t")[4] for line in file.read_text().splitlines()] == ["one", "two"]


def test_a_log_file_without_its_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(logs.LogConfigError, match=r"cannot open log file .* \(GOLOG_FILE\).*make its folder"):
        written({"GOLOG_FILE": str(tmp_path / "none" / "x.log")})


def test_libraries_warnings_come_out_in_the_same_layout() -> None:
    out = written()
    logging.getLogger("aiohttp.server").warning("odd %s", "thing")
    try:
        raise ValueError("inside")
    except ValueError as error:
        logs.get("main").error("failed", exc=error, place="a/b:1")
    got = text(out)
    assert "\tWARN\taiohttp.server\tlotus/test_logs.py:" in got and "\todd thing\n" in got
    assert "\tfailed\nTraceback" in got and "ValueError: inside\n" in got


def test_config_levels_go_over_the_environment_s() -> None:
    written({"GOLOG_LOG_LEVEL": "error"}, levels={"advmgr": "debug"})
    assert (logs.level_of("advmgr"), logs.level_of("rpc")) == ("debug", "error")


def test_a_full_disk_ends_nothing() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    logs.setup({}, stderr=Full())
    logs.get("main").info("lost")
    logs.flush()


@pytest.mark.captures
def test_every_recorded_line_comes_out_the_same(captures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "_stamp", lambda created: created)
    compared = 0
    for path in (captures / "log").glob("*.json.log"):
        formatter: logging.Formatter = logs.JsonFormatter()
        for line in path.read_text().splitlines():
            got = json.loads(line)
            assert formatter.format(_record(got)) == line
            compared += 1
    for path in (captures / "log").glob("*.text.log"):
        formatter = logs.TextFormatter()
        for line in path.read_text().splitlines():
            parts = line.split("\t")
            if not re.match(r"\d{4}-\d\d-\d\dT", line) or len(parts) < 5:
                continue
            fields = parts[5] if len(parts) == 6 and parts[5].startswith("{") else "{}"
            if len(parts) > 5 and fields == "{}":
                continue
            head = dict(zip(("ts", "level", "logger", "caller", "msg"), parts[:5], strict=True))
            assert formatter.format(_record(head, json.loads(fields))) == line
            compared += 1
    assert compared > 1500


def _record(got: dict[str, Any], fields: dict[str, Any] | None = None) -> logging.LogRecord:
    level = {"debug": 10, "info": 20, "warn": 30, "error": 40}[got["level"].lower()]
    record = logging.LogRecord("lotus", level, "", 0, got["msg"], None, None)
    record.created = got["ts"]
    record.go_name, record.go_place = got["logger"], got["caller"]
    rest = {k: v for k, v in got.items() if k not in ("ts", "level", "logger", "caller", "msg")}
    record.go_fields = rest if fields is None else fields
    return record


def test_ten_thousand_lines_take_no_second_from_the_caller() -> None:
    out = written()
    log = logs.get("advmgr")
    start = time.process_time()
    for n in range(10_000):
        log.info("SCHED ASSIGNED", place="sealer/x.go:1", sector=n)
    assert time.process_time() - start < 5  # a tenth of that on any machine; a wide margin against busy ones
    assert text(out).count("\n") == 10_000
