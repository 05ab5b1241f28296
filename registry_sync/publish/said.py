"""What a person says about a model: a partial `model.yaml`, and single keys of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from runtimes.bounded_yaml import load_yaml
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest

Said = Mapping[str, Any]
"""A part of the content of `model.yaml`."""

KEYS = tuple(field.name for field in msgspec.structs.fields(Manifest))
_TENSORS = ("inputs", "outputs")
_MADE = ("sha256", "files")


def parse_said(text: str, where: str) -> dict[str, Any]:
    """Read a partial `model.yaml`.

    Raises:
        ModelRefused: it is not YAML, or has a key that `model.yaml` does not have.
    """
    try:
        said = load_yaml(text)
    except Exception as error:  # PyYAML raises errors of many kinds
        raise ModelRefused(f"{where} cannot be read: {' '.join(str(error).split())}.") from error
    if not isinstance(said, dict):
        raise ModelRefused(f"{where} is no model.yaml: it must have keys such as batch, inputs and outputs.")
    _check_keys(said, where)
    return said


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Read pairs such as `max_batch=1` and `resources.num_cpus=2`. A value is written as in YAML.

    Raises:
        ModelRefused: a pair has another form, or its key is unknown or belongs to tensors.
    """
    said: dict[str, Any] = {}
    for pair in pairs:
        key, found, text = pair.partition("=")
        if not found or not key:
            raise ModelRefused(f"{pair!r} is not of the form KEY=VALUE, such as max_batch=1.")
        first, _, second = key.partition(".")
        _check_keys({first: None}, f"--set {key}")
        if first in (*_TENSORS, *_MADE):
            raise ModelRefused(
                f"{first} cannot be set so. Write it into a partial model.yaml, and name that with --with."
            )
        try:
            value = load_yaml(text)
        except Exception as error:
            raise ModelRefused(f"--set {key}: {text!r} is not YAML.") from error
        if second:
            said[first] = {**said.get(first, {}), second: value}
        else:
            said[first] = value
    return said


def over(said: Said, under: Said) -> dict[str, Any]:
    """Return two partial manifests as one. The first wins, key by key; `resources` are merged."""
    merged = {**under, **said}
    for key in said.keys() & under.keys():
        if isinstance(said[key], dict) and isinstance(under[key], dict):
            merged[key] = {**under[key], **said[key]}
    return merged


def _check_keys(said: Said, where: str) -> None:
    unknown = [str(key) for key in said if key not in KEYS]
    if unknown:
        raise ModelRefused(f"{where} has the key {', '.join(unknown)}; model.yaml knows {', '.join(KEYS)}.")
