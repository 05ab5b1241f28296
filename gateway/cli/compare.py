"""Compares what files declare with what the gateway has stored."""

import difflib
from functools import cached_property
from typing import Any

import yaml

from gateway.cli.route_files import Declared
from router.spec.parse import parse_spec
from router.spec.unparse import unparse_spec


class Comparison:
    """A declared route and the stored document of the same name, which is None for a new route."""

    def __init__(self, declared: Declared, stored: dict[str, Any] | None) -> None:
        self.route = declared.spec.route
        self.stored = stored
        self.wanted = unparse_spec(declared.spec)
        self.version = 0 if stored is None else int(stored["version"])
        self._known = None if stored is None else unparse_spec(parse_spec(stored["spec"]))
        self._path = declared.path

    @property
    def differs(self) -> bool:
        """Return True if `apply` would change the route."""
        return self.wanted != self._known

    @cached_property
    def diff(self) -> str:
        """The unified diff from the stored route to the declared one."""
        stored = f"{self.route} (version {self.version})" if self.version else "/dev/null"
        declared = f"{self.route} ({self._path})"
        return "".join(difflib.unified_diff(_yaml(self._known), _yaml(self.wanted), stored, declared))

    def to_json(self) -> dict[str, Any]:
        """Return what `diff --json` prints of this route."""
        return {
            "route": self.route,
            "file": str(self._path),
            "version": self.version or None,
            "differs": self.differs,
            "diff": self.diff,
        }


def to_yaml(specs: list[dict[str, Any]]) -> str:
    """Return the specs in the format that `apply` reads."""
    return yaml.safe_dump_all(specs, sort_keys=False)


def _yaml(spec: dict[str, Any] | None) -> list[str]:
    return [] if spec is None else to_yaml([spec]).splitlines(keepends=True)
