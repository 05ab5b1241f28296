"""Shows the versions of the registry, beside what a gateway says: `pointsman models list` and `show`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.cli.api_error import ApiError
from gateway.cli.client import ApiClient
from gateway.cli.models_add import plain
from gateway.cli.models_text import instances_text, print_steps, tensor_text
from gateway.cli.models_validate import resolve
from gateway.cli.output import print_json, print_table, say
from gateway.cli.printable import printable
from gateway.cli.settings_flags import read_settings
from gateway.cli.version_state import state_of
from gateway.settings import Settings
from registry_sync.copy import copy_folder
from registry_sync.copy.local_copy import made_here
from registry_sync.errors import NoManifest, RegistryError
from registry_sync.open import open_registry
from registry_sync.registries import Details, Registry
from router.spec.references import parse_ref
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest

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
    manifest = _manifest(registry, ref, settings)
    held, silence = _held(url)
    row = _row(registry, ref.model, str(ref.version), held)
    if as_json:
        print_json({**row, "manifest": plain(manifest)})
        return
    lines = [
        *_what_lines(ref, manifest),
        f"  aliases: {', '.join(row['aliases']) or 'none'}",
        f"  digest: {row['digest'] or (manifest.digest if manifest else 'not known')}",
        *(f"  {name}: {row[key]}" for name, key in _LINEAGE.items() if row[key]),
        *(f"  tag {key}: {value}" for key, value in sorted(row["tags"].items()) if key not in _LINEAGE.values()),
        *([] if manifest is None else _manifest_lines(manifest)),
        f"  state: {state_of(row) or f'not known. {silence}' if silence else state_of(row)}",
        *([f"  {row['reason']}"] if row["reason"] else []),
        *([f"  batching: {row['batching']}"] if row["batching"] else []),
    ]
    for line in lines:
        say(printable(line))
    if row["steps"]:
        print_steps([(each["step"], each["state"], each["seconds"], each["detail"]) for each in row["steps"]])


def _manifest(registry: Registry, ref: ArmRef, settings: Settings) -> Manifest | None:
    """Read a version's manifest. If the registry has none, take the one that a gateway with this home has made."""
    try:
        return registry.manifest(ref.model, str(ref.version))
    except NoManifest:
        return made_here(copy_folder(settings.home, settings.registry), ref.model, str(ref.version))


def _what_lines(ref: ArmRef, manifest: Manifest | None) -> list[str]:
    if manifest is None:
        return [
            f"{ref} has no model.yaml. A gateway makes one out of its files when a route names it; "
            f"`pointsman models validate {ref}` tries that here."
        ]
    return [
        f"{ref} is a model of the kind {manifest.runtime}: {', '.join(manifest.pinned)}.",
        *([f"  {manifest.description}"] if manifest.description else []),
    ]


def _manifest_lines(manifest: Manifest) -> list[str]:
    return [
        *(f"  input   {tensor_text(spec)}" for spec in manifest.inputs),
        *(f"  output  {tensor_text(spec)}" for spec in manifest.outputs),
        f"  {instances_text(manifest)}; a run takes at most {manifest.max_batch}; placement: {manifest.placement}",
        f"  packages: {', '.join((*manifest.made_with, *manifest.packages)) or 'none named'}",
        f"  golden requests: {manifest.golden or 'none'}",
    ]


_LINEAGE = {"run": "run_id", "data set": "data_set", "registered by": "registered_by", "source": "source"}


def _row(registry: Registry, model: str, version: str, held: _Held | None) -> dict[str, Any]:
    """Return what the registry and the gateway know of a version. `state` is empty if no gateway answers."""
    there = (held or {}).get((model, version), {})
    details = _details(registry, model, version)
    row = {
        "model": model,
        "version": version,
        "aliases": [alias for alias, named in registry.aliases(model).items() if named == version],
        "kind": "",
        "digest": "",
        "state": "" if held is None else there.get("state", "not used"),
        "serves": bool(there.get("serves")),
        "reason": there.get("reason", ""),
        "batching": there.get("batching", ""),
        "memory_bytes": there.get("memory_bytes", 0),
        "trying": there.get("trying"),
        "tried_at_s": there.get("tried_at_s"),
        "steps": there.get("steps", []),
        **details._asdict(),
        "tags": dict(details.tags),
        "packages": [],
    }
    try:
        manifest = registry.manifest(model, version)
    except NoManifest:  # a gateway makes one out of the files
        return {**row, "digest": there.get("digest", ""), "packages": there.get("packages", [])}
    except ModelRefused as error:
        return {**row, "reason": str(error)}
    named = [*manifest.made_with, *manifest.packages]
    return {**row, "kind": manifest.runtime, "digest": manifest.digest, "packages": named}


def _details(registry: Registry, model: str, version: str) -> Details:
    try:
        return registry.details(model, version)
    except (ModelRefused, RegistryError):  # `_row` says what is wrong with the manifest
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
