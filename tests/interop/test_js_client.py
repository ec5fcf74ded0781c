"""The Filecoin project's own JavaScript client against our miner and worker, over HTTP and over WebSocket."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from farm.farm import Farm
from farm.test_scenes import FAST_CHAIN, sealer

pytestmark = pytest.mark.slow

PACKAGES = (
    "@filecoin-shipyard/lotus-client-rpc@1.2.0",
    "@filecoin-shipyard/lotus-client-provider-nodejs@1.1.1",
    "@filecoin-shipyard/lotus-client-schema@4.2.0",
)
SCRIPT = Path(__file__).with_name("js") / "ask.cjs"


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder of installed packages, made once in the user's cache; skipped without Node, but not in CI."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lotus-sched-cli" / "js"
    found = cache / "node_modules"
    reason = ""
    if shutil.which("node") is None or shutil.which("npm") is None:
        reason = "no Node.js (node and npm on the PATH)"
    elif not all((found / name.rpartition("@")[0] / "package.json").exists() for name in PACKAGES):
        cache.mkdir(parents=True, exist_ok=True)
        argv = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(cache), *PACKAGES]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
        if done.returncode:
            reason = f"the JavaScript client cannot be installed: {done.stderr[-200:]}"
    if reason:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def ask(modules: Path, url: str, token: str, schema: str, calls: list[list[Any]]) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["node", str(SCRIPT), url, token, schema],
        input=json.dumps(calls),
        env=os.environ | {"NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one == "rejected" for one in told["settled"]] == ["error" in a for a in told["answers"]]
    answers: list[dict[str, Any]] = told["answers"]
    return answers


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_the_javascript_client_reads_our_miner_and_worker(farm: Farm, modules: Path, scheme: str) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    settings = sealer(farm, AP=0.02, PC1=0.02, PC2=0.02, C1=0.02, C2=0.02, FIN=0.02)
    farm.miner()
    farm.worker("w1", "--sealer", "simulated", "--sealer-config", settings)
    url, token = farm.endpoint()
    url = url.replace("http://", f"{scheme}://")
    [pledged] = ask(modules, url, token, "storageMiner", [["pledgeSector"]])[:1]
    assert pledged["result"]["Miner"] == 1000
    farm.wait_for(farm.all_proving(1), 60, "the sector to prove")

    calls = [
        ["version"], ["session"], ["actorAddress"], ["actorSectorSize", "t01000"], ["authVerify", token], ["workerStats"], ["workerJobs"],
        ["sealingSchedDiag", True], ["sectorsList"], ["sectorsSummary"], ["sectorsStatus", 0, True], ["storageList"],
        ["storageLocal"], ["sectorsStatus", 99, False], ["storageInfo", "none"],
    ]  # fmt: skip
    *good, unknown, no_store = ask(modules, url, token, "storageMiner", calls)
    told = {call[0]: answer["result"] for call, answer in zip(calls, good, strict=False)}
    assert told["version"]["APIVersion"] == 66816
    assert told["actorAddress"] == "t01000" and told["actorSectorSize"] == 2048
    assert told["authVerify"] == ["read", "write", "sign", "admin"]
    assert sorted(w["Info"]["Hostname"] for w in told["workerStats"].values())[-1] == "w1"
    assert 0 in told["sectorsList"] and told["sectorsStatus"]["SectorID"] == 0
    assert set(told["storageLocal"]) <= set(told["storageList"])
    assert "key not found" in unknown["error"] and no_store["error"] == "sector store not found"

    host, port = (farm.root / "w1" / "api").read_text().split("/")[2::2][:2]
    answers = ask(
        modules, f"{scheme}://{host}:{port}/rpc/v0", token, "workerApi",
        [["version"], ["session"], ["info"], ["taskTypes"], ["paths"], ["enabled"], ["processSession"]],
    )  # fmt: skip
    version, session, info, tasks, paths, enabled, process = [a["result"] for a in answers]
    assert version == 67328 and session == process and enabled is True
    assert info["Hostname"] == "w1" and "seal/v0/precommit/1" in tasks and len(paths) == 1


def test_the_javascript_client_without_rights_is_refused_in_lotuss_words(farm: Farm, modules: Path) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    farm.miner()
    url, _ = farm.endpoint()
    read, write = ask(modules, url, "", "storageMiner", [["actorAddress"], ["workerStats"]])
    assert read == {"result": "t01000"}
    assert write["error"] == "missing permission to invoke 'WorkerStats' (need 'admin')"
