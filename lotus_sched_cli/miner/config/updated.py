"""``config updated``: the whole set of keys, with what the operator changed in force and his comments in place.

Lotus's command loses comments and keys that it does not know; this one keeps both. The file itself is not written to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .keys import KEYS, MAP, SECTIONS, Key
from .read import Config, default_value
from .write import key_lines, toml_text, written_value

_LEVELS: Final = "Logging.SubsystemLevels"


@dataclass(slots=True)
class Entry:
    """A key of the operator's file: its value as he wrote it, and the comment behind it."""

    name: str
    text: str
    value: Any
    trailing: str = ""


@dataclass(slots=True)
class Notes:
    """What the operator wrote besides values: comments before a key, at a section's end, and keys nobody knows."""

    before: dict[str, list[str]] = field(default_factory=dict)
    end: dict[str, list[str]] = field(default_factory=dict)
    known: dict[str, Entry] = field(default_factory=dict)
    levels: dict[str, Entry] = field(default_factory=dict)
    unknown: dict[str, list[tuple[list[str], Entry]]] = field(default_factory=dict)
    #: Tables that no key belongs to, as text.
    foreign: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)


def updated_text(source: str, config: Config, environ: Mapping[str, str], *, comments: bool = True) -> str:
    """The file's text brought up to date: every key in Lotus's order, its documentation, the operator's comments.

    ``source`` is the file, ``config`` what `load` made of it and of ``environ``; a key that the environment sets
    stands with that value. ``comments`` False: plain TOML, all keys active.
    """
    notes = read_notes(source)
    out: list[str] = list(notes.head) if comments else []
    tops: list[str] = []
    for section in SECTIONS:
        top, *subs = section.split(".")
        if top not in tops:
            if tops:
                out += [""]
            if out and not comments and out[-1] != "":
                out.append("")
            tops.append(top)
            out.append(f"[{top}]")
        indent = "  " * (1 + len(subs))
        if subs:
            out.append(f"  [{section}]")
        for key in (k for k in KEYS if k.section == section):
            if key.type == MAP:
                out += _levels(key, notes, environ, indent, comments)
            else:
                out += _key(key, notes, config, environ, indent, comments)
        out += _rest(section, notes, indent, comments)
    for table in notes.foreign:
        out += ["", *table.rstrip("\n").split("\n"), ""]
    text = "\n".join(out) + "\n"
    return text if comments else "\n".join(_single_blanks(text.rstrip("\n").split("\n"))) + "\n"


def _key(
    key: Key, notes: Notes, config: Config, environ: Mapping[str, str], indent: str, comments: bool
) -> list[str]:
    entry = notes.known.get(key.path)
    from_env = key.env in environ
    value: str | None
    if from_env:
        value = toml_text(key, written_value(key, config.values[key.path]))
    else:
        value = entry.text if entry is not None else None
    if not comments:
        return [f"{indent}{key.name} = {key.default if value is None else value}"]
    lines = [f"{indent}{line}" for line in notes.before.get(key.path, [])]
    # As in Lotus, a key that is set to its default stands commented out.
    active = None if value is None or _is_default(key, config) else value
    body = key_lines(key, indent, active)
    if entry is not None and entry.trailing:
        body[-2] += f" {entry.trailing}"
    return lines + body


def _is_default(key: Key, config: Config) -> bool:
    return bool(config.values[key.path] == default_value(key))


def _levels(key: Key, notes: Notes, environ: Mapping[str, str], indent: str, comments: bool) -> list[str]:
    levels = {name: (entry.text, entry.trailing) for name, entry in notes.levels.items()}
    for part in filter(None, environ.get(key.env, "").split(",")):
        name, _, level = part.partition(":")
        levels[name.strip()] = (toml_text(key, level.strip()), "")
    example = levels.pop(key.name, None)
    if not comments:
        rows = [f"{indent}{key.name} = {key.default if example is None else example[0]}"]
        return rows + [f"{indent}{_bare(name)} = {text}" for name, (text, _) in levels.items()]
    lines = [f"{indent}{line}" for line in notes.before.get(key.path, [])]
    lines += key_lines(key, indent, None if example is None else example[0])
    for name, (text, trailing) in levels.items():
        lines += [f"{indent}{line}" for line in notes.before.get(f"{_LEVELS}.{name}", [])]
        lines += [f"{indent}{_bare(name)} = {text}" + (f" {trailing}" if trailing else ""), ""]
    return lines


def _rest(section: str, notes: Notes, indent: str, comments: bool) -> list[str]:
    """Unknown keys and the comments after the last key of a section."""
    lines: list[str] = []
    for before, entry in notes.unknown.get(section, []):
        if comments:
            lines += [f"{indent}{line}" for line in before]
        tail = f" {entry.trailing}" if entry.trailing and comments else ""
        lines.append(f"{indent}{entry.name} = {entry.text}{tail}")
        if comments:
            lines.append("")
    if comments and notes.end.get(section):
        lines += [*(f"{indent}{line}" for line in notes.end[section]), ""]
    return lines


