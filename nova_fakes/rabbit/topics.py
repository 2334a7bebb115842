"""Routing keys matched against patterns, by a trie of words: `*` is one word, `#` any number of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

__all__ = ["TopicTrie"]


class _Node:
    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.values: dict[Hashable, Any] = {}


class TopicTrie:
    """Values by pattern."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, pattern: str, key: Hashable, value: Any) -> None:
        """Put a value below a pattern; the key tells it from others there."""
        node = self._root
        for word in _words(pattern):
            node = node.children.setdefault(word, _Node())
        node.values[key] = value

    def remove(self, pattern: str, key: Hashable) -> None:
        """Take a value away, and the nodes that nothing needs any more."""
        path = [self._root]
        words = _words(pattern)
        for word in words:
            path.append(path[-1].children[word])
        path[-1].values.pop(key, None)
        while words and not path[-1].values and not path[-1].children:
            path.pop()
            del path[-1].children[words.pop()]

    def match(self, routing_key: str) -> Iterator[Any]:
        """Yield the values whose patterns the key matches."""
        words = _words(routing_key)
        end = len(words)
        pending = [(self._root, 0)]
        seen: set[tuple[int, int]] = set()
        while pending:
            node, index = pending.pop()
            if index == end and node.values:
                yield from node.values.values()
            children = node.children
            if not children:
                continue
            many = children.get("#")
            if many is not None:
                for later in range(index, end + 1):
                    if (id(many), later) not in seen:
                        seen.add((id(many), later))
                        pending.append((many, later))
            if index < end:
                for word in {words[index], "*"} - {"#"}:
                    child = children.get(word)
                    if child is not None:
                        pending.append((child, index + 1))


def _words(key: str) -> list[str]:
    return key.split(".") if key else []
