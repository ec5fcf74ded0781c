"""The API that a command talks to: found as Lotus finds it, asked with one blocking connection."""

from __future__ import annotations

import sys
from typing import Any, Final

from lotus_sched_cli.lotus import apiinfo
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.rpc.oneshot import OneShot

from .errors import CliError, DaemonError
from .golang import Context
from .state import Globals
from .visible import visible

#: Seconds without a byte after which a command gives up on a read; operators run reads under ``watch``.
READ_SECONDS: Final = 60.0
PROGRAMS: Final = {"StorageMiner": "lotus-miner", "Worker": "lotus-worker", "FullNode": "lotus daemon"}


class NoSuchMethod(CliError):
    """The other side is a stock one that lacks a method of ours; ``version`` is asked for where it is shown."""

    def __init__(self, text: str, api: Api) -> None:
        super().__init__(text)
        self._api = api

    @property
    def version(self) -> str:
        told = self._api.call_or_none("Version")
        if isinstance(told, int):  # a worker's
            return f"API {told >> 16}.{told >> 8 & 0xFF}.{told & 0xFF}"
        return str(told["Version"]) if told else "version unknown"

    def __str__(self) -> str:
        program = PROGRAMS[self._api.kind.name]
        return f"{self.text}; this {program} is a stock one or too old for it ({self.version})"


class Api:
    """An API by its address and token. ``call`` raises CliError with Lotus's text and a remedy."""

    def __init__(self, info: apiinfo.ApiInfo, kind: apiinfo.Kind) -> None:
        self.address, self.kind, self.info = info.address, kind, info

    def call(self, method: str, *params: Any, timeout: float | None = READ_SECONDS) -> Any:
        """The result as plain JSON values; ``timeout`` None waits for ever (a pledge, an abort)."""
        with OneShot(self.info.url, self.info.token, timeout=timeout) as peer:
            return ask(self, peer, method, params)

    def call_or_none(self, method: str, *params: Any) -> Any:
        """None where the other side lacks the method or refuses it."""
        try:
            return self.call(method, *params)
        except CliError:
            return None


def ask(api: Api, peer: OneShot, method: str, params: tuple[Any, ...]) -> Any:
    """One call on a connection that may serve more of them."""
    program = PROGRAMS[api.kind.name]
    try:
        return peer.call(method, *params)
    except RpcError as error:
        if error.unknown_method:
            raise NoSuchMethod(f"{error}", api) from None
        raise DaemonError(str(error)) from None
    except RpcConnectError as error:
        raise DaemonError(str(error), remedy_for(api, program, str(error))) from None


def remedy_for(api: Api, program: str, text: str) -> str:
    """What to do about a call without an answer."""
    if "status 401" in text:
        return (
            f"the token is not one of this {program}: take one from its 'auth api-info --perm admin' or repo"
        )
    if "refused" in text or "no such host" in text or "no route" in text or "i/o timeout" in text:
        return f"is {program} running there? The address is {api.address}, from {api.kind.env} or the repo"
    if "deadline exceeded" in text:
        return f"{program} did not answer within {READ_SECONDS:g} s"
    return f"the address is {api.address}"


def miner_api(ctx: Context, *, common: bool = False) -> Api:
    """The miner's API by ``--miner-api-url``, MINER_API_INFO or the miner's repo.

    ``common``: only calls that every daemon of Lotus answers, which ``--vv`` tells by one line less.
    """
    options = Globals.of(ctx)
    return find(options, apiinfo.MINER, options.miner_api_url, options.miner_repo, common=common)


def worker_api(ctx: Context) -> Api:
    """The worker's API by ``--worker-api-url``, WORKER_API_INFO or the worker's repo."""
    options = Globals.of(ctx)
    return find(options, apiinfo.WORKER, options.worker_api_url, options.worker_repo)


def find(options: Globals, kind: apiinfo.Kind, url: str, repo: str, *, common: bool = False) -> Api:
    try:
        info = apiinfo.find(kind, url=url, repo=repo, warn=warn)
    except apiinfo.ApiError as error:
        raise DaemonError(str(error), where_remedy(kind, repo, str(error))) from None
    if options.vv:
        names = ["raw"] if common else ["raw", "miner" if kind is apiinfo.MINER else "worker"]
        say_endpoint(options, names, apiinfo.rpc_url(info.address))
    return Api(info, kind)


def say_endpoint(options: Globals, names: list[str], url: str) -> None:
    """Lotus's lines, on stdout as there; where data is asked for, they would spoil it."""
    where = sys.stderr if options.format_name() else sys.stdout
    for name in names:
        print(f"using {name} API v0 endpoint: {url}", file=where)


def where_remedy(kind: apiinfo.Kind, repo: str, text: str) -> str:
    program = PROGRAMS[kind.name]
    if "repo directory does not exist" in text:
        flag = "--miner-repo" if kind is apiinfo.MINER else "--worker-repo"
        start = "lotus-miner init" if kind is apiinfo.MINER else "lotus-worker run"
        return f"looked in {repo}: name another with {flag}, set {kind.env}, or make one with '{start}'"
    return f"start it with '{program} run', or set {kind.env}" if "not running" in text else ""


def warn(text: str) -> None:
    print(f"WARN: {visible(text)}", file=sys.stderr)
