"""Write completions/ anew from the commands; with --check only say whether it is current (exit 1 if not)."""

from __future__ import annotations

import sys
from pathlib import Path

from lotus_sched_cli.cli.completion import bash, fish, zsh
from lotus_sched_cli.cli.completion.tree import kinds, programs

ROOT = Path(__file__).resolve().parents[1]


def files() -> dict[Path, str]:
    """Every script by its place."""
    words = kinds()
    out = {}
    for program in programs():
        out[ROOT / "completions/bash" / program.name] = bash.script(program, words)
        out[ROOT / "completions/zsh" / f"_{program.name}"] = zsh.script(program, words)
        out[ROOT / "completions/fish" / f"{program.name}.fish"] = fish.script(program, words)
    return out


def main() -> int:
    stale = [path for path, text in files().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{'stale' if '--check' in sys.argv else 'written'}: {path.relative_to(ROOT)}")
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files()[path])
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
