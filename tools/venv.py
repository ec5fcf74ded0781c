"""Make .venv from the hash-locked requirements, and put this package's commands into it.

Run by any Python 3 (``make venv``); nothing but the standard library. The package is linked, not built: no build
backend is fetched. What is there already and right stays.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.txt"
STAMP = VENV / "made-from"
COMMANDS = {"lotus-miner": "miner", "lotus-worker": "worker", "lotus-sched": "sched"}
SCRIPT = """#!{python}
import sys

from lotus_sched_cli.cli.main import {function}

if __name__ == "__main__":
    sys.exit({function}())
"""


def main():
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    made_from = STAMP.read_text() if STAMP.exists() else ""
    if made_from != wanted:
        python = find_python()
        if made_from or not (VENV / "bin" / "python").exists():
            say("making .venv with " + python)
            make(python)
        say("installing the locked requirements")
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)])
    link()
    STAMP.write_text(wanted)


def find_python():
    """The Python to use: $PYTHON, this one, or another that is new enough."""
    named = os.environ.get("PYTHON")
    for name in [named] if named else [sys.executable, *(f"python3.{minor}" for minor in (13, 12, 11, 14))]:
        path = shutil.which(name)
        if path and version_of(path) >= OLDEST:
            return path
    found = f"{named} is none" if named else f"python3 here is {sys.version.split()[0]}"
    return give_up(
        f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed and {found}; install one, or name it: make PYTHON=/path/to/python3"
    )


def version_of(python):
    code = "import sys; print(*sys.version_info[:2])"
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return tuple(int(part) for part in run.stdout.split()) if run.returncode == 0 else (0, 0)


def make(python):
    if subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode:
        give_up(f"{python} cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv")
    run([python, "-m", "venv", "--clear", str(VENV)])


def link():
    """Let the environment's Python find the package here, and write the three commands."""
    python = VENV / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    write(Path(site) / "lotus_sched_cli.pth", f"{ROOT}\n", 0o644)
    for command, function in COMMANDS.items():
        write(VENV / "bin" / command, SCRIPT.format(python=python, function=function), 0o755)


def write(path, text, mode):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        path.chmod(mode)


def run(argv):
    code = subprocess.run(argv, check=False).returncode
    if code:
        give_up("failed: " + " ".join(argv))


def say(text):
    print("venv: " + text, flush=True)


def give_up(text):
    sys.exit("ERROR: " + text)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("venv: interrupted; the next make goes on from here", file=sys.stderr)
        sys.exit(130)
