"""Draw docs/images/*.png: the real tables of a simulated farm, as a terminal shows them (`make screenshots`).

A miner and two workers run for it as in `make demo`; the commands' own coloured output is drawn cell by cell. Needs Pillow
and a monospaced TrueType font (`fc-match` finds one).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from rich.cells import cell_len
from rich.color import ColorType
from rich.style import Style
from rich.terminal_theme import MONOKAI, TerminalTheme
from rich.text import Text

from lotus_sched_cli.cli.demo.farm import Farm, program

ROOT: Final = Path(__file__).resolve().parents[1]
IMAGES: Final = ROOT / "docs/images"
SIZE: Final = 26
MARGIN: Final = 24
THEME: Final[TerminalTheme] = MONOKAI
#: File, what is typed, and the arguments with which it is asked for.
PICTURES: Final = (
    ("sealing-jobs", ("sealing", "jobs")),
    ("sealing-workers", ("sealing", "workers")),
    ("sectors-list", ("sectors", "list")),
)
SECTORS: Final = 8


def main() -> int:
    try:
        from PIL import Image  # noqa: F401
    except ImportError:
        print('ERROR: Pillow is not installed: pip install ".[screenshots]"', file=sys.stderr)
        return 1
    font = _font()
    with tempfile.TemporaryDirectory(prefix="lotus-screenshots-") as folder:
        texts = shots(Path(folder))
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        draw(text, font, IMAGES / f"{name}.png")
        print(f"written: docs/images/{name}.png")
    return 0


class Shown(Farm):
    """Sectors and caps that suit the machine of whoever draws: with 32 GiB ones the memory bars leave the picture."""

    def command(self, *argv: str) -> None:
        super().command(*argv, *(("--sector-size", "512MiB") if argv[:2] == ("miner", "init") else ()))

    def spawn(self, name: str, *argv: str) -> None:
        super().spawn(name, *argv, *(("--precommit1max", "2") if name != "miner" else ()))


def shots(root: Path) -> dict[str, str]:
    """The coloured output of each command, once work of every kind is under way."""
    farm = Shown(root, speed=700)
    try:
        farm.start()
        for _ in range(SECTORS):
            farm.command("miner", "sectors", "pledge")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            jobs = _said(farm, "sealing", "jobs")
            states = _said(farm, "sectors", "list")
            if all(kind in jobs for kind in ("PC1", "PC2")) and any(
                s in states for s in ("WaitSeed", "Committing", "Proving")
            ):
                break
            time.sleep(0.2)
        return {
            name: f"\x1b[92m$\x1b[0m lotus-miner {' '.join(words)}\n" + _said(farm, *words, colour=True)
            for name, words in PICTURES
        }
    finally:
        farm.stop()


def _said(farm: Farm, *words: str, colour: bool = False) -> str:
    how = ("--color", "--layout", "rich") if colour else ("--color=false", "--layout", "plain")
    env = farm.environment() | {"TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    done = subprocess.run(program("miner", *how, *words), env=env, capture_output=True, text=True, check=True)
    return done.stdout


def _font() -> Path:
    path = shutil.which("fc-match")
    if path is not None:
        found = subprocess.run(
            [path, "-f", "%{file}", "DejaVu Sans Mono:style=Book"], capture_output=True, text=True
        ).stdout
        if found.lower().endswith((".ttf", ".ttc", ".otf")):
            return Path(found)
    raise SystemExit("ERROR: no monospaced TrueType font found; install DejaVu Sans Mono (fonts-dejavu-core)")


def draw(text: str, font_file: Path, target: Path) -> None:
    """One picture of coloured terminal text; every cell where a terminal has it."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(font_file), SIZE)
    lines = [Text.from_ansi(line) for line in text.rstrip("\n").split("\n")]
    width, height = round(font.getlength("M")), round(SIZE * 1.35)
    columns = max(cell_len(line.plain) for line in lines)
    image = Image.new(
        "RGB", (columns * width + 2 * MARGIN, len(lines) * height + 2 * MARGIN), THEME.background_color
    )
    pen = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        column = 0
        for at, character in enumerate(line.plain):
            style = sum(
                (x.style for x in line.spans if x.start <= at < x.end and isinstance(x.style, Style)), Style()
            )
            place = (MARGIN + column * width, MARGIN + row * height)
            wide = cell_len(character)
            if style.bgcolor is not None and style.bgcolor.type is not ColorType.DEFAULT:
                pen.rectangle((*place, place[0] + wide * width, place[1] + height), fill=_rgb(style.bgcolor))
            if character in BLOCKS:
                _block(pen, character, place, width, height, _ink(style))
            elif character.strip():
                pen.text(place, character, font=font, fill=_ink(style))
            column += wide
    image.save(target, optimize=True)


#: Characters of bars, drawn so that they touch: eighths of a cell from the left.
BLOCKS: Final = {"█": 8, "▉": 7, "▊": 6, "▋": 5, "▌": 4, "▍": 3, "▎": 2, "▏": 1, "━": 8, "╸": 4, "╺": -4}


def _block(
    pen: Any, character: str, place: tuple[int, int], width: int, height: int, ink: tuple[int, int, int]
) -> None:
    x, y = place
    eighths = BLOCKS[character]
    left = x + (width * (8 + eighths) // 8 if eighths < 0 else 0)
    right = x + (width if eighths < 0 else width * eighths // 8)
    thin = character in "━╸╺"
    top, bottom = (y + height // 2 - 2, y + height // 2 + 2) if thin else (y + 2, y + height - 3)
    pen.rectangle((left, top, right - 1, bottom), fill=ink)


def _ink(style: Style) -> tuple[int, int, int]:
    ink = _rgb(style.color) if style.color is not None else tuple(THEME.foreground_color)
    if style.dim:
        ink = tuple((a + b) // 2 for a, b in zip(ink, THEME.background_color, strict=True))
    return ink[0], ink[1], ink[2]


def _rgb(color: Any) -> tuple[int, int, int]:
    triplet = color.get_truecolor(THEME)
    return triplet.red, triplet.green, triplet.blue


if __name__ == "__main__":
    sys.exit(main())
