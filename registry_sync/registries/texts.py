"""Reads the two texts of a registry: manifests and aliases.

Parsing takes milliseconds of the interpreter's lock, and what is read every few seconds hardly ever changes. So does
refusing: a text just below the limits of `load_yaml` takes a second. So the results are remembered.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import msgspec

from registry_sync.errors import Unreadable
from runtimes.bounded_yaml import load_yaml
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest
from runtimes.manifest_text import parse_manifest

_TEXTS_PARSED = 32_768
"""Parsed texts that are kept. All are read in turn, so with one more than this each would be parsed every time."""


def read_manifest(text: str) -> Manifest:
    """Return the manifest.

    Raises:
        ModelRefused: it cannot be read.
    """
    manifest = _parse_manifest(text)
    if isinstance(manifest, ModelRefused):
        raise ModelRefused(str(manifest))
    return manifest


@lru_cache(maxsize=_TEXTS_PARSED)
def is_partial(text: str) -> bool:
    """Return True if a `model.yaml` is a person's: it pins no file, so the rest is read out of the files."""
    try:
        content = load_yaml(text)
    except Exception:  # noqa: BLE001  # PyYAML raises errors of many kinds; `read_manifest` says what is wrong
        return False
    return isinstance(content, dict) and "sha256" not in content


def parse_aliases(text: str, name: str) -> Mapping[str, str]:
    """Return the version of each alias. `name` is the file's, for the sentence.

    Raises:
        Unreadable: they cannot be read.
    """
    aliases = _parse_aliases(text)
    if isinstance(aliases, str):
        raise Unreadable(f"{name} cannot be read: {aliases}.")
    return aliases


@lru_cache(maxsize=_TEXTS_PARSED)
def _parse_manifest(text: str) -> Manifest | ModelRefused:
    try:
        return parse_manifest(text)
    except ModelRefused as error:
        return error


@lru_cache(maxsize=_TEXTS_PARSED)
def _parse_aliases(text: str) -> Mapping[str, str] | str:
    """Return the version of each alias, or why the text is something else."""
    try:
        aliases = msgspec.convert(load_yaml(text) or {}, dict[str, str | int])
        msgspec.json.encode(aliases)  # half a surrogate pair is no text
    except Exception as error:  # noqa: BLE001  # PyYAML raises errors of many kinds
        return str(error)
    return MappingProxyType({alias: str(version) for alias, version in aliases.items()})
