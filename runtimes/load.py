"""The way from the files of a version to a warm runtime: verify, build, check, warm up, replay golden requests."""

import hashlib

from runtimes.adapted import adapt
from runtimes.batching import why_unbatched
from runtimes.errors import ModelRefused
from runtimes.golden import golden_inputs, replay
from runtimes.kinds import loader_of
from runtimes.load_options import LoadOptions
from runtimes.manifest import Files, Manifest
from runtimes.runtime import Interruptible, Runtime, warm_up


def load(files: Files, manifest: Manifest, options: LoadOptions, *, is_tried: bool = False) -> Runtime:
    """Return a runtime that has passed its warm-up: its outputs match the manifest.

    With `is_tried` it has passed a trial: its signature was checked, and its golden requests are not given again.

    Raises:
        ModelRefused: a file does not match its sha256 in the manifest, or a later step rejects the version.
    """
    verify(files, manifest)
    if options.signature and not is_tried:  # what runs in a process of its own is not always tried before
        from runtimes.signed import check_signature

        check_signature(files, manifest, options.signature)
    runtime = warmed(loader_of(manifest.runtime)(files, manifest, options), manifest, options)
    if manifest.golden and not is_tried:
        golden = files[manifest.golden]
        replay(runtime, golden)
        runtime.unbatched_because = why_unbatched(runtime, manifest.max_batch, golden_inputs(golden))
    return runtime


def warmed(built: Runtime, manifest: Manifest, options: LoadOptions) -> Runtime:
    """Warm a runtime up, and return it behind the signature of the manifest.

    Raises:
        ModelRefused: it does not run, or its outputs do not match.
    """
    limited = built.limited(options.within_s) if isinstance(built, Interruptible) else built
    warm_up(adapt(limited, manifest.signature), manifest.max_batch)
    return adapt(built, manifest.signature)


def verify(files: Files, manifest: Manifest) -> None:
    """Compare the digest of every file with the manifest's.

    Raises:
        ModelRefused: a file is missing, or is another one.
    """
    for file, sha256 in manifest.pinned.items():
        if file not in files:
            raise ModelRefused(f"{file}, which model.yaml pins, is missing.")
        digest = hashlib.sha256(files[file]).hexdigest()
        if digest != sha256:
            raise ModelRefused(
                f"{file} has sha256 {digest[:12]}…, model.yaml pins {sha256[:12]}…: "
                "the file was changed or damaged. Publish it again as a new version."
            )
