"""Publishes a version: `pointsman models add`."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from gateway.access.private_home import make_home
from gateway.cli.models_text import Published, alias_line, next_steps, understood_lines
from gateway.cli.output import Progress, print_json, say
from gateway.cli.settings_flags import read_settings
from gateway.execution.checking.messages import NewVersion, Result, ToCheck
from gateway.execution.checking.process import Checked, check_in_process
from gateway.execution.load_options import load_options
from gateway.settings import Settings
from registry_sync.errors import NoManifest
from registry_sync.open import open_publisher, open_registry
from registry_sync.publish.said import over, parse_said, parse_settings
from registry_sync.publish.source import list_files, read_file
from registry_sync.registries import Contents
from router.spec.references import parse_name, parse_ref
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest
from runtimes.manifest_text import parse_manifest


class Request(NamedTuple):
    """The options of the command."""

    reference: str
    source: Path
    aliases: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    partial: Path | None = None
    golden: Path | None = None
    description: str | None = None
    trusted: tuple[str, ...] = ()
    accepts_other_versions: bool = False
    tags: tuple[str, ...] = ()
    is_dry: bool = False


def add_version(request: Request, *, home: Path | None, as_json: bool) -> None:
    """Check a model, publish it, and say what was understood.

    Raises:
        RuntimesError, RegistryError, RouterError: nothing was published. The sentence says why.
    """
    ref = version_of(request.reference)
    for alias in request.aliases:
        parse_name(alias, "An alias")
    for tag in request.tags:
        if not tag.partition("=")[0] or "=" not in tag:
            raise ModelRefused(f"{tag!r} is no tag: write KEY=VALUE, such as run_id=3f2a.")
    settings = read_settings(home=home)
    publisher = open_publisher(settings.registry)
    progress = Progress()
    on_step: Callable[[str], None] = (lambda _: None) if as_json else progress.step
    checked = _check(request, settings, on_step)
    if checked.result is None:
        raise ModelRefused(f"{request.source} was not published as {ref}. {checked.failure}")
    manifest = parse_manifest(checked.result.manifest)
    moved: dict[str, str | None] = {}
    is_new = False
    if not request.is_dry:
        on_step("write")
        if Path(settings.registry).is_relative_to(settings.home):
            make_home(settings.home)
        is_new = publisher.publish(ref.model, str(ref.version), manifest, _contents(request.source, checked.result))
        moved = {alias: publisher.set_alias(ref.model, alias, str(ref.version)) for alias in request.aliases}
    progress.done()
    published = Published(
        ref=ref,
        manifest=manifest,
        steps=checked.steps,
        remarks=checked.result.remarks,
        aliases=moved,
        registry=settings.registry,
        is_dry=request.is_dry,
        is_new=is_new,
    )
    _print(published, checked.result, as_json=as_json)


def move_alias(reference: str, alias: str, *, home: Path | None, as_json: bool) -> None:
    """Let an alias name a version, and say what it named before.

    Raises:
        UnknownModel: there is no such version.
        RegistryError, RouterError: the alias stays as it is. The sentence says why.
    """
    ref = version_of(reference)
    parse_name(alias, "An alias")
    registry = read_settings(home=home).registry
    with suppress(NoManifest):  # as of a version that MLflow's own client has logged
        open_registry(registry).manifest(ref.model, str(ref.version))
    before = open_publisher(registry).set_alias(ref.model, alias, str(ref.version))
    if as_json:
        print_json({"model": ref.model, "alias": alias, "version": ref.version, "before": before})
    else:
        say(alias_line(alias, str(ref.version), before))


def version_of(reference: str) -> ArmRef:
    """Read `fraud:18`.

    Raises:
        Rejected: it has another form.
        ValueError: it names an alias.
    """
    ref = parse_ref(reference, "A version")
    if ref.version is None:
        raise ValueError(f"{reference} names an alias. Name a version, such as {ref.model}:18.")
    return ref


def _check(request: Request, settings: Settings, on_step: Callable[[str], None]) -> Checked:
    said = _said(request)
    options = load_options(settings)
    options = replace(options, trusted_types=(*options.trusted_types, *request.trusted))  # --trust is the consent
    what = NewVersion(
        source=str(request.source.absolute()),
        said=said,
        golden="" if request.golden is None else str(request.golden.absolute()),
    )
    list_files(request.source)  # says at once what is wrong with a path
    return check_in_process(ToCheck(what, options), on_step)


def _said(request: Request) -> dict[str, Any]:
    """Return what the person says: single keys first, then the partial file."""
    said: dict[str, Any] = {}
    if request.partial is not None:
        try:
            said = parse_said(read_file(request.partial).decode(), str(request.partial))
        except UnicodeDecodeError as error:
            raise ModelRefused(f"{request.partial} is not text: {error}.") from error
    said = over(parse_settings(request.given), said)
    if request.description is not None:
        said["description"] = request.description
    if request.trusted:
        said["trusted_types"] = [*said.get("trusted_types", ()), *request.trusted]
    if request.accepts_other_versions:
        said["accepts_other_versions"] = True
    if request.tags:
        said["tags"] = [*said.get("tags", ()), *request.tags]
    return said


def _contents(source: Path, result: Result) -> Contents:
    return {**list_files(source), **result.made}


def _print(published: Published, result: Result, *, as_json: bool) -> None:
    if as_json:
        print_json(to_json(published))
    elif published.is_dry:
        for line in understood_lines(published):
            say(line, err=True)
        say(result.manifest.rstrip("\n"))
    else:
        for line in (*understood_lines(published), "", *next_steps(published)):
            say(line)


def to_json(published: Published) -> dict[str, Any]:
    """Return what programs read of a version that was added."""
    return {
        "model": published.ref.model,
        "version": published.ref.version,
        "published": not published.is_dry,
        "new": published.is_new,
        "aliases": dict.fromkeys(published.aliases, published.ref.version),
        "digest": published.manifest.digest,
        "manifest": plain(published.manifest),
        "remarks": list(published.remarks),
        "steps": [plain(each) for each in published.steps],
    }


def plain(value: Manifest | Any) -> Any:
    """Return what JSON can hold of a struct."""
    import msgspec

    return msgspec.to_builtins(value)
