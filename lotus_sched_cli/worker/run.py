"""``lotus-worker run``: assembled in the order in which Lotus's starts (cli/worker/worker.go)."""

from __future__ import annotations

from .options import RunOptions

__all__ = ["RunOptions", "run"]


async def run(options: RunOptions) -> None:
    """Run until SIGINT, SIGTERM, SIGHUP or ``Shutdown``. Raises ``lotus.errors.UserError`` for a start that fails."""
    raise NotImplementedError
