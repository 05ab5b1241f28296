"""What the process that checks a version does with files of a person, a folder, or a version of a registry."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace

from gateway.execution.checking.chain import (
    check_digests,
    load_checked,
    make_golden_step,
    measure_memory,
    packages,
    replay_golden,
    time_version,
    try_rows,
)
from gateway.execution.checking.memory import bytes_without
from gateway.execution.checking.messages import NewVersion, RegistryVersion, Result, RowsTried, ToCheck, VersionFolder
from gateway.execution.checking.steps import Steps
from registry_sync.open import open_registry
from registry_sync.publish.absent_packages import absent_packages
from registry_sync.publish.source import list_files, read_file, read_files
from registry_sync.publish.understand import GOLDEN, Understood, understand, with_file
from runtimes.datatypes import Tensor
from runtimes.errors import ModelRefused
from runtimes.golden import golden_requests
from runtimes.load_options import LoadOptions
from runtimes.manifest import MANIFEST, Files, Manifest
from runtimes.manifest_text import manifest_to_yaml, parse_manifest
from runtimes.python.consent import require_consent_to_packages
from runtimes.runtime import Runtime
from runtimes.signed import check_signature, check_unread

_NO_FILES: Mapping[str, bytes] = MappingProxyType({})


class _Version(NamedTuple):
    """What was read. `examples` are inputs for golden requests, or None if no golden requests are to be made."""

    manifest: Manifest
    files: Files
    examples: Mapping[str, Tensor] | None = None
    made: Mapping[str, bytes] = _NO_FILES
    remarks: tuple[str, ...] = ()


def check(to_check: ToCheck, steps: Steps, remarks: tuple[str, ...] = ()) -> None:
    """Check a version, and report each step and the result. `remarks` were made before.

    Raises:
        StepFailed: a step has failed. It was reported, with the reason.
    """
    what, options = to_check.what, to_check.options
    version = _new(what, options, steps) if isinstance(what, NewVersion) else _existing(what, steps)
    steps.run("digests", lambda: check_digests(version.files, version.manifest))
    if options.signature:
        steps.run(
            "signature of the publisher", lambda: check_signature(version.files, version.manifest, options.signature)
        )
    absent = absent_packages(version.manifest)
    if absent:
        steps.run("consent", lambda: _consent(version.manifest, options))
        remark = _not_tried(absent)
        steps.note("load", "remark", remark)
        steps.report(_result(version, (*remarks, *version.remarks, remark)))
        return
    steps.note("packages", *packages(version.manifest))
    before_bytes = bytes_without(version.manifest, version.files)
    runtime = load_checked(version.files, version.manifest, options, steps)
    if version.examples is not None and not version.manifest.golden:
        version = _with_golden(version, version.examples, runtime, steps)
    golden = version.files.get(version.manifest.golden, b"")
    version = version._replace(files=_NO_FILES)  # what the runtime keeps of them counts as its own
    if to_check.is_tried:
        _ask_logged(runtime, to_check, steps)
        steps.report(_result(version, ()))
        steps.report(RowsTried(""))
        return
    replay_golden(runtime, golden, steps)
    time_version(runtime, version.manifest, steps)
    taken = measure_memory(before_bytes, steps)
    _ask_logged(runtime, to_check, steps)
    steps.report(replace(_result(version, (*remarks, *version.remarks)), **taken._asdict()))
    steps.report(RowsTried(try_rows(runtime, golden, version.manifest, steps)))


def _ask_logged(runtime: Runtime, to_check: ToCheck, steps: Steps) -> None:
    if to_check.logged is not None:
        from gateway.execution.checking.logged import replay_logged  # PyArrow would count in each version's memory

        replay_logged(runtime, to_check.logged, steps)


def _result(version: _Version, remarks: tuple[str, ...]) -> Result:
    return Result(manifest=manifest_to_yaml(version.manifest), made=dict(version.made), remarks=remarks)


def _consent(manifest: Manifest, options: LoadOptions) -> tuple[None, str]:
    require_consent_to_packages(manifest, options)
    return None, "its packages may be installed for its application"


def _not_tried(absent: Sequence[str]) -> str:
    return f"It was not tried: {', '.join(absent)} is installed only for the application of its own that it will have."


def _new(what: NewVersion, options: LoadOptions, steps: Steps) -> _Version:
    """Read the files that a person publishes, and make the manifest out of them."""
    files = steps.run("files", lambda: _counted(_files_of_person(what)))
    if options.signature:
        steps.run("files signed", lambda: check_unread(files, options.signature))
    understood = steps.run("signature read", lambda: _summed(understand(files, what.said, options)))
    manifest, files, remarks, examples = understood
    made: dict[str, bytes] = {}
    if what.golden:
        made[GOLDEN] = steps.run("golden file", lambda: (_golden_file(Path(what.golden)), what.golden))
        manifest, files = with_file(manifest, files, GOLDEN, made[GOLDEN])
    return _Version(manifest, files, examples, made, remarks)


def _with_golden(version: _Version, examples: Mapping[str, Tensor], runtime: Runtime, steps: Steps) -> _Version:
    content, why = make_golden_step(runtime, examples, steps)
    if not content:
        return version._replace(remarks=(*version.remarks, why))
    manifest, files = with_file(version.manifest, version.files, GOLDEN, content)
    return version._replace(manifest=manifest, files=files, made={**version.made, GOLDEN: content})


def _files_of_person(what: NewVersion) -> Files:
    if what.files:
        return {name: read_file(Path(path)) for name, path in what.files.items()}
    return read_files(Path(what.source))


def _golden_file(path: Path) -> bytes:
    content = read_file(path)
    golden_requests(content)
    return content


def _counted(files: Files) -> tuple[Files, str]:
    return files, f"{len(files)} read, {sum(map(len, files.values())):,} bytes"


def _summed(understood: Understood) -> tuple[Understood, str]:
    manifest = understood.manifest
    return understood, f"{manifest.runtime}, {len(manifest.inputs)} in, {len(manifest.outputs)} out"


def _existing(what: VersionFolder | RegistryVersion, steps: Steps) -> _Version:
    """Read a version that has a manifest, with the files that it pins."""
    manifest = steps.run(MANIFEST, lambda: _manifest(what))
    if isinstance(what, RegistryVersion):
        files = steps.run("files", lambda: _counted(files_of(what, manifest)))
    else:
        files = steps.run("files", lambda: _pinned(Path(what.source), manifest))
    return _Version(manifest, files)


def files_of(what: RegistryVersion, manifest: Manifest) -> Files:
    """Read the files of a version. They are not verified yet."""
    return open_registry(what.registry).fetch(what.model, what.version, manifest)


def _manifest(what: VersionFolder | RegistryVersion) -> tuple[Manifest, str]:
    if isinstance(what, RegistryVersion):
        manifest = open_registry(what.registry).manifest(what.model, what.version)
    else:
        manifest = parse_manifest(_manifest_text(Path(what.source)))
    return manifest, manifest.runtime


def _manifest_text(folder: Path) -> str:
    try:
        return read_file(folder / MANIFEST).decode()
    except FileNotFoundError as error:
        raise ModelRefused(
            f"{folder} has no {MANIFEST}. `pointsman models add MODEL:VERSION {folder} --dry-run` shows one."
        ) from error
    except UnicodeDecodeError as error:
        raise ModelRefused(f"{MANIFEST} is not text: {error}.") from error


def _pinned(folder: Path, manifest: Manifest) -> tuple[Files, str]:
    """Read the files that a manifest pins, and say which others lie beside them."""
    files = {}
    for file in manifest.pinned:
        path = folder
        for part in file.split("/"):
            if path.is_symlink() and path != folder:
                raise ModelRefused(f"{path} is a link; put the folder itself there.")
            path /= part
        try:
            files[file] = read_file(path)
        except FileNotFoundError as error:
            raise ModelRefused(f"{file}, which model.yaml pins, is missing.") from error
    others = sorted(list_files(folder).keys() - files.keys() - {MANIFEST})
    return files, f"{len(files)} read" + (f"; not pinned, and so not used: {', '.join(others[:5])}" if others else "")
