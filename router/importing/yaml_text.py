"""YAML as other programs' configurations are written in: plain values, nothing made by tags, nothing that grows."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import yaml

from router.errors import ConfigError

_MOST_VALUES: Final = 100_000  # in a file of at most 1 MiB only anchors make more


def load(text: str) -> dict[str, Any]:
    """The table that the text holds; an empty text is an empty one. Raises ConfigError with the line."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}
        if _values(node, {}) > _MOST_VALUES:
            raise ConfigError("it stands for more values than can be read; are anchors nested in it?")
        _refuse_twice(node, set())
        value = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark is not None else ""
        raise ConfigError(f"{line}{error.problem or error.context or 'this is no YAML'}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"this is no YAML: {error}") from None
    except (RecursionError, ValueError) as error:
        raise ConfigError("it is nested too deeply" if isinstance(error, RecursionError) else str(error)) from None
    finally:
        loader.dispose()
    if not isinstance(value, dict):
        raise ConfigError("expected keys and values at the top")
    return value


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, those behind anchors each time they are named."""
    if id(node) not in known:
        known[id(node)] = _MOST_VALUES + 1  # in case it holds itself
        known[id(node)] = 1 + sum(_values(part, known) for part in _parts(node))
    return known[id(node)]


def _refuse_twice(node: yaml.Node, seen: set[int]) -> None:
    """A key that stands twice in a table: which one counts isn't ours to say."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: set[Hashable] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in keys:
                    raise ConfigError(f'line {key.start_mark.line + 1}: the key "{key.value}" stands here twice')
                keys.add((key.tag, key.value))
    for part in _parts(node):
        _refuse_twice(part, seen)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    match node:
        case yaml.MappingNode():
            return [part for pair in node.value for part in pair]
        case yaml.SequenceNode():
            return list(node.value)
        case _:
            return []
