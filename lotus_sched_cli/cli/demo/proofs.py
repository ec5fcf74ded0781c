"""``make demo-proofs``: the same farm, and nothing simulated but the chain: four 2KiB sectors sealed by the field's own library.

Exit code 0 when all four are Proving, which no sector becomes whose proof the miner has not verified.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.sealers import prover

from .__main__ import SECTORS, main, watch
from .farm import WORKERS, Farm
from .show import screen_for

#: Seconds that the whole may take; a Commit2 takes 75 s of an idle processor, and has taken 190 s of a busy one.
LIMIT: Final = 3600.0
PROOF_TYPE: Final = 5


class ProofsFarm(Farm):
    """A miner that verifies each proof, two workers that really seal."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.program = prover.need(os.environ, "make demo-proofs")
        self.parameters = parameters_folder()

    def start(self) -> None:
        self.command("miner", "init", "--first-sector", "15", "--sector-size", "2KiB", "--proofs", "real")
        self.settle()
        self.spawn("miner", "miner", "run", "--miner-api", "0")
        self.wait(self.miner_answers, "the miner")
        for name in WORKERS:
            run = ["run", "--listen", "127.0.0.1:0", "--name", name, "--sealer", "proofs"]
            self.spawn(name, "worker", "--worker-repo", str(self.root / name), *run)
        self.wait(self.workers_registered, "the workers")

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            prover.VARIABLE: str(self.program),
            prover.PARAMETERS: str(self.parameters),
            # of its own: a folder that another user made is not written to
            "FIL_PROOFS_PARENT_CACHE": str(self.root / "parents"),
        }

    def ensure_parameters(self) -> None:
        """Groth parameters of 2KiB sectors: made once, under the program's own lock, shown while they are made."""
        env = dict(os.environ) | {prover.PARAMETERS: str(self.parameters)}
        if self._params(env, make=False) == 0:
            return
        print(
            f"making test parameters for 2KiB sectors in {self.parameters}, once: seven minutes on two idle processors, "
            "5 GiB of memory, 1.1 GB on disk",
            flush=True,
        )
        self.parameters.mkdir(parents=True, exist_ok=True)
        if code := self._params(env, make=True):
            raise CliError(f"the parameters could not be made (exit code {code})", "see the lines above")

    def _params(self, env: dict[str, str], *, make: bool) -> int:
        done = subprocess.run(
            [self.program, "params", "--parent", str(os.getpid())],
            input=json.dumps({"ProofType": PROOF_TYPE, "Make": make}).encode(),
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=None if make else subprocess.DEVNULL,
            check=False,
        )
        return done.returncode


def parameters_folder() -> Path:
    """The operator's, else the one that ``make proofs`` fills. Raises UserError where there is no home."""
    if named := os.environ.get(prover.PARAMETERS):
        return Path(named)
    cache = prover.cache_folder(os.environ)
    if cache is None:
        raise UserError(f"no HOME: set {prover.PARAMETERS} to a folder for the parameters")
    return cache / "proof-parameters"


def sealed(farm: Farm) -> int:
    """Start the farm, pledge, watch until the end, tell who did what."""
    assert isinstance(farm, ProofsFarm)
    farm.ensure_parameters()
    began = time.monotonic()
    with screen_for(sys.stdout) as screen:
        screen.say(
            f"starting a miner and two workers in {farm.root}; sealing is real, {farm.program} does it"
        )
        farm.start()
        for number in SECTORS:
            farm.api.call("PledgeSector")
            screen.say(f"pledged sector {number}")
        last = watch(farm, screen, began, LIMIT)
        screen.close(last)
    screen.summary(
        farm.placements(), time.monotonic() - began, "sealed and verified for real, on a simulated chain"
    )
    for number in SECTORS:
        status = farm.api.call("SectorsStatus", number, False)
        proof = len(status["Proof"]) // 4 * 3
        print(
            f"sector {number}: comm_r {status['CommR']['/']}, comm_d {status['CommD']['/']}, proof of {proof} bytes"
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(ProofsFarm, sealed))
    except UserError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        sys.exit(1)
