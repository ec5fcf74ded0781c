"""``python -m lotus_sched_cli miner …`` is ``lotus-sched miner …``."""

from .cli.main import sched

if __name__ == "__main__":
    sched()
