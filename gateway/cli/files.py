"""Reads declared routes from YAML files, for `apply` and `diff`. Acts on files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from router.errors import Rejected
from router.parse import parse_spec
from router.sentences import shown
from router.spec import RouteSpec

_SUFFIXES = (".yaml", ".yml")


class Declared(NamedTuple):
    """A route, and the file that declares it."""

    path: Path
    spec: RouteSpec


def read_declared(path: Path) -> list[Declared]:
    """The routes of a file, or of every YAML file below a folder; hidden files and folders are left out.

    Raises:
        ValueError: there is none, or one is not valid YAML or not a route; a route is declared twice.
        OSError: a file cannot be read.
    """
    declared = [Declared(file, _parsed(file, raw)) for file in _files(path) for raw in _documents(file)]
    if not declared:
        raise ValueError(f"{path} declares no route.")
    seen: dict[str, Path] = {}
    for file, spec in declared:
        if spec.route in seen:
            raise ValueError(f"Route {spec.route} is declared twice: in {seen[spec.route]} and in {file}.")
        seen[spec.route] = file
    return declared


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(
        each
        for each in path.rglob("*")
        if each.suffix in _SUFFIXES
        and each.is_file()
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
    )
    if not found:
        raise ValueError(f"There is no file *.yaml or *.yml below {path}.")
    return found


def _documents(path: Path) -> Iterator[Any]:
    try:
        text = path.read_text(encoding="utf-8")
        yield from (document for document in yaml.safe_load_all(text) if document is not None)
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
        raise ValueError(f"{path}, route {shown(raw['route'])}: {error}") from error
