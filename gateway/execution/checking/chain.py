"""The steps by which a version is checked before it is served. They run in a process alone."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from gateway.execution.checking.memory import own_bytes, peak_bytes
from gateway.execution.checking.steps import BATCHING, State, Steps, unbatched
from gateway.execution.latency import measured_times
from registry_sync.publish.make_golden import make_golden
from runtimes.adapted import difference
from runtimes.batching import why_unbatched
from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.golden import golden_inputs, replay
from runtimes.kinds import loader_of
from runtimes.load import verify, warmed
from runtimes.load_options import LoadOptions
from runtimes.manifest import Files, Manifest
from runtimes.python.consent import other_patches
from runtimes.runtime import Runtime, example_inputs

_MIB = 1 << 20


def check_digests(files: Files, manifest: Manifest) -> tuple[None, str]:
    """Hold the files against the digests of the manifest. Return what was found."""
    verify(files, manifest)
    size = sum(len(files[file]) for file in manifest.pinned)
    return None, f"{len(manifest.pinned)} {'file' if len(manifest.pinned) == 1 else 'files'}, {size:,} bytes"


def packages(manifest: Manifest) -> tuple[State, str]:
    """Return what the artifact was made with, beside what is installed here. The loader decides if that may be."""
    here = [f"{each}; here {_installed(each.partition('==')[0])}" for each in manifest.made_with]
    if not here and manifest.packages:
        others = other_patches(manifest.packages)
        note = f" (another patch is here: {', '.join(others)})" if others else ""
        return "remark" if others else "ok", f"needs {', '.join(manifest.packages)}{note}"
    if not here:
        return "ok", "the artifact does not say with which versions it was made"
    same = all(each.partition("==")[2] == _installed(each.partition("==")[0]) for each in manifest.made_with)
    allowed = " (accepts_other_versions)" if manifest.accepts_other_versions and not same else ""
    return "ok" if same else "remark", f"made with {', '.join(here)}{allowed}"


def load_checked(files: Files, manifest: Manifest, options: LoadOptions, steps: Steps) -> Runtime:
    """Return a version that was loaded and has run, as its manifest says.

    Raises:
        StepFailed: a step has failed. It was reported, with the reason.
    """
    built = steps.run("load", lambda: _load(files, manifest, options))
    steps.run("signature", lambda: _signature(built, manifest))
    return steps.run("warm-up", lambda: _warm_up(built, manifest, options))


def make_golden_step(runtime: Runtime, examples: Mapping[str, Tensor], steps: Steps) -> tuple[bytes, str]:
    """Make golden requests, or return the remark that says why there are none."""

    def work() -> tuple[tuple[bytes, str], str]:
        content, count, why = make_golden(runtime, examples)
        return (content, why), why or f"{count} made, from its own answers"

    return steps.run("golden requests made", work)


def replay_golden(runtime: Runtime, golden: bytes, steps: Steps) -> None:
    """Run the golden requests, if there are any. Raises like `load_checked`."""
    if golden:
        steps.run("golden requests", lambda: (None, f"{replay(runtime, golden)} answered as they must be"))
    else:
        steps.note("golden requests", "remark", "there are none")


def time_version(runtime: Runtime, manifest: Manifest, steps: Steps) -> None:
    """Run one instance and several, as a replica does before it serves a version. Raises like `load_checked`."""

    def work() -> tuple[None, str]:
        try:
            one_s, rows, rows_s = measured_times(runtime, manifest.max_batch)
        except ModelFailed as error:
            raise ModelRefused(f"It ran once, and then failed: {error}") from error
        several = f", {1000 * rows_s:.3g} ms for {rows}" if rows > 1 else ""
        return None, f"{1000 * one_s:.3g} ms for one instance{several}"

    steps.run("time", work)


class Taken(NamedTuple):
    """The memory that a version takes inside a process that is there, and in a process of its own."""

    memory_bytes: int
    process_bytes: int


def measure_memory(bytes_without: int, steps: Steps) -> Taken:
    """Measure the memory of the version, of which this process keeps nothing but the runtime."""

    def work() -> tuple[Taken, str]:
        whole = own_bytes()
        taken = Taken(max(whole - bytes_without, 0), whole)
        return taken, (
            f"{taken.memory_bytes // _MIB} MiB, with its process {whole // _MIB} MiB; "
            f"at most {peak_bytes() // _MIB} MiB while it was tried, in a process alone"
        )

    return steps.run("memory", work)


def try_rows(runtime: Runtime, golden: bytes, manifest: Manifest, steps: Steps) -> str:
    """Return why requests must not be merged. It is tried with the golden requests, and without."""

    def work() -> tuple[str, str]:
        given = golden_inputs(golden) if golden else ()
        why = given and why_unbatched(runtime, manifest.max_batch, given)
        why = why or why_unbatched(runtime, manifest.max_batch)
        return why, unbatched(why) if why else f"batched: requests share a run, up to {manifest.max_batch} instances"

    return steps.run(BATCHING, work)


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


def _warm_up(built: Runtime, manifest: Manifest, options: LoadOptions) -> tuple[Runtime, str]:
    runtime = warmed(built, manifest, options)
    given = example_inputs(runtime.signature, 1)
    return runtime, "ran on " + ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in given.items())
