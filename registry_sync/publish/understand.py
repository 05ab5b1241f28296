"""Makes the manifest of a version out of its files and of what a person says."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import msgspec

from registry_sync.publish.merge import all_whole, is_name_alone, merge_tensors, tensors_said
from registry_sync.publish.said import Said, over, parse_said
from runtimes.datatypes import Tensor
from runtimes.detect import Found, detect
from runtimes.draft import Draft
from runtimes.errors import ModelRefused
from runtimes.kinds import drafter_of
from runtimes.load_options import LoadOptions
from runtimes.manifest import MANIFEST, Files, Manifest, RuntimeName, TensorSpec
from runtimes.manifest_text import manifest_to_yaml, parse_manifest, plain

GOLDEN = "golden.json"
RUNTIMES: tuple[str, ...] = get_args(RuntimeName)


class Understood(NamedTuple):
    """A version that was understood. `examples` are inputs that came with the artifact, by the callers' names."""

    manifest: Manifest
    files: Files
    remarks: tuple[str, ...]
    examples: Mapping[str, Tensor]


def understand(files: Files, said: Said, options: LoadOptions) -> Understood:
    """Return the manifest of these files. A `model.yaml` among them counts as said, below `said`.

    Raises:
        ModelRefused: the kind of model is not known, or it cannot be understood. The sentence says what to write.
    """
    if MANIFEST in files:
        said = over(said, _said_in_folder(files))
        files = {file: content for file, content in files.items() if file != MANIFEST}
    _check_said(said)
    found = detect(files, said.get("file") or "", said.get("runtime"))
    draft = _draft(found, files, said, options)
    content = {**draft.more, **{key: value for key, value in said.items() if value is not None}}
    golden = content.get("golden") or (GOLDEN if GOLDEN in files else "")
    merged = {
        **content,
        **({"golden": golden} if golden else {}),
        "runtime": draft.runtime,
        "file": draft.file,
        "inputs": merge_tensors(draft.inputs, said.get("inputs"), "input"),
        "outputs": merge_tensors(draft.outputs, said.get("outputs"), "output"),
        **digests(files, draft.file),
    }
    manifest = _manifest(merged)
    remarks = (*draft.remarks, *_left_out(draft, manifest.outputs))
    return Understood(manifest, files, remarks, _examples(draft, manifest))


def _check_said(said: Said) -> None:
    """Check what is needed before the manifest is complete, and so can be checked as a whole."""
    if said.get("runtime") not in (None, *RUNTIMES):
        raise ModelRefused(f"There is no runtime {said['runtime']!r}; there are {', '.join(RUNTIMES)}.")
    if not isinstance(said.get("file"), str | None):
        raise ModelRefused(f"file must be the name of a file, not {said['file']!r}.")
    for kind in ("input", "output"):
        if said.get(f"{kind}s") is not None:
            tensors_said(said[f"{kind}s"], kind)


def with_file(manifest: Manifest, files: Files, name: str, content: bytes) -> tuple[Manifest, Files]:
    """Return a version with one more file, which is its golden requests."""
    more = {**files, name: content}
    return _manifest({**msgspec.structs.asdict(manifest), "golden": name, **digests(more, manifest.file)}), more


def _manifest(content: Mapping[str, Any]) -> Manifest:
    """Return the manifest with this content, as it is read again after it was written."""
    try:
        made = msgspec.convert({key: _plain(value) for key, value in content.items()}, Manifest)
    except msgspec.ValidationError as error:
        raise ModelRefused(f"The model.yaml that results is not allowed: {error}.") from error
    return parse_manifest(manifest_to_yaml(made))


def digests(files: Files, file: str) -> dict[str, Any]:
    """Return the keys of a manifest that pin files."""
    pinned = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    further = [{"file": name, "sha256": sha256} for name, sha256 in pinned.items() if name != file]
    return {"sha256": pinned[file], **({"files": further} if further else {})}


def _plain(value: Any) -> Any:
    return [plain(each) for each in value] if isinstance(value, tuple | list) else plain(value)


def _said_in_folder(files: Files) -> dict[str, Any]:
    """Read the `model.yaml` of a folder, without its digests: they are made anew.

    Raises:
        ModelRefused: it cannot be read, or pins other files than those that lie there.
    """
    try:
        said = parse_said(files[MANIFEST].decode(), MANIFEST)
    except UnicodeDecodeError as error:
        raise ModelRefused(f"{MANIFEST} is not text: {error}.") from error
    sha256 = said.pop("sha256", None)
    said.pop("files", None)
    content = files.get(str(said.get("file")))
    if sha256 is not None and content is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ModelRefused(
            f"{said['file']} is not the file that the model.yaml beside it pins by its sha256: it was changed or "
            "damaged. If it is the right one, remove the key sha256 there."
        )
    return said


def _draft(found: Found, files: Files, said: Said, options: LoadOptions) -> Draft:
    """Return what the artifact says. If that is nothing, what the person says must be everything."""
    try:
        return drafter_of(found.runtime)(files, found.file, options, _for_drafter(found, said))
    except ModelRefused as error:
        if not all_whole(said.get("inputs")) or not all_whole(said.get("outputs")):
            raise
        remark = f"Inputs and outputs are as you say: they could not be read out of {found.file}. {error}"
        return Draft(runtime=found.runtime, file=found.file, inputs=(), outputs=(), remarks=(remark,))


def _for_drafter(found: Found, said: Said) -> dict[str, Any]:
    """Return what a drafter needs of what is said.

    ONNX's uses parts of inputs, and leaves outputs out that are not named. The others' need whole inputs.
    """
    passed = {key: value for key, value in said.items() if value is not None}
    if found.runtime != "onnx" and not all_whole(said.get("inputs")):
        passed.pop("inputs", None)
    outputs = said.get("outputs")
    selects = all_whole(outputs) or (isinstance(outputs, list) and any(map(is_name_alone, outputs)))
    if found.runtime == "onnx" and not selects:
        passed.pop("outputs", None)
    for kind in ("inputs", "outputs"):
        if isinstance(passed.get(kind), list):
            passed[kind] = [{"name": each} if isinstance(each, str) else each for each in passed[kind]]
    return passed


def _left_out(draft: Draft, outputs: tuple[TensorSpec, ...]) -> tuple[str, ...]:
    kept = {spec.own_name for spec in outputs}
    left = [spec.name for spec in draft.outputs if spec.own_name not in kept and spec.name not in kept]
    return (f"Not answered, as you say: {', '.join(left)}.",) if left and outputs else ()


def _examples(draft: Draft, manifest: Manifest) -> dict[str, Tensor]:
    """Return the draft's examples by the names that callers use. An example that a person gives replaces them all."""
    own = {spec.own_name: spec.example for spec in draft.inputs}
    if any(spec.example not in (None, own.get(spec.own_name)) for spec in manifest.inputs):
        return {}
    read = {spec.own_name: spec.name for spec in draft.inputs}
    named = {spec.name: draft.examples.get(read.get(spec.own_name, spec.name)) for spec in manifest.inputs}
    return {name: tensor for name, tensor in named.items() if tensor is not None}
