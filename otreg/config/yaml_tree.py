"""A YAML file as plain values that remember where they stand.

The parser's events are turned into a tree here, and not by a YAML loader, so that every value has its line and column
and every limit is one line: plain data only (no tags), the core schema of YAML 1.2 (``1e-3`` is a number, ``no`` is a
word), keys once, bounded depth and size, also after aliases are followed (each adds the size of what it repeats).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from otreg.config.text_file import printable, read_text

LARGEST_FILE: Final = 10_000_000  # bytes
MOST_VALUES: Final = 200_000  # a list of 20,000 pairs with settings; more belong into a table
DEEPEST: Final = 20  # a batch file needs five levels

# Core schema of YAML 1.2.2, section 10.3.2. Plain words that match none of these are texts.
_NULLS = {"null", "Null", "NULL", "~"}
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,400}")
_BASES = {"0o": (re.compile(r"[0-7]{1,400}"), 8), "0x": (re.compile(r"[0-9a-fA-F]{1,400}"), 16)}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LIMITS = re.compile(r"([-+]?)(\.inf|\.Inf|\.INF)|(\.nan|\.NaN|\.NAN)")

Keys = tuple[str | int, ...]


def path_text(keys: Sequence[str | int]) -> str:
    """Keys as users read them, ``pairs[2].source``: the source of the second pair."""
    return "".join(f"[{key + 1}]" if isinstance(key, int) else f".{printable(key)}" for key in keys).lstrip(".")


@dataclass(frozen=True, order=True)
class Place:
    """Line and column of a value, both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass
class Node:
    """A value of the file: a scalar, a list of nodes, or nodes by key.

    keys: place of each key of a mapping; refused: keys that are not among them because a problem has been noted.
    size: number of values in it, aliases followed.
    """

    content: Any
    place: Place
    keys: dict[str, Place] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    size: int = 1

    def plain(self) -> Any:
        """The value without places: what a JSON file would hold."""
        if isinstance(self.content, dict):
            return {key: node.plain() for key, node in self.content.items()}
        if isinstance(self.content, list):
            return [node.plain() for node in self.content]
        return self.content


@dataclass(frozen=True)
class Tree:
    """What a YAML file holds. root: a mapping, empty for an empty file; problems: where and what, in order."""

    file: Path
    root: Node
    problems: tuple[tuple[Place, str], ...]

    def node_at(self, keys: Keys) -> Node:
        """The node under a path of keys, or the last one on the way that exists."""
        node = self.root
        for key in keys:
            found = _child(node, key)
            if found is None:
                break
            node = found
        return node

    def values_at(self, keys: Keys) -> dict[str, Any] | None:
        """The plain values of the mapping under a path of keys, {} where there is none, None for what is no mapping."""
        node = self.node_at(keys)
        if node is self.root and keys:
            return {}
        return node.plain() if isinstance(node.content, dict) else None

    def place_of(self, keys: Keys, *, of_key: bool = False) -> Place:
        """Where the value under a path of keys stands, or its last key; of what is missing, where it should be."""
        parent = self.node_at(keys[:-1])
        if of_key and keys and keys[-1] in parent.keys:
            return parent.keys[str(keys[-1])]
        return self.node_at(keys).place

    def line(self, place: Place, keys: Keys, sentence: str) -> str:
        """One problem as users read it: ``file:line:column: key path: sentence``."""
        return self._whole(place, f"{path_text(keys)}: {sentence}" if keys else sentence)

    def lines(self) -> list[tuple[Place, str]]:
        """The problems of the tree itself, as users read them."""
        return [(place, self._whole(place, sentence)) for place, sentence in self.problems]

    def _whole(self, place: Place, sentence: str) -> str:
        return f"{self.file}:{place}: {sentence}"


