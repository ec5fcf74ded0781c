"""``make venv``, the first thing that a new user runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_an_interrupted_installation_says_so_in_one_line(tmp_path: Path) -> None:
    for name in ("tools/venv.py", "requirements/dev.txt"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    up = tmp_path / "up"
    os.mkfifo(up)
    slow = tmp_path / "python3"
    slow.write_text(f"#!/bin/sh\necho up > {up}\nexec sleep 600\n")
    slow.chmod(0o755)
    made = subprocess.Popen(
        [sys.executable, "tools/venv.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHON": str(slow)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert up.read_text() == "up\n"
    os.killpg(made.pid, signal.SIGINT)
    said, _ = made.communicate(timeout=30)
    assert (said, made.returncode) == ("venv: interrupted; the next make goes on from here\n", 130)
