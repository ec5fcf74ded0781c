"""The worker's line to its miner: one Caller that finds a miner again which has moved to another address."""

# ruff: noqa: ASYNC109 — the signature is Caller's

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from lotus_sched_cli.lotus import apiinfo, logs
from lotus_sched_cli.lotus.apiinfo import ApiInfo
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.rpc.client import HttpCaller

log: Final = logs.get("worker")

Finder = Callable[[], ApiInfo]


def first_cause(why: BaseException) -> BaseException:
    """What broke in a group of tasks: the first of its errors."""
    while isinstance(why, BaseExceptionGroup):
        why = why.exceptions[0]
    return why


def finder(url: str | None, miner_repo: Path, environ: Mapping[str, str]) -> Finder:
    """Where the miner is, looked up anew at each call. Raises ApiError while it cannot be known.

    What can never become right by waiting, an address or token that is none, raises UserError at once.
    """

    def find() -> ApiInfo:
        return apiinfo.find(
            apiinfo.MINER,
            url=url or "",
            repo=str(miner_repo),
            environ=environ,
            warn=lambda text: log.warn(text),
        )

    if url or any(environ.get(name) for name in (apiinfo.MINER.env, apiinfo.MINER.old_env)):
        try:
            found = find()
        except apiinfo.ApiError as why:
            raise UserError(str(why)) from why
        return lambda: found
    return find


class MinerConnection:
    """A Caller. `refresh` looks where the miner is now; calls under way on the old address end by themselves."""

    def __init__(self, find: Finder) -> None:
        self._find = find
        self._info: ApiInfo | None = None
        self._caller: HttpCaller | None = None
        self._old: list[HttpCaller] = []

    @property
    def info(self) -> ApiInfo:
        """Address and token in use; only after the first successful `refresh`."""
        assert self._info is not None
        return self._info

    def refresh(self) -> bool:
        """Look again; true where address or token are new. Raises ApiError where nothing is known and never was."""
        try:
            found = self._find()
        except apiinfo.ApiError:
            if self._caller is None:
                raise
            return False
        if found == self._info:
            return False
        if self._caller is not None:
            self._old.append(self._caller)
        self._info = found
        self._caller = HttpCaller(found.url, found.token)
        return True

    async def call(self, method: str, *params: Any, result: Any = Any, timeout: float | None = None) -> Any:
        assert self._caller is not None
        return await self._caller.call(method, *params, result=result, timeout=timeout)

    async def close(self) -> None:
        for caller in (*self._old, *([self._caller] if self._caller else [])):
            await caller.close()
