"""Reads declared routes from YAML files, for `apply` and `diff`."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from router.errors import Rejected
from router.refusals import short_repr
from router.spec.parse import parse_spec
from router.spec.spec import RouteSpec

_SUFFIXES = (".yaml", ".yml")
_BOOL = "tag:yaml.org,2002:bool"
_MOST_FAULTS = 20


class _Loader(yaml.SafeLoader):
    """A YAML loader that differs from PyYAML's in two points.

    Only true and false are booleans, as in YAML 1.2: an arm may be called `on`, and a country `no`. A mapping that has
    the same key twice is an error: PyYAML would silently keep the last value.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping node.

        Raises:
            yaml.YAMLError: the mapping has a key twice.
        """
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value} is there twice", problem_mark=key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


class Declared(NamedTuple):
    """A route and the file that declares it."""

    path: Path
    spec: RouteSpec


def read_declared(*paths: Path) -> list[Declared]:
    """Read the routes of files, and of every YAML file below a folder except hidden files and folders.

    Links to files and folders are followed.

    Raises:
        ValueError: there is no route; a file is not valid YAML or holds something that is not a route (the message has
            a line for each such file, at most 20); a link leads nowhere; or a route is declared twice.
        OSError: a file cannot be read.
    """
    declared: list[Declared] = []
    faults: list[str] = []
    for file in [file for path in paths for file in _files(path)]:
        try:
            declared += [Declared(file, _parsed(file, raw)) for raw in _documents(file)]
        except ValueError as error:
            faults.append(str(error))
    if faults:
        more = len(faults) - _MOST_FAULTS
        raise ValueError("\n".join(faults[:_MOST_FAULTS] + ([f"… and {more} more files."] if more > 0 else [])))
    if not declared:
        raise ValueError(f"{', '.join(map(str, paths))} declares no route.")
    seen: dict[str, Path] = {}
    for file, spec in declared:
        if spec.route in seen:
            raise ValueError(f"Route {spec.route} is declared twice: in {seen[spec.route]} and in {file}.")
        seen[spec.route] = file
    return declared


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for folder, folders, names in os.walk(path, followlinks=True):
        seen = {os.path.realpath(parent) for parent in (Path(folder), *Path(folder).parents)}
        shown = [each for each in (*folders, *names) if not each.startswith(".")]
        for dangling in (each for name in sorted(shown) if not (each := Path(folder, name)).exists()):
            raise ValueError(f"{dangling} is a link that leads nowhere.")
        folders[:] = [each for each in folders if each in shown and os.path.realpath(Path(folder, each)) not in seen]
        found += [Path(folder, name) for name in names if name in shown and Path(name).suffix in _SUFFIXES]
    if not found:
        raise ValueError(f"There is no file *.yaml or *.yml below {path}.")
    return sorted(found)


def _documents(path: Path) -> Iterator[Any]:
    try:
        text = path.read_text(encoding="utf-8")
        yield from (document for document in yaml.load_all(text, _Loader) if document is not None)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply.") from error


def _parsed(path: Path, raw: Any) -> RouteSpec:
    if not isinstance(raw, dict) or "route" not in raw:
        raise ValueError(f"{path} holds something that is not a route; each needs the key route.")
    try:
        return parse_spec(raw)
    except Rejected as error:
        raise ValueError(f"{path}, route {short_repr(raw['route'])}: {error}") from error
