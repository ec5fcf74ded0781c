"""``lotus-miner init``: a repo for a miner on its own simulated chain."""

from __future__ import annotations

from .options import MinerInitOptions

__all__ = ["MinerInitOptions", "init"]


def init(options: MinerInitOptions) -> None:
    """Make the repo, or raise ``lotus.errors.UserError`` and leave nothing behind."""
    raise NotImplementedError
