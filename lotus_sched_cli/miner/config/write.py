"""A new config.toml, in Lotus's layout (lotus-cli.md §5.1): every key commented out with its default."""

from __future__ import annotations

from typing import Any

from .keys import DURATION, KEYS, LIST, MAP, Key


def default_text() -> str:
    """The file that ``init`` writes; ``config default`` prints it with one more newline."""
    out: list[str] = []
    tops: list[str] = []
    seen: set[str] = set()
    for key in KEYS:
        top, *subs = key.section.split(".")
        if top not in tops:
            if tops:
                out.append("")
            tops.append(top)
            out.append(f"[{top}]")
        if subs and key.section not in seen:
            out.append(f"  [{key.section}]")
        seen.add(key.section)
        out += key_lines(key, "  " * (1 + len(subs)))
    return "\n".join(out) + "\n"


def key_lines(key: Key, indent: str, value: str | None = None) -> list[str]:
    """Documentation, type, variable and value of one key, and the blank line after it.

    ``value`` is TOML text; None writes the default, commented out.
    """
    lines = [f"{indent}# {text}" for text in key.doc]
    if lines:
        lines.append(f"{indent}#")
    if key.type != MAP:
        lines.append(f"{indent}# type: {key.type}")
        lines.append(f"{indent}# env var: {key.env}")
    else:
        lines.append(f"{indent}# env var: {key.env}_{key.name.upper()}")
    mark = "#" if value is None else ""
    lines.append(f"{indent}{mark}{key.name} = {key.default if value is None else value}")
    lines.append("")
    return lines


def toml_text(key: Key, value: object) -> str:
    """A value as Lotus's encoder writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if key.type == LIST and isinstance(value, (list, tuple)):
        return "[" + ", ".join(_quoted(str(v)) for v in value) + "]"
    if isinstance(value, (int, float)):
        return str(value)
    return _quoted(str(value))


def written_value(key: Key, value: Any) -> Any:
    """A value of `Config` in the form of the file: seconds of a duration as Go's text."""
    if key.type != DURATION:
        return value
    from lotus_sched_cli.lotus.units import go_duration

    return go_duration(round(value * 1_000_000_000))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
