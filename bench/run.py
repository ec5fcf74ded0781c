"""``python -m bench.run [NAME …]``: measure, print, and write docs/benchmarks.md with the machine named."""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
from pathlib import Path

from .rows import table

#: Module → title of its table. Each has ``run() -> list[Row]``.
PARTS = {
    "core_pass": "The scheduler's passes",
    "windowed_pass": "The windowed policy's passes",
    "simulator": "Simulated farms",
    "commands": "Commands",
    "rpc_server": "The miner's server",
    "miner_load": "A miner with 100 workers and 10,000 sectors",
    "interop": "Beside Go, and 1,000 stock workers",
    "fetch": "Fetching between workers",
    "proofs": "Real sealing",
}


def machine() -> str:
    """The machine in words: processor, cores, memory, kernel, Python."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} × {cpu}, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="only these (default: all)")
    parser.add_argument("--write", type=Path, help="write the tables there (default: only print)")
    chosen = parser.parse_args()
    os.environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # as installed: what starts does not compile its own source
    pages = [
        "# Benchmarks\n\nWritten by `make bench`. Absolute figures hold for the machine named; ratios, taken in turns in"
        f" one run, travel.\n\n{datetime.date.today().isoformat()}, {machine()}\n"
    ]
    for name in chosen.parts or PARTS:
        rows = importlib.import_module(f"bench.{name}").run()
        page = table(PARTS[name], rows)
        print(page, flush=True)
        pages.append(page)
        if chosen.write:  # after each part: all of them take twenty minutes
            chosen.write.write_text("\n".join(pages))


if __name__ == "__main__":
    main()
