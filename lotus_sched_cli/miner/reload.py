"""config.toml read again while the miner runs: what may change at once does, the rest is named."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from lotus_sched_cli.lotus import logs
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.extras import ConfigChange, ConfigChanges

from .config import Config, load
from .config.changes import NOW, Change, changes, taken_over
from .context import Miner
from .specs import Defaults

log: Final = logs.get("config")


def reload(miner: Miner, environ: Mapping[str, str]) -> ConfigChanges:
    """Read the file and put into force what can be. Raises UserError, and then nothing has changed."""
    fresh = load(miner.repo.path / "config.toml", environ)
    found = changes(miner.config, fresh)
    settled = taken_over(miner.config, fresh)
    if settled.scheduler() != miner.config.scheduler():
        try:
            miner.dispatch.change_settings(settled.scheduler())
        except ValueError as e:
            raise UserError(f"{miner.repo.path / 'config.toml'}: {e}") from e
    _apply(miner, settled)
    _set_levels(miner.config.levels, settled.levels)
    miner.config = settled
    for warning in fresh.warnings:
        log.warn(warning)
    for change in found:
        _say(change)
    if not found:
        log.info("config.toml read again: nothing changed")
    return ConfigChanges([ConfigChange(c.key, c.old, c.new, c.effect) for c in found], list(fresh.warnings))


def default_caps(config: Config) -> Defaults:
    """The caps of workers that state none."""
    return Defaults(config.number("Storage.PreCommit1Max"), config.number("Storage.PreCommit1HoldMax"))


def _apply(miner: Miner, settled: Config) -> None:
    desk = miner.dispatch.desk
    desk.patience = replace(desk.patience, lost_after=settled.seconds("Storage.LostAfter"))
    miner.workers.use_defaults(default_caps(settled))
    miner.sectors.settings = miner.chain.rules(settled.pipeline())
    miner.sectors.max_sealing = settled.number("Sealing.MaxSealingSectors")


def _set_levels(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Levels by the file; a logger that it no longer names gets Lotus's own level back."""
    for system in {*before, *after}:
        level = after.get(system) or logs.DEFAULTLEVELS.get(system, "info")
        if before.get(system) != after.get(system):
            with contextlib.suppress(logs.LogConfigError):
                logs.set_level(system, level)


def _say(change: Change) -> None:
    say = log.info if change.effect == NOW else log.warn
    say(f"{change.key} = {change.new or 'default'}, was {change.old or 'default'}: {change.effect}")
