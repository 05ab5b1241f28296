"""The whole chain of checks of one version, as a gateway makes them before it serves it. It runs in a process alone."""

import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from registry_sync.publish.make_golden import make_golden
from registry_sync.publish.steps import State, Steps
from runtimes.adapted import adapt, difference
from runtimes.batching import why_unbatched
from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.golden import golden_inputs, replay
from runtimes.kinds import loader_of
from runtimes.load import verify
from runtimes.load_options import LoadOptions
from runtimes.manifest import Files, Manifest
from runtimes.runtime import Interruptible, Runtime, example_inputs, warm_up

_RUNS = 3
_MIB = 1 << 20
_STATUS = Path("/proc/self/status")


def load_checked(files: Files, manifest: Manifest, options: LoadOptions, steps: Steps) -> Runtime:
    """Return a version that was loaded and has run, as its manifest says.

    Raises:
        StepFailed: a step has failed. It was reported, with the reason.
    """
    steps.run("digests", lambda: check_digests(files, manifest))
    steps.note("packages", *_packages(manifest))
    built = steps.run("load", lambda: _load(files, manifest, options))
    steps.run("signature", lambda: _signature(built, manifest))
    limited = built.limited(options.within_s) if isinstance(built, Interruptible) else built
    steps.run("warm-up", lambda: _warm_up(adapt(limited, manifest.signature), manifest))
    return adapt(built, manifest.signature)


def measure(runtime: Runtime, files: Files, manifest: Manifest, steps: Steps) -> None:
    """Run the golden requests, find out if requests may be merged, and measure time and memory. Raises likewise."""
    if manifest.golden:
        steps.run("golden requests", lambda: _golden(runtime, files[manifest.golden]))
    else:
        steps.note("golden requests", "remark", "there are none")
    steps.run("batching", lambda: (None, _batching(runtime, files, manifest)))
    steps.run("time", lambda: (None, _time(runtime)))
    steps.note("memory", "ok", f"at most {_memory('VmHWM') // _MIB} MiB, in a process alone")


def make_golden_step(runtime: Runtime, examples: Mapping[str, Tensor], steps: Steps) -> tuple[bytes, str]:
    """Make golden requests, or return the remark that says why there are none."""

    def work() -> tuple[tuple[bytes, str], str]:
        content, count, why = make_golden(runtime, examples)
        return (content, why), why or f"{count} made, from its own answers"

    return steps.run("golden requests made", work)


def check_digests(files: Files, manifest: Manifest) -> tuple[None, str]:
    """Hold the files against the digests of the manifest. Return what was found."""
    verify(files, manifest)
    size = sum(len(files[file]) for file in manifest.pinned)
    return None, f"{len(manifest.pinned)} {'file' if len(manifest.pinned) == 1 else 'files'}, {size:,} bytes"


def _packages(manifest: Manifest) -> tuple[State, str]:
    """Return what the artifact was made with, beside what is installed here. The loader decides if that may be."""
    here = [f"{each}; here {_installed(each.partition('==')[0])}" for each in manifest.made_with]
    if not here and manifest.packages:
        return "ok", f"needs {', '.join(manifest.packages)}"
    if not here:
        return "ok", "the artifact does not say with which versions it was made"
    same = all(each.partition("==")[2] == _installed(each.partition("==")[0]) for each in manifest.made_with)
    allowed = " (accepts_other_versions)" if manifest.accepts_other_versions and not same else ""
    return "ok" if same else "remark", f"made with {', '.join(here)}{allowed}"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _load(files: Files, manifest: Manifest, options: LoadOptions) -> tuple[Runtime, str]:
    built = loader_of(manifest.runtime)(files, manifest, options)
    return built, f"{manifest.runtime}, {manifest.file}"


def _signature(built: Runtime, manifest: Manifest) -> tuple[None, str]:
    clause = difference(built.signature, manifest.signature)
    if clause:
        raise ModelRefused(f"The model does not have the signature of model.yaml: {clause}.")
    inputs, outputs = (", ".join(spec.name for spec in specs) for specs in (manifest.inputs, manifest.outputs))
    return None, f"{inputs} → {outputs}"


def _warm_up(runtime: Runtime, manifest: Manifest) -> tuple[None, str]:
    warm_up(runtime, manifest.max_batch)
    given = example_inputs(runtime.signature, 1)
    return None, "ran on " + ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in given.items())


def _golden(runtime: Runtime, content: bytes) -> tuple[None, str]:
    return None, f"{replay(runtime, content)} answered as they must be"


def _batching(runtime: Runtime, files: Files, manifest: Manifest) -> str:
    """Say if requests are merged. It is tried with the golden requests, as `runtimes.load` does, and without."""
    given = golden_inputs(files[manifest.golden]) if manifest.golden else ()
    why = given and why_unbatched(runtime, manifest.max_batch, given)
    why = why or why_unbatched(runtime, manifest.max_batch)
    return f"not batched: {why}" if why else f"batched: requests share a run, up to {manifest.max_batch} instances"


def _time(runtime: Runtime) -> str:
    names = [spec.name for spec in runtime.signature.outputs]
    inputs = example_inputs(runtime.signature, 1)
    times = []
    for _ in range(_RUNS):
        began_s = time.perf_counter()
        try:
            runtime.run(inputs, names)
        except ModelFailed as error:
            raise ModelRefused(f"It ran once, and then failed: {error}") from error
        times.append(time.perf_counter() - began_s)
    return f"{1000 * min(times):.3g} ms for one instance"


def _memory(key: str) -> int:
    """Return a figure of this process in bytes (proc(5), status)."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0
