"""``lotus-miner run``: the daemon put together."""

from __future__ import annotations

from .options import MinerRunOptions

__all__ = ["MinerRunOptions", "run"]


async def run(options: MinerRunOptions) -> None:
    """Run until SIGINT, SIGTERM or ``Shutdown``. Raises ``lotus.errors.UserError`` for a start that fails."""
    raise NotImplementedError