def read_tree(file: Path) -> Tree:
    """The values of a YAML file with their places. Nothing is executed, included or fetched.

    Problems are collected in the tree; one that makes the rest unreadable ends it.
    Raises InputFileError as ``read_text`` does, SettingsError when the file is not UTF-8.
    """
    builder = _Builder()
    text = read_text(file, largest=LARGEST_FILE)
    try:
        for event in _events(text):
            builder.take(event)
    except _UnreadableError as end:
        builder.problems.append((end.place, end.sentence))
    root = builder.root or Node({}, Place(1, 1))
    if not isinstance(root.content, dict):
        builder.problems.append((root.place, f"must hold lines like 'blur: 1%'; got {_kind(root)}"))
        root = Node({}, root.place)
    return Tree(file, root, tuple(builder.problems))


class _UnreadableError(Exception):
    """What follows cannot be understood."""

    def __init__(self, place: Place, sentence: str) -> None:
        super().__init__(sentence)
        self.place, self.sentence = place, sentence


def _events(text: str) -> Iterator[Any]:
    """The parser's events; whatever it refuses ends them with _UnreadableError."""
    # Here, because commands without a file need not wait for this import.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, error.position - before.rfind("\n"))
        raise _UnreadableError(place, f"must hold printable characters; found #{error.character:04x}") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
        parts = " ".join(str(error.problem).replace("<", "").replace(">", "").split())
        tab = " (a tab: indent by spaces)" if "'\\t'" in parts else ""
        raise _UnreadableError(place, f"is not valid YAML: {parts}{tab}") from error
    except (YAMLError, ValueError, AssertionError, IndexError) as error:
        raise _UnreadableError(Place(1, 1), f"is not valid YAML: {' '.join(str(error).split())}") from error


@dataclass
class _Open:
    """A list or mapping whose end has not been read yet."""

    node: Node
    anchor: str | None
    key: tuple[str, Place] | None = None
    twice: bool = False  # the key was there before
    merges: bool = False  # the key is <<
    merge_keys: dict[str, Place] = field(default_factory=dict)
    merged: list[Node] = field(default_factory=list)


