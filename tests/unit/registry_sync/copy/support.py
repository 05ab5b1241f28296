"""A remote registry in memory that can fail, and what tests of the copy ask for."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from registry_sync.background import at_once
from registry_sync.copy.local_copy import LocalCopy
from registry_sync.copy.sync import Sync
from registry_sync.errors import NoManifest, RegistryUnavailable, UnknownModel
from registry_sync.registries import Details
from router.spec.references import parse_ref
from runtimes.manifest import Manifest, PinnedFile, TensorSpec

SPEC = (TensorSpec("x", "FP32", (-1, 2)),)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def manifest_of(files: Mapping[str, bytes], **change) -> Manifest:
    """Return a manifest that pins these files, the first one as the model's."""
    first, *more = files
    pinned = tuple(PinnedFile(file, sha(files[file])) for file in more)
    said = {"runtime": "onnx", "file": first, "sha256": sha(files[first]), "files": pinned}
    return Manifest(**{**said, "inputs": SPEC, "outputs": SPEC, **change})


def nothing(request: str) -> None:
    """Let a request through."""


class Remote:
    """See `RemoteRegistry`. `before` is called with the name of each request, and may raise. `reads` counts files."""

    def __init__(self) -> None:
        self.content: dict[tuple[str, str], dict[str, bytes]] = {}
        self.manifests: dict[tuple[str, str], Manifest | None] = {}
        self.named: dict[str, Any] = {}
        self.tags: dict[tuple[str, str], dict[str, str]] = {}
        self.asked: list[str] = []
        self.before: Callable[[str], None] = nothing
        self.read_pieces: Callable[[bytes], Iterator[bytes]] = lambda content: iter([content[:3], content[3:]])

    def add(self, model: str, version: str, *files: bytes, has_manifest: bool = True) -> dict[str, bytes]:
        content = {f"f{number}": each for number, each in enumerate(files)}
        self.content[model, version] = content
        self.manifests[model, version] = manifest_of(content) if has_manifest else None
        self.named.setdefault(model, {})
        return content

    def _ask(self, request: str) -> None:
        self.asked.append(request)
        self.before(request)

    @property
    def reads(self) -> list[str]:
        return [each.removeprefix("read ") for each in self.asked if each.startswith("read ")]

    def models(self) -> list[str]:
        return sorted(self.named)

    def versions(self, model: str) -> list[str]:
        return sorted(version for of, version in self.content if of == model)

    def aliases(self, model: str) -> Mapping[str, str]:
        return self.named[model]

    def all_aliases(self, models: Collection[str]) -> Mapping[str, Mapping[str, str] | str]:
        self._ask("aliases")
        named = {model: self.named[model] for model in models if model in self.named}
        return {model: each if isinstance(each, str) else each.copy() for model, each in named.items()}

    def manifest(self, model: str, version: str) -> Manifest:
        self._ask(f"manifest {model}:{version}")
        if (model, version) not in self.manifests:
            raise UnknownModel(f"There is no {model}:{version}.")
        found = self.manifests[model, version]
        if found is None:
            raise NoManifest(f"{model}:{version} has no model.yaml.")
        return found

    def details(self, model: str, version: str) -> Details:
        self._ask(f"details {model}:{version}")
        if (model, version) not in self.content:
            raise UnknownModel(f"There is no {model}:{version}.")
        return Details(tags=self.tags.get((model, version), {}), run_id="r", source=f"s3://{model}/{version}")

    def files(self, model: str, version: str) -> Mapping[str, int]:
        self._ask(f"files {model}:{version}")
        return {file: len(content) for file, content in self.content[model, version].items()}

    def read(self, model: str, version: str, file: str) -> Iterator[bytes]:
        self._ask(f"read {model}/{version}/{file}")
        yield from self.read_pieces(self.content[model, version][file])

    def fetch(self, model: str, version: str, manifest: Manifest) -> dict[str, bytes]:
        return {file: self.content[model, version][file] for file in manifest.pinned}


def adopt(model, version, files):
    """Make a manifest of all files and of golden requests."""
    content = {file: path.read_bytes() for file, path in files.items()}
    golden = {"golden.json": b"[]"}
    return manifest_of(content | golden, golden="golden.json", tags=("made=here",)), golden


def away(request: str) -> None:
    raise RegistryUnavailable("The cable is out.")


class Site:
    """A remote registry, the copy of a machine, and what its documents name."""

    def __init__(self, root, *refs: str) -> None:
        self.root = root
        self.remote = Remote()
        self.refs = [parse_ref(ref) for ref in refs]
        self.now_s = 1000.0
        self.made: list[Sync] = []

    def sync(self, **options) -> Sync:
        options = {"start": at_once, "adopt": adopt, **options}
        return Sync(self.root, self.remote, **options)

    def tick(self, sync: Sync, after_s: float = 3.0) -> None:
        self.now_s += after_s
        sync.tick(self.refs, self.now_s)

    @property
    def copy(self) -> LocalCopy:
        return LocalCopy(self.root)

    def read(self, model: str, version: str) -> dict[str, bytes]:
        """Return the files of a version, from the disk alone."""
        manifest = self.copy.manifest(model, version)
        return dict(self.copy.fetch(model, version, manifest))

    def hidden(self) -> list[str]:
        return [path.name for path in self.root.rglob(".*")]
