"""What the process does that checks a version: with the files of a person, or with a version of a registry."""

from collections.abc import Sequence
from pathlib import Path

from registry_sync.publish.absent_packages import absent_packages
from registry_sync.publish.check import check_digests, load_checked, make_golden_step, measure
from registry_sync.publish.messages import Result, ToCheck
from registry_sync.publish.source import list_files, read_file, read_files
from registry_sync.publish.steps import Steps
from registry_sync.publish.understand import GOLDEN, Understood, understand, with_file
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Files, Manifest
from runtimes.manifest_text import manifest_to_yaml, parse_manifest


def check(task: ToCheck, steps: Steps) -> Result:
    """Do what the task says.

    Raises:
        StepFailed: a step has failed. It was reported, with the reason.
    """
    return _add(task, steps) if task.adds else _validate(task, steps)


def _add(task: ToCheck, steps: Steps) -> Result:
    files = steps.run("files", lambda: _read(Path(task.source)))
    understood = steps.run("signature read", lambda: _summed(understand(files, task.said, task.options)))
    manifest, files, remarks, examples = understood
    made: dict[str, bytes] = {}
    if task.golden:
        made[GOLDEN] = steps.run("golden file", lambda: (read_file(Path(task.golden)), task.golden))
        manifest, files = with_file(manifest, files, GOLDEN, made[GOLDEN])
    absent = absent_packages(manifest)
    if absent:
        remark = _not_tried(absent)
        steps.note("load", "remark", remark)
        return Result(manifest=manifest_to_yaml(manifest), made=made, remarks=(*remarks, remark))
    runtime = load_checked(files, manifest, task.options, steps)
    if not manifest.golden:
        content, why = make_golden_step(runtime, examples, steps)
        if content:
            made[GOLDEN] = content
            manifest, files = with_file(manifest, files, GOLDEN, content)
        else:
            remarks = (*remarks, why)
    measure(runtime, files, manifest, steps)
    return Result(manifest=manifest_to_yaml(manifest), made=made, remarks=remarks)


def _not_tried(absent: Sequence[str]) -> str:
    return f"It was not tried: {', '.join(absent)} is installed only for the application of its own that it will have."


def _read(source: Path) -> tuple[Files, str]:
    files = read_files(source)
    return files, f"{len(files)} read, {sum(map(len, files.values())):,} bytes"


def _summed(understood: Understood) -> tuple[Understood, str]:
    manifest = understood.manifest
    return understood, f"{manifest.runtime}, {len(manifest.inputs)} in, {len(manifest.outputs)} out"


def _validate(task: ToCheck, steps: Steps) -> Result:
    folder = Path(task.source)
    manifest = steps.run("model.yaml", lambda: _manifest(folder))
    files = steps.run("files", lambda: _pinned(folder, manifest))
    absent = absent_packages(manifest)
    if absent:
        steps.run("digests", lambda: check_digests(files, manifest))
        steps.note("load", "remark", _not_tried(absent))
        return Result(manifest=manifest_to_yaml(manifest))
    runtime = load_checked(files, manifest, task.options, steps)
    measure(runtime, files, manifest, steps)
    return Result(manifest=manifest_to_yaml(manifest))


def _manifest(folder: Path) -> tuple[Manifest, str]:
    try:
        text = read_file(folder / MANIFEST).decode()
    except FileNotFoundError as error:
        raise ModelRefused(
            f"{folder} has no {MANIFEST}. `pointsman models add MODEL:VERSION {folder} --dry-run` shows one."
        ) from error
    except UnicodeDecodeError as error:
        raise ModelRefused(f"{MANIFEST} is not text: {error}.") from error
    manifest = parse_manifest(text)
    return manifest, manifest.runtime


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
