"""Reads YAML that others wrote, with limits on its size, depth and number of values.

PyYAML is written in Python and has no limits. 3,000 nested brackets exceed Python's recursion limit, and 50,000 take
12 s. A value that is used by many aliases is one object to PyYAML, but every use counts here, because what reads the
result walks through all of them.
"""

from typing import Any

import yaml

_MOST_CHARACTERS = 1024 * 1024
_MOST_VALUES = 20_000
_MOST_DEPTH = 32


def load_yaml(text: str) -> Any:
    """Return the content of a YAML document.

    Raises:
        yaml.YAMLError, ValueError: it is not YAML, or exceeds a limit.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"it has {len(text)} characters, and may have {_MOST_CHARACTERS}")
    loader = _BoundedLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _BoundedLoader(yaml.SafeLoader):
    """Counts values while they are composed, so that a document is refused before the rest of it is read."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values = 0
        self._values_below: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node and those below it. `YAMLError` is raised if there are too many."""
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise yaml.YAMLError(f"it is nested more than {_MOST_DEPTH} deep")
        before, is_alias = self._values, self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if node is not None:
            if is_alias:
                if node not in self._values_below:
                    raise yaml.YAMLError("a value contains itself")
                self._values += self._values_below[node]
            else:
                self._values += 1
                self._values_below[node] = self._values - before
        if self._values > _MOST_VALUES:
            raise yaml.YAMLError(f"it has more than {_MOST_VALUES} values")
        self._depth -= 1
        return node
