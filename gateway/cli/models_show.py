"""Shows the versions of the registry, beside what a gateway says: `pointsman models list` and `show`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.cli.api_error import ApiError
from gateway.cli.client import ApiClient
from gateway.cli.manifests import NOT_MADE, find_manifest, has_manifest, make_manifest
from gateway.cli.models_add import plain
from gateway.cli.models_text import instances_text, print_steps, tensor_text
from gateway.cli.models_validate import resolve
from gateway.cli.output import print_json, print_table, say
from gateway.cli.printable import printable
from gateway.cli.settings_flags import read_settings
from gateway.cli.version_state import state_of
from gateway.settings import Settings
from registry_sync.errors import RegistryError
from registry_sync.open import open_registry
from registry_sync.registries import Details, Registry
from router.spec.references import parse_ref
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest

_BATCHED = "batched"
"""What the API says of a version whose requests share runs, and otherwise why they do not."""

_MADE = "  Its manifest is not in the registry; the gateway makes it out of its files."

_Held = Mapping[tuple[str, str], Mapping[str, Any]]


def show_versions(model: str | None, *, url: str, home: Path | None, as_json: bool) -> None:
    """Print the versions of one model, or of all.

    Raises:
        UnknownModel, RegistryUnavailable: the registry does not have it, or cannot be read.
    """
    settings = read_settings(home=home)
    registry = open_registry(settings.registry)
    held, silence = _held(url)
    rows = [
        _found(registry, settings, each, version, held)[0]
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
                state_of(row),
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
    model, version = ref.model, str(ref.version)
    is_made = not has_manifest(registry, model, version)
    held, silence = _held(url)
    row, manifest = _found(registry, settings, model, version, held)
    if manifest is None:
        manifest = make_manifest(settings, model, version)
        row |= {**_of(manifest), "reason": row["reason"].removeprefix(NOT_MADE)}
    if as_json:
        print_json({**row, "manifest": plain(manifest)})
        return
    lines = [
        f"{ref} is a model of the kind {manifest.runtime}: {', '.join(manifest.pinned)}.",
        *([f"  {manifest.description}"] if manifest.description else []),
        *([_MADE] if is_made else []),
        f"  aliases: {', '.join(row['aliases']) or 'none'}",
        f"  digest: {manifest.digest}",
        *(f"  {name}: {row[key]}" for name, key in _LINEAGE.items() if row[key]),
        *(f"  tag {key}: {value}" for key, value in sorted(row["tags"].items()) if key not in _LINEAGE.values()),
        *(f"  input   {tensor_text(spec)}" for spec in manifest.inputs),
        *(f"  output  {tensor_text(spec)}" for spec in manifest.outputs),
        f"  {instances_text(manifest)}; a run takes at most {manifest.max_batch}; placement: {manifest.placement}",
        f"  packages: {', '.join((*manifest.made_with, *manifest.packages)) or 'none named'}",
        f"  golden requests: {manifest.golden or 'none'}",
        f"  state: {state_of(row) or f'not known. {silence}' if silence else state_of(row)}",
        *([f"  {row['reason']}"] if row["reason"] else []),
        *([f"  batching: {row['batching']}"] if row["batching"] else []),
    ]
    for line in lines:
        say(printable(line))
    if row["steps"]:
        print_steps([(each["step"], each["state"], each["seconds"], each["detail"]) for each in row["steps"]])


_LINEAGE = {"run": "run_id", "data set": "data_set", "registered by": "registered_by", "source": "source"}


def _found(
    registry: Registry, settings: Settings, model: str, version: str, held: _Held | None
) -> tuple[dict[str, Any], Manifest | None]:
    """Return what the registry and the gateway know of a version. `state` is empty if no gateway answers."""
    there = (held or {}).get((model, version), {})
    details = _details(registry, model, version)
    manifest, reason = find_manifest(registry, settings, model, version, details)
    row = {
        "model": model,
        "version": version,
        "aliases": [alias for alias, named in registry.aliases(model).items() if named == version],
        "kind": "",
        "digest": there.get("digest", ""),
        "state": "" if held is None else there.get("state", "not used"),
        "serves": bool(there.get("serves")),
        "reason": there.get("reason") or reason,
        "batching": there.get("batching", ""),
        "memory_bytes": there.get("memory_bytes", 0),
        "trying": there.get("trying"),
        "tried_at_s": there.get("tried_at_s"),
        "steps": there.get("steps", []),
        **details._asdict(),
        "tags": dict(details.tags),
        "packages": [],
    }
    return (row if manifest is None else {**row, **_of(manifest)}), manifest


def _of(manifest: Manifest) -> dict[str, Any]:
    return {
        "kind": manifest.runtime,
        "digest": manifest.digest,
        "packages": [*manifest.made_with, *manifest.packages],
    }


def _details(registry: Registry, model: str, version: str) -> Details:
    try:
        return registry.details(model, version)
    except (ModelRefused, RegistryError):  # `find_manifest` says what is wrong with the manifest
        return Details()


def _short(batching: str) -> str:
    """Return if requests share runs: yes, no, or an empty text. `show` and --json say why not."""
    if not batching:
        return ""
    return "yes" if batching == _BATCHED else "no"


def _held(url: str) -> tuple[_Held | None, str]:
    """Return the versions that a gateway knows, or None and why it does not say."""
    try:
        return {(each["model"], str(each["version"])): each for each in ApiClient(url).models()}, ""
    except ApiError as error:
        return None, str(error)
