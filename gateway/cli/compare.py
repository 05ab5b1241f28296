"""Compares what files declare with what the gateway has stored."""

import difflib
from functools import cached_property
from typing import Any

import yaml

from gateway.cli.consequences import expected_notes, made_notes
from gateway.cli.route_files import Declared
from router.spec.parse import parse_spec
from router.spec.unparse import unparse_spec


class Comparison:
    """A declared route and the stored document of the same name, which is None for a new route."""

    def __init__(self, declared: Declared, stored: dict[str, Any] | None) -> None:
        self.route = declared.spec.route
        self.stored = stored
        self.wanted = unparse_spec(declared.spec)
        self.version = 0 if stored is None else _version(stored)
        self._known = None if stored is None else unparse_spec(parse_spec(stored["spec"]))
        self._path = declared.path
        self._spec = declared.spec

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

    @cached_property
    def notes(self) -> list[str]:
        """Sentences on what `apply` would do to the traffic that the diff does not show."""
        if self.stored is None or not self.differs:
            return []
        return expected_notes(self._spec, self.stored)

    def notes_of(self, made: dict[str, Any]) -> list[str]:
        """Return sentences on what `apply` has done to the traffic."""
        return [] if self.stored is None or not self.differs else made_notes(self._spec, self.stored, made)

    def to_json(self) -> dict[str, Any]:
        """Return what `diff --json` prints of this route."""
        return {
            "route": self.route,
            "file": str(self._path),
            "version": self.version or None,
            "differs": self.differs,
            "diff": self.diff,
            "notes": self.notes,
        }


def to_yaml(specs: list[dict[str, Any]]) -> str:
    """Return the specs in the format that `apply` reads."""
    return yaml.safe_dump_all(specs, sort_keys=False)


def _version(stored: dict[str, Any]) -> int:
    version = stored["version"]
    if not isinstance(version, int):
        raise TypeError(f"a version that is {version!r}")
    return version


def _yaml(spec: dict[str, Any] | None) -> list[str]:
    return [] if spec is None else to_yaml([spec]).splitlines(keepends=True)
