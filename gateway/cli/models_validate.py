"""Validates a version offline: `pointsman models validate`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import typer

from gateway.cli.manifests import has_manifest
from gateway.cli.models_add import plain
from gateway.cli.models_text import print_steps
from gateway.cli.output import Progress, print_json, say
from gateway.cli.printable import printable
from gateway.cli.settings_flags import read_settings
from gateway.execution.checking.adopt import advised, as_new
from gateway.execution.checking.files import fetched_files, readable_registry
from gateway.execution.checking.messages import Logged, NewVersion, RegistryVersion, ToCheck, VersionFolder
from gateway.execution.checking.process import Checked, check_in_process
from gateway.execution.load_options import load_options
from gateway.settings import Settings
from registry_sync.errors import UnknownModel
from registry_sync.listed import listed
from registry_sync.open import open_registry
from router.quantities import parse_duration_s, parse_percent
from router.spec.references import parse_name, parse_ref
from router.spec.spec import ArmRef

_UNKNOWN = 4
_FAILED = 1


class NoSuchVersion(ValueError):
    """There is nothing of this name. The command ends with a code of its own."""

    exit_code = _UNKNOWN


class LoggedOptions(NamedTuple):
    """What the command line says of logged requests. Without a route, none are asked again."""

    route: str | None
    since: str
    requests: int
    tolerance: float
    above: str | None


def validate_version(what: str, options: LoggedOptions, *, home: Path | None, as_json: bool) -> None:
    """Check a version, print the steps, and end with exit code 0 or 1.

    Raises:
        NoSuchVersion: there is no such version or folder.
        Rejected: an option is not what it must be.
    """
    settings = read_settings(home=home)
    logged = _logged(options, settings)
    progress = Progress()
    with _named(what, settings) as (named, to_check):
        checked = check_in_process(
            ToCheck(to_check, load_options(settings), logged), (lambda _: None) if as_json else progress.step
        )
    if checked.result is not None:
        progress.done()
    failed = next((step for step in checked.steps if step.state == "failed"), None)
    is_new = isinstance(to_check, NewVersion)
    reason = "" if failed is None else advised(failed) if is_new else failed.detail
    _print(named, checked, reason, as_json=as_json)
    if failed:
        raise typer.Exit(_FAILED)


def _logged(options: LoggedOptions, settings: Settings) -> Logged | None:
    if options.route is None:
        return None
    now_s = time.time()
    return Logged(
        log=settings.log,
        route=parse_name(options.route, "--logged"),
        since_s=now_s - parse_duration_s(options.since, "--since"),
        until_s=now_s,
        requests=options.requests,
        tolerance=options.tolerance,
        above=None if options.above is None else float(parse_percent(options.above, "--above")),
    )


@contextmanager
def _named(what: str, settings: Settings) -> Iterator[tuple[str, NewVersion | VersionFolder | RegistryVersion]]:
    """Give the name of what is to be checked, and where it is."""
    path = Path(what)
    if path.is_dir():
        yield what, VersionFolder(str(path.absolute()))
        return
    if "/" in what or (":" not in what and "@" not in what):
        raise NoSuchVersion(f"There is no folder {what}. Name one, or a version such as fraud:18.")
    ref = resolve(parse_ref(what, "A version"), settings)
    model, version = ref.model, str(ref.version)
    if has_manifest(open_registry(settings.registry), model, version):
        with readable_registry(settings.registry, model, version) as registry:
            yield str(ref), RegistryVersion(registry, model, version)
    else:
        with fetched_files(settings.registry, model, version) as files:
            yield str(ref), as_new(str(ref), files)


def resolve(ref: ArmRef, settings: Settings) -> ArmRef:
    """Return the version that a reference names.

    Raises:
        NoSuchVersion: there is none.
        RegistryUnavailable: the registry cannot be read.
    """
    registry = open_registry(settings.registry)
    try:
        versions = registry.versions(ref.model)
        version = ref.version or registry.aliases(ref.model).get(str(ref.alias))
    except UnknownModel as error:
        raise NoSuchVersion(str(error)) from error
    if version is None:
        raise NoSuchVersion(f"Model {ref.model} has no alias {ref.alias!r}.")
    if version not in versions:
        raise NoSuchVersion(f"Model {ref.model} has no version {version!r}; it has {listed(versions)}.")
    return ArmRef(ref.model, version=version)


def _print(named: str, checked: Checked, reason: str, *, as_json: bool) -> None:
    is_valid = not reason
    if as_json:
        logged = None if checked.replayed is None else plain(checked.replayed)
        found = {"version": named, "valid": is_valid, "reason": reason, "steps": plain(checked.steps), "logged": logged}
        print_json(found)
        return
    print_steps([(each.step, each.state, each.took_s, each.detail) for each in checked.steps])
    say(printable(f"{named} can be served." if is_valid else f"{named} cannot be served: {reason}"))