class _Builder:
    """Takes the parser's events one by one; ``root`` is the tree so far."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._documents = 0
        self.problems: list[tuple[Place, str]] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._values = 0

    def take(self, event: Any) -> None:
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        kind = type(event).__name__
        if kind == "DocumentStartEvent":
            self._start_document(event, place)
        elif kind == "ScalarEvent":
            self._refuse_tag(event, place)
            self._scalar(event, place)
        elif kind == "AliasEvent":
            self._add(self._repeated(event.anchor, place))
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            self._refuse_tag(event, place)
            self._start(Node([] if kind == "SequenceStartEvent" else {}, place), event.anchor)
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            self._end()

    def _start_document(self, event: Any, place: Place) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _UnreadableError(place, "a second document begins; put everything into one, without '---'")
        if event.version not in (None, (1, 2)):
            raise _UnreadableError(place, "must be YAML 1.2; remove the line '%YAML'")

    def _refuse_tag(self, event: Any, place: Place) -> None:
        if event.tag is not None:
            self.problems.append((place, f"must be plain data; got the tag {str(event.tag)[:60]!r}. Remove it"))

    def _scalar(self, event: Any, place: Place) -> None:
        plain = event.style in (None, "")
        if self._awaits_key():
            self._take_key(str(event.value), place, plain=plain)
            return
        if plain and event.value == "":
            self._add(None, place)
            return
        node = Node(_resolved(event.value) if plain else event.value, place)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._add(node)

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].node.content, dict) and self._open[-1].key is None

    def _take_key(self, key: str, place: Place, *, plain: bool) -> None:
        top = self._open[-1]
        top.key = (key, place)
        top.merges = plain and key == "<<"
        known = top.merge_keys if top.merges else top.node.keys
        top.twice = key in known
        if top.twice:
            first = known[key].line
            self.problems.append((place, f"{self._path()}: is set twice, in line {first} too; remove one of them"))
        else:
            known[key] = place

    def _path(self) -> str:
        """Of the value that is read now."""
        return path_text([top.key[0] if top.key else len(top.node.content) for top in self._open])

    def _add(self, node: Node | None, place: Place | None = None) -> None:
        """A finished value goes where it belongs; None is one that was left empty."""
        self._values += 1
        if self._values > MOST_VALUES:
            where = node.place if node is not None else place or Place(1, 1)
            raise _UnreadableError(where, _too_many())
        if not self._open:
            self.root = node
            return
        top = self._open[-1]
        if isinstance(top.node.content, list):
            if node is None:
                assert place is not None
                self.problems.append((place, f"{self._path()}: has no value; write one or remove its '-'"))
            else:
                self._grow(top.node, node)
                top.node.content.append(node)
            return
        assert top.key is not None
        key, key_place = top.key
        if node is None:
            self.problems.append((key_place, f"{self._path()}: has no value; write one or remove the line"))
            top.node.refused.add(key)
        elif top.merges:
            top.merged += self._mappings(node)
        elif not top.twice:
            self._grow(top.node, node)
            top.node.content[key] = node
        top.key = None

    def _grow(self, parent: Node, node: Node) -> None:
        parent.size += node.size
        if parent.size > MOST_VALUES:
            raise _UnreadableError(node.place, _too_many())

    def _mappings(self, node: Node) -> list[Node]:
        sources = node.content if isinstance(node.content, list) else [node]
        for source in sources:
            if not isinstance(source.content, dict):
                self.problems.append((source.place, f"'<<' must name mappings; got {_kind(source)}"))
        return [source for source in sources if isinstance(source.content, dict)]

    def _start(self, node: Node, anchor: str | None) -> None:
        if self._awaits_key():
            raise _UnreadableError(node.place, f"a key must be a word; got {_kind(node)}")
        if len(self._open) == DEEPEST:
            raise _UnreadableError(node.place, f"must be nested at most {DEEPEST} deep")
        if anchor is not None:
            self._anchors[anchor] = None  # until its end
        self._open.append(_Open(node, anchor))

    def _end(self) -> None:
        top = self._open.pop()
        for source in top.merged:  # what stands here comes before what is merged, and the first before the second
            for key, value in source.content.items():
                if key not in top.node.content and key not in top.node.refused:
                    self._grow(top.node, value)
                    top.node.content[key] = value
                    top.node.keys[key] = source.keys[key]
        if top.anchor is not None:
            self._anchors[top.anchor] = top.node
        self._add(top.node)

    def _repeated(self, anchor: str, place: Place) -> Node:
        if self._awaits_key():
            raise _UnreadableError(place, "a key must be a word; got an alias")
        if anchor not in self._anchors:
            raise _UnreadableError(
                place, f"the alias *{anchor} repeats nothing; no value before it is called &{anchor}"
            )
        node = self._anchors[anchor]
        if node is None:
            raise _UnreadableError(place, f"the alias *{anchor} stands inside what it repeats")
        return node


def _too_many() -> str:
    return f"holds more than {MOST_VALUES} values, aliases followed; put long lists of pairs into a table"


def _child(node: Node, key: str | int) -> Node | None:
    if isinstance(node.content, dict):
        found = node.content.get(key)
        return found if isinstance(found, Node) else None
    if isinstance(node.content, list) and isinstance(key, int) and key < len(node.content):
        item = node.content[key]
        assert isinstance(item, Node)
        return item
    return None


def _kind(node: Node) -> str:
    if isinstance(node.content, dict):
        return "a mapping"
    return "a list" if isinstance(node.content, list) else repr(node.content)


def _resolved(text: str) -> Any:
    """The value of a plain scalar in the core schema."""
    if text in _NULLS:
        return None
    if text in _TRUTHS:
        return _TRUTHS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    digits, base = _BASES.get(text[:2], (None, 10))
    if digits is not None and digits.fullmatch(text[2:]):
        return int(text[2:], base)
    if _FLOAT.fullmatch(text):
        return float(text)
    limit = _LIMITS.fullmatch(text)
    if limit is not None:
        return float("nan") if limit[3] else float(f"{limit[1]}inf")
    return text