def _bare(name: str) -> str:
    """A key as TOML takes it."""
    plain = name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
    return name if plain else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _single_blanks(lines: list[str]) -> Iterator[str]:
    for before, line in zip(["", *lines], lines, strict=False):
        if line or before:
            yield line


# -- reading the operator's file -------------------------------------------------------------------------------------


def read_notes(source: str) -> Notes:
    """Values, comments and unknown keys of a file, by key. The text must be TOML (`load` has said so)."""
    import tomlkit

    notes = Notes()
    reader = _Reader(notes)
    reader.walk(tomlkit.parse(source), "")
    reader.finish()
    return notes


class _Reader:
    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._pending: list[str] = []
        self._section = ""

    def walk(self, table: Any, prefix: str) -> None:
        from tomlkit.items import AoT, Table

        body = table.body if hasattr(table, "body") else table.value.body
        for name, item in body:
            if name is None:
                self._comment(item.as_string())
            elif isinstance(item, Table):
                self._table(name.key, item, prefix)
            elif isinstance(item, AoT):
                self.finish()
                self._notes.foreign.append(item.as_string())
            else:
                self._value(name, item, prefix)

    def _table(self, name: str, table: Any, prefix: str) -> None:
        path = _LOWER_SECTIONS.get(f"{prefix}{name}".lower())
        if path is None:
            self.finish()
            if not table.is_super_table():
                self._notes.foreign.append(f"[{prefix}{name}]\n{table.as_string()}")
                return
            path = f"{prefix}{name}"
        elif not table.is_super_table():
            self.finish()
            self._section = path
            if table.trivia.comment:
                self._comment(table.trivia.comment)
        self.walk(table, f"{path}.")

    def _value(self, name: Any, item: Any, prefix: str) -> None:
        from tomlkit.items import InlineTable

        if isinstance(item, InlineTable) or not hasattr(item, "trivia"):
            # An inline table, or dotted keys: the same as a section of its own.
            for inner, value in _inner(item):
                self._value(inner, value, f"{prefix}{name.key}.")
            return
        entry = Entry(name.as_string().strip(), item.as_string().strip(), item, item.trivia.comment.strip())
        path = f"{prefix}{name.key}"
        before, self._pending = self._pending, []
        if path.lower().startswith(_LEVELS.lower() + "."):
            self._notes.levels[name.key] = entry
            self._notes.before[f"{_LEVELS}.{name.key}"] = before
            return
        key = _LOWER_KEYS.get(path.lower())
        if key is None:
            section = _LOWER_SECTIONS.get(prefix.rstrip(".").lower())
            if section is None:
                self._notes.foreign.append(
                    "\n".join([*before, f"{path} = {entry.text} {entry.trailing}".rstrip()])
                )
            else:
                self._notes.unknown.setdefault(section, []).append((before, entry))
            return
        self._notes.known[key.path] = entry
        if before:
            self._notes.before.setdefault(key.path, []).extend(before)

    def _comment(self, text: str) -> None:
        for line in (part.strip() for part in text.split("\n")):
            key = _COMMENTED.get((self._section, line.lstrip("#").split("=")[0].strip().lower()))
            if key is not None and line.startswith("#") and "=" in line:
                # A default that stands commented out: the comments before it are that key's.
                if self._pending:
                    self._notes.before.setdefault(key.path, []).extend(self._pending)
                    self._pending = []
                if behind := line.split("=", 1)[1].partition(" #")[2]:
                    self._notes.before.setdefault(key.path, []).append(f"# {behind.strip()}")
            elif line and not _is_ours(line):
                self._pending.append(line)

    def finish(self) -> None:
        """What is left belongs to the end of the section, or to the head of the file."""
        left, self._pending = self._pending, []
        if left and self._section:
            self._notes.end.setdefault(self._section, []).extend(left)
        else:
            self._notes.head.extend(left)


def _inner(item: Any) -> list[tuple[Any, Any]]:
    from tomlkit.items import InlineTable

    body = item.value.body if isinstance(item, InlineTable) else item.body
    return [(name, value) for name, value in body if name is not None]


def _is_ours(line: str) -> bool:
    """Lines that the file's writer put there, ours or Lotus's."""
    return line in _GENERATED or line == "#" or line.startswith(("# type: ", "# env var: LOTUS_"))


_LOWER_KEYS: Final = {k.path.lower(): k for k in KEYS if k.type != MAP}
_LOWER_SECTIONS: Final = {part.lower(): part for s in SECTIONS for part in (s, s.split(".")[0])}
_COMMENTED: Final = {(k.section, k.name.lower()): k for k in KEYS}
_GENERATED: Final = frozenset(f"# {line}" for k in KEYS for line in k.doc)
