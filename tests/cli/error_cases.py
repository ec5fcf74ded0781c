"""What goes wrong, how it is provoked, and what it then says: the rows of docs/errors.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .conftest import CALL, WORKER_A, FakeApi, Refused, job
from .test_reads import status

NIL = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Case:
    """``text`` is the page's, with ``<…>`` for what varies; ``words`` the command line, ``{tmp}`` the test's folder.

    ``answers`` are the daemon's, ``env`` is set (None: unset), ``before`` prepares the folder.
    """

    group: str
    text: str
    words: tuple[str, ...]
    code: int = 1
    answers: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str | None] = field(default_factory=dict)
    before: Callable[[Path], object] | None = None

    @property
    def id(self) -> str:
        return self.text[:60]


def refuse(text: str) -> Callable[..., Any]:
    def no(*_: Any) -> Any:
        raise Refused(text)

    return no


def lines(group: str) -> Callable[..., Case]:
    """``case(text, "miner sealing jobs", …)``."""

    def case(text: str, command: str, code: int = 1, **more: Any) -> Case:
        return Case(group, text, tuple(w.replace("␠", " ") for w in command.split()), code, **more)

    return case


LINE, FIND, DAEMON = lines("Command lines"), lines("Finding and asking a daemon"), lines("Starting")
WORK, SECTOR, STORE = lines("Jobs and workers"), lines("Sectors"), lines("Storage paths")
OTHER = lines("Other commands")
UNSET: dict[str, str | None] = {"MINER_API_INFO": None, "WORKER_API_INFO": None}
KNOWN = {"SectorsStatus": lambda n, c: status(n), "ActorAddress": "t01000"}
TASK = {"TaskID": CALL, "Sector": 16, "Task": "seal/v0/precommit/2"}


def waiting_job(number: int) -> dict[str, Any]:
    return job(number, ID={"Sector": {"Miner": 1000, "Number": number}, "ID": NIL}, RunWait=2)


def make(name: str, text: str = "{}") -> Callable[[Path], object]:
    return lambda tmp: (tmp / name).write_text(text)


CASES = [
    LINE("flag provided but not defined: -<flag>", "miner sealing jobs --qeued"),
    LINE("No help topic for '<command>'", "miner sealign", 3),
    LINE("incorrect number of arguments, got <n>", "miner sectors status"),
    LINE("flag needs an argument: -<flag>", "miner info --blocks"),
    LINE('invalid boolean value "<text>" for -<flag>: parse error', "miner --color=maybe info"),
    LINE('invalid value "<text>" for flag -<flag>: parse error', "miner info --blocks many"),
    LINE('could not parse "<text>" as bool value from environment variable "<name>" for flag <flag>',
         "worker run", env={"LOTUS_WORKER_COMMIT": "x"}),
    LINE('could not parse "<text>" as int value from environment variable "<name>" for flag <flag>',
         "worker run", env={"LOTUS_WORKER_PARALLEL_FETCH_LIMIT": "many"}),
    LINE('invalid value "<text>" for flag -<flag>: <why>', "worker run --timeout 30"),
    LINE("--<flag> <value> is negative", "worker run --post-parallel-reads -1"),
    LINE('unknown layout "<name>"', "miner log list --layout fancy", answers={"LogList": []}),
    LINE('unknown format "<name>"', "miner log list --format xml", answers={"LogList": []}),
    LINE('--watch "<text>" is no time', "miner log list --watch=x"),
    LINE("--watch: '<command>' does more than read", "miner --watch sectors pledge"),
    LINE("a folder's name is empty", "miner --miner-repo= init"),
    LINE("'<command>' is not served: <why>", "miner sectors extend 5"),
    LINE("<kind>: <text> (a bug of ours; LOTUS_SCHED_TRACE=1 shows where)", "miner sealing jobs",
         answers={"WorkerJobs": {"w": [{"nothing": 1}]}, "WorkerStats": {}}),
    FIND("could not get API info for <daemon>: repo directory does not exist. Make sure your configuration is correct",
         "miner sealing jobs", env=UNSET),
    FIND("could not get API info for <daemon>: could not get api endpoint: No file (<repo>/api): API not running (no endpoint)",
         "miner --miner-repo {tmp} sealing jobs", env=UNSET),
    FIND("<variable>: <value> is no API address; give TOKEN:/ip4/10.0.0.1/tcp/2345/http or a "
         "URL as in http://10.0.0.1:2345", "miner sealing jobs", env={"MINER_API_INFO": "nonsense"}),
    FIND("<variable>: it begins with <text>; give TOKEN:/ip4/10.0.0.1/tcp/2345/http without a name or quotes before it",
         "miner sealing jobs", env={"MINER_API_INFO": "MINER_API_INFO=t:/ip4/10.0.0.1/tcp/2345/http"}),
    FIND('RPC client error: sendRequest failed: Post "<url>": dial tcp <address>: connect: connection refused',
         "miner sealing jobs", env={"MINER_API_INFO": "t:/ip4/127.0.0.1/tcp/1/http"}),
    FIND("RPC client error: sendRequest failed: request failed, http status 401 Unauthorized", "miner sealing jobs",
         env={"MINER_API_INFO": "wrong:{address}"}),
    FIND("missing permission to invoke '<method>' (need '<permission>')", "miner sealing jobs",
         answers={"WorkerJobs": refuse("missing permission to invoke 'WorkerJobs' (need 'admin')")}),
    FIND("RPC error (-32601): method 'Filecoin.<method>' not found", "miner sealing jobs"),
    FIND("timed out waiting for api to come online", "miner wait-api --timeout 0s", env=UNSET),
    DAEMON("repo at '<folder>' is not initialized, run 'lotus-miner init' to set it up", "miner --miner-repo {tmp}/none run"),
    DAEMON("repo at '<folder>' is already initialized", "miner --miner-repo {tmp}/repo init --sector-size 2KiB",
           before=lambda tmp: (tmp / "again").touch()),
    DAEMON('invalid value "<text>" for --sector-size: give one of <sizes>', "miner --miner-repo {tmp}/a init --sector-size 3KiB"),
    DAEMON('invalid value "<text>" for --actor: give the id address of a miner actor, like t01000',
           "miner --miner-repo {tmp}/a init --actor x"),
    DAEMON('--proofs "<text>" is unknown', "miner --miner-repo {tmp}/a init --proofs none"),
    DAEMON("<folder> is not a folder; choose another one with --miner-repo", "miner --miner-repo {tmp}/file init",
           before=make("file")),
    DAEMON("the repo at <folder> was made by Lotus itself and is left alone; choose another folder with <flag>",
           "miner --miner-repo {tmp} run", before=make("storage.json")),
    DAEMON('--miner-api "<text>" is no port', "miner run --miner-api 70000"),
    DAEMON('--sealer "<text>" is unknown', "worker run --sealer magic"),
    DAEMON("--name <text> has characters that no table can show", "worker run --name a\x07b"),
    DAEMON('invalid value "<text>" for --listen: give HOST:PORT, like 192.168.1.5:3456',
           "worker --worker-repo {tmp}/w run --listen nowhere"),
    DAEMON('interpreting resource env vars: parsing (atoi) FIL_PROOFS_MULTICORE_SDR_PRODUCERS: strconv.Atoi: parsing "<text>": '
           "invalid syntax; set a number, 3 is the default", "worker resources",
           env={"FIL_PROOFS_USE_MULTICORE_SDR": "1", "FIL_PROOFS_MULTICORE_SDR_PRODUCERS": "x"}),
    WORK("job with specified id prefix not found: <id>", "miner sealing abort ffff", answers={"WorkerJobs": {}}),
    WORK("<id>: <n> jobs have ids that begin so", "miner sealing abort 7608",
         answers={"WorkerJobs": {WORKER_A: [job(1), job(2, ID={"Sector": {}, "ID": CALL.replace("-61bd", "-71bd")})]}}),
    WORK("<id>: the job has no call yet, its worker has not started it", "miner sealing abort 00000000",
         answers={"WorkerJobs": {WORKER_A: [waiting_job(1)]}}),
    WORK("Failed to removed the request with UUID <id>: No request with provided details found",
         "miner sealing abort --sched 99", answers={"SealingQueue": []}),
    WORK("<id>: <n> waiting tasks have ids that begin so", "miner sealing abort --sched 76",
         answers={"SealingQueue": [TASK, TASK | {"TaskID": "76ff"}]}),
    WORK("this lotus-miner is a stock one (<version>) and cannot forget a job", "miner sealing abort --force 7608",
         answers={"WorkerJobs": {WORKER_A: [job(1)]}}),
    WORK("this lotus-miner is a stock one (<version>) and knows no caps", "miner sealing caps list"),
    WORK('"<text>" is no CAP=VALUE', "miner sealing caps set worker-1 precommit1max"),
    WORK('"<name>" is no cap; <hint>', "miner sealing caps set worker-1 precommitmax=3"),
    WORK('invalid value "<text>" for <cap>: give <what>', "miner sealing caps set worker-1 precommit1max=many"),
    WORK("this lotus-miner is a stock one (<version>) and places its tasks itself", "miner sealing assign 76 worker-1"),
    WORK("this lotus-miner is a stock one (<version>) and cannot drain a worker", "miner sealing drain worker-1"),
    WORK("this lotus-miner is a stock one (<version>) and cannot forget a worker", "miner sealing forget worker-1"),
    WORK("this lotus-miner is a stock one (<version>) and explains nothing", "miner sealing explain 15"),
    WORK("this lotus-miner is a stock one (<version>): its workers never rest", "miner sealing end-rest worker-1"),
    WORK("this lotus-worker is a stock one (<version>) and knows no caps", "worker caps list"),
    WORK("<folder> is no repo of a worker of this program", "worker --worker-repo {tmp} drain"),
    WORK("unknown task type '<name>'", "worker tasks enable pc1"),
    WORK("Expected 1 argument or use --all flag", "worker tasks enable"),
    WORK("Cannot use --all flag with task type argument", "worker tasks enable --all PC1"),
    WORK('RPC client error: sendRequest failed: Post "<url of the miner>": <why>', "worker stop",
         answers={"StorageDetachAll": refuse('RPC client error: sendRequest failed: Post "http://10.0.0.1:2345/rpc/v0": '
                                             "dial tcp 10.0.0.1:2345: connect: connection refused")}),
    SECTOR('could not parse sector number: strconv.ParseUint: parsing "<text>": invalid syntax', "miner sectors seal x"),
    SECTOR('strconv.ParseUint: parsing "<text>": invalid syntax', "miner sectors status x"),
    SECTOR("No state for /<n>: datastore: key not found", "miner sectors status 9",
           answers={"SectorsStatus": refuse("No state for /9: datastore: key not found")}),
    SECTOR("--partition-info needs window proving, which this miner's simulated chain has not", "miner sectors status -p 5"),
    SECTOR("too many sectors sealing (curSealing: <n>, max: <n>)", "miner sectors pledge",
           answers={"PledgeSector": refuse("too many sectors sealing (curSealing: 5, max: 5)")}),
    SECTOR("this lotus-miner is a stock one (<version>) and does not know free slots", "miner sectors mypledge"),
    SECTOR("only one of --states or --unproven can be specified at once", "miner sectors list --states Proving -u"),
    SECTOR('"<text>" is no sector state', "miner sectors list --states proving"),
    SECTOR("--check-parallelism <n> asks nothing", "miner sectors list --check-parallelism 0"),
    SECTOR("this is a command for advanced users, only use it if you are sure of what you are doing", "miner sectors remove 5"),
    SECTOR("sectorID <n> has not been created yet: <why>", "miner sectors remove --really-do-it 9",
           answers={"SectorsStatus": refuse("No state for /9: datastore: key not found")}),
    SECTOR("sector <n> not found, could not change state", "miner sectors update-state --really-do-it 9 Proving",
           answers={"SectorsStatus": refuse("No state for /9: datastore: key not found")}),
    SECTOR('"<text>" is not a valid state', "miner sectors update-state --really-do-it 9 proving"),
    SECTOR("pass --really-do-it to confirm this action", "miner sectors terminate 5"),
    SECTOR("must pass sector number", "miner sectors abort-upgrade"),
    SECTOR("--really-do-it must be specified for this action to have an effect; you have been warned",
           "miner sectors abort-upgrade 5"),
    SECTOR("parsing ranges: <why>", "miner sectors numbers reserve mine 5-3"),
    SECTOR("reading user input: EOF", "miner sectors batching commit",
           answers={"SectorCommitPending": [{"Miner": 1000, "Number": 14}]}),
    SECTOR("no sectors to publish", "miner sectors batching commit --publish-now", answers={"SectorCommitFlush": None}),
    SECTOR("flush: <why>", "miner sectors batching commit --publish-now", answers={"SectorCommitFlush": refuse("no funds")}),
    STORE("must specify storage path to attach", "worker storage attach"),
    STORE("must specify at least one of --store or --seal", "miner storage attach --init {tmp}/p"),
    STORE("--weight <n> is negative", "miner storage attach --init --seal --weight=-5 {tmp}/p"),
    STORE("parsing max-storage: <why>", "miner storage attach --init --seal --max-storage 5xb {tmp}/p"),
    STORE("path is already initialized: <folder>", "miner storage attach --init --seal {tmp}", before=make("sectorstore.json")),
    STORE("flags of a new path without --init", "miner storage attach --seal {tmp}"),
    STORE("must specify storage path", "worker storage detach --really-do-it"),
    STORE("pass --really-do-it to execute the action", "miner storage detach /p"),
    STORE("no local paths match '<folder>'", "miner storage detach --really-do-it /p",
          answers={"StorageDetachLocal": refuse("no local paths match '/p'")}),
    STORE("You must specify a storage path, or --id, or --all", "miner storage redeclare"),
    STORE("--id and --all can't be passed at the same time", "miner storage redeclare --id x --all"),
    STORE("No additional arguments are expected when --all is set", "miner storage redeclare --all /p"),
    STORE("Failed to open file: open <file>: <why>", "miner storage redeclare {tmp}/none"),
    STORE("Failed to decode file: <file>: <why>", "miner storage redeclare {tmp}", before=make("sectorstore.json", "{")),
    OTHER("--perm flag not set", "miner auth create-token"),
    OTHER("--perm flag has to be one of: [read write sign admin]", "miner auth create-token --perm root"),
    OTHER("level is required", "miner log set-level"),
    OTHER('setting log level on <logger>: unrecognized level: "<text>"', "miner log set-level foo"),
    OTHER("setting log level on <logger>: <why>", "miner log set-level debug",
          answers={"LogList": ["rpc"], "LogSetLevel": refuse("no such logger")}),
    OTHER("repo not initialized", "miner --miner-repo {tmp}/none config updated"),
    OTHER("<file>: <why>: correct that line, or move the file away to start from the defaults",
          "miner --miner-repo {tmp} config updated", before=make("config.toml", "[Storage\n")),
    OTHER("<file> is there already", "miner sealing record {tmp}/farm.toml", before=make("farm.toml")),
    OTHER("this lotus-miner is a stock one (<version>) and does not measure its workers", "miner sealing record {tmp}/farm.toml"),
    OTHER("expected 1 or 2 arguments", "miner sealing data-cid"),
    OTHER("opening source file: open <file>: <why>", "miner sealing data-cid {tmp}/none"),
    OTHER("file larger than the piece", "miner sealing data-cid {tmp}/big 128", before=make("big", "x" * 200)),
    OTHER("checking piece size: <why>", "miner sealing data-cid {tmp}/big 64", before=make("big")),
    OTHER("parsing piece size: '<text>' is no size", "miner sealing data-cid {tmp}/big huge", before=make("big")),
    OTHER("http head: <why>", "miner sealing data-cid http://127.0.0.1:1/x"),
    OTHER("head response didn't contain content length; specify --file-size", "miner sealing data-cid http://{api}/x"),
    OTHER("computing data CID: <why>", "miner sealing data-cid {tmp}/big", before=make("big"),
          answers={"ComputeDataCid": refuse("computing data CID: no worker that takes DataCid (DC) is connected")}),
    OTHER("no farm file", "sched sim"),
    OTHER('policy "<name>" is unknown', "sched sim --policy magic two-gpus"),
    OTHER("--plot <file>: unknown kind of picture", "sched sim --plot x.bmp two-gpus"),
    OTHER("--plot <file>: there is no such folder", "sched sim --plot {tmp}/none/x.png two-gpus"),
    OTHER("--plot <file>: <why>", "sched sim --plot /proc/x.png two-gpus"),
]  # fmt: skip


def prepare(case: Case, api: FakeApi, tmp: Path, setenv: Callable[[str, str | None], object]) -> list[str]:
    """Set the stage; the words of the command line without the program's name."""
    api.answers |= KNOWN | case.answers
    address = api.info.partition(":")[2]
    for name, value in case.env.items():
        setenv(name, None if value is None else value.replace("{address}", address))
    if case.before is not None:
        case.before(tmp)
    return [
        word.replace("{tmp}", str(tmp)).replace("{api}", f"127.0.0.1:{api.port}") for word in case.words[1:]
    ]


def page_rows(page: str) -> list[tuple[str, str, int]]:
    """(group, text, exit code) of docs/errors.md."""
    rows, group = [], ""
    for line in page.splitlines():
        if line.startswith("## "):
            group = line[3:]
        elif line.startswith("| `"):
            text, code, *_ = (cell.strip() for cell in line.strip("|").split(" | "))
            rows.append((group, text.strip("` "), int(code)))
    return rows
