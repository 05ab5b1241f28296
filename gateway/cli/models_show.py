"""Shows the versions of the registry, beside what a gateway says: `pointsman models list` and `show`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.cli.api_error import ApiError
from gateway.cli.client import ApiClient
from gateway.cli.models_add import plain
from gateway.cli.models_text import instances_text, tensor_text
from gateway.cli.models_validate import resolve
from gateway.cli.output import print_json, print_table, say
from gateway.cli.printable import printable
from gateway.cli.settings_flags import read_settings
from registry_sync.open import open_registry
from registry_sync.registries import Registry
from router.spec.references import parse_ref
from runtimes.errors import ModelRefused

_BATCHED = "batched"
"""What the API says of a version whose requests share runs, and otherwise why they do not."""

_Held = Mapping[tuple[str, str], Mapping[str, Any]]


def show_versions(model: str | None, *, url: str, home: Path | None, as_json: bool) -> None:
    """Print the versions of one model, or of all.

    Raises:
        UnknownModel, RegistryUnavailable: the registry does not have it, or cannot be read.
    """
    registry = open_registry(read_settings(home=home).registry)
    held, silence = _held(url)
    rows = [
        _row(registry, each, version, held)
        for each in (registry.models() if model is None else [model])
        for version in registry.versions(each)
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["MODEL", "VERSION", "ALIASES", "KIND", "SHA256", "STATE", "BATCHING", "REASON"],
        [
            (
                row["model"],
                row["version"],
                " ".join(row["aliases"]),
                row["kind"],
                row["digest"][:12],
                row["state"],
                _short(row["batching"]),
                row["reason"],
            )
            for row in rows
        ],
    )
    if silence:
        say(printable(f"The states are not known: {silence}"), err=True)


def show_version(reference: str, *, url: str, home: Path | None, as_json: bool) -> None:
    """Print all that is known of one version. Raises like `show_versions`."""
    settings = read_settings(home=home)
    registry = open_registry(settings.registry)
    ref = resolve(parse_ref(reference, "A version"), settings)
    manifest = registry.manifest(ref.model, str(ref.version))
    held, silence = _held(url)
    row = _row(registry, ref.model, str(ref.version), held)
    if as_json:
        print_json({**row, "manifest": plain(manifest)})
        return
    lines = [
        f"{ref} is a model of the kind {manifest.runtime}: {', '.join(manifest.pinned)}.",
        *([f"  {manifest.description}"] if manifest.description else []),
        f"  aliases: {', '.join(row['aliases']) or 'none'}",
        f"  digest: {manifest.digest}",
        *(f"  input   {tensor_text(spec)}" for spec in manifest.inputs),
        *(f"  output  {tensor_text(spec)}" for spec in manifest.outputs),
        f"  {instances_text(manifest)}; a run takes at most {manifest.max_batch}; placement: {manifest.placement}",
        f"  packages: {', '.join((*manifest.made_with, *manifest.packages)) or 'none named'}",
        f"  golden requests: {manifest.golden or 'none'}",
        f"  state: {row['state'] or f'not known. {silence}' if silence else row['state']}",
        *([f"  {row['reason']}"] if row["reason"] else []),
        *([f"  batching: {row['batching']}"] if row["batching"] else []),
    ]
    for line in lines:
        say(printable(line))


def _row(registry: Registry, model: str, version: str, held: _Held | None) -> dict[str, Any]:
    """Return what the registry and the gateway know of a version. `state` is empty if no gateway answers."""
    there = (held or {}).get((model, version), {})
    row = {
        "model": model,
        "version": version,
        "aliases": [alias for alias, named in registry.aliases(model).items() if named == version],
        "kind": "",
        "digest": "",
        "state": "" if held is None else there.get("state", "not used"),
        "reason": there.get("reason", ""),
        "batching": _batching(there),
    }
    try:
        manifest = registry.manifest(model, version)
    except ModelRefused as error:
        return {**row, "reason": str(error)}
    return {**row, "kind": manifest.runtime, "digest": manifest.digest}


def _batching(there: Mapping[str, Any]) -> str:
    """Return `batched`, or why the gateway does not merge requests of a version; empty if it does not say."""
    return str(there.get("batching", ""))


def _short(batching: str) -> str:
    """Return if requests share runs: yes, no, or an empty text. `show` and --json say why not."""
    if not batching:
        return ""
    return "yes" if batching == _BATCHED else "no"


def _held(url: str) -> tuple[_Held | None, str]:
    """Return the versions that a replica holds, or None and why it does not say."""
    try:
        return {(each["model"], str(each["version"])): each for each in ApiClient(url).models()}, ""
    except ApiError as error:
        return None, str(error)
