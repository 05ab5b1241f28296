"""The registry of an MLflow server, or of Unity Catalog.

Versions never change in MLflow, but a model may be deleted and made anew. So a version is asked for each time, which is
one small request, and what was found out about its files is remembered for as long as it is the same registration.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from registry_sync.errors import NoManifest, NotAllowed, UnknownModel
from registry_sync.listed import listed
from registry_sync.registries import Details
from registry_sync.registries.details import DATA_SET, RUN_ID
from registry_sync.registries.mlflow.answers import ModelVersion, OneRun, OneVersion
from registry_sync.registries.mlflow.artifacts import MAX_FILE_BYTES, Artifacts, counted
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.errors import Missing, NotAccepted
from registry_sync.registries.mlflow.locate import Locator
from registry_sync.registries.mlflow.search import Search
from registry_sync.registries.texts import is_partial, read_manifest
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Files, Manifest, is_below

_MAX_TEXT_BYTES = 1024 * 1024
_MOST_REMEMBERED = 256
_DATA_SETS = (DATA_SET, "dataset")
_READY = "READY"
_ENDED = ("FINISHED", "FAILED", "KILLED")


Key = TypeVar("Key")
Value = TypeVar("Value")


class _Known(NamedTuple):
    """What was found out about one registration of a version. `text` is its manifest, if it has one."""

    stamp: tuple[str, ...]
    artifacts: Artifacts
    text: str | None = None
    sizes: Mapping[str, int] | None = None


class MlflowRegistry:
    """See `registry_sync.registries.RemoteRegistry`."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._locator = Locator(client)
        self._search = Search(client)
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._data_sets: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def models(self) -> Sequence[str]:
        """See `Registry.models`."""
        return self._search.models()

    def versions(self, model: str) -> Sequence[str]:
        """See `Registry.versions`."""
        found = {str(each.version) for each in self._search.versions(model) if each.status == _READY}
        if not found:
            self.aliases(model)  # says if there is no such model
        return sorted(found, key=lambda version: (len(version), version))

    def aliases(self, model: str) -> Mapping[str, str]:
        """See `Registry.aliases`."""
        return self._search.aliases(model)

    def all_aliases(self, models: Collection[str]) -> Mapping[str, Mapping[str, str] | str]:
        """See `RemoteRegistry.all_aliases`, and `Search.all_aliases`."""
        return self._search.all_aliases(models)

    def manifest(self, model: str, version: str) -> Manifest:
        """See `Registry.manifest`."""
        known = self._find(model, version)
        if known.text is None:
            if not known.artifacts.has(MANIFEST):
                raise NoManifest(f"{model}:{version} has no {MANIFEST} in MLflow.")
            known = known._replace(text=_text(known.artifacts, f"{model}:{version}/{MANIFEST}"))
            self._remember(model, version, known)
        text = known.text or ""
        if is_partial(text):
            raise NoManifest(f"{model}:{version} has a {MANIFEST} in MLflow that pins no files.")
        return read_manifest(text)

    def fetch(self, model: str, version: str, manifest: Manifest) -> Files:
        """See `Registry.fetch`."""
        return {file: b"".join(self.read(model, version, file)) for file in manifest.pinned}

    def files(self, model: str, version: str) -> Mapping[str, int]:
        """See `RemoteRegistry.files`. It is listed anew each time: MLflow may know a version before its last file."""
        known = self._find(model, version)
        sizes = known.artifacts.sizes()
        if not sizes:
            raise UnknownModel(f"MLflow has no files of {model}:{version}.")
        too_large = next((file for file, size in sizes.items() if size > MAX_FILE_BYTES), None)
        if too_large is not None:
            raise ModelRefused(f"{model}:{version}/{too_large} is larger than {MAX_FILE_BYTES} bytes.")
        self._remember(model, version, known._replace(sizes=sizes))
        return sizes

    def read(self, model: str, version: str, file: str) -> Iterator[bytes]:
        """See `RemoteRegistry.read`."""
        with self._lock:
            known = self._known.get((model, version))
        known = known or self._find(model, version)
        if not is_below(file):
            raise UnknownModel(f"The artifact {file!r} is not below {model}:{version}.")
        pieces, size = known.artifacts.read(file), (known.sizes or {}).get(file, 0)
        return counted(pieces, size, f"{model}:{version}/{file}") if size else pieces

    def details(self, model: str, version: str) -> Details:
        """See `Registry.details`."""
        found = self._version(model, version)
        tags = {each.key: each.value for each in found.tags}
        data_set = next((tags[key] for key in _DATA_SETS if tags.get(key)), "")
        return Details(
            tags=tags,
            run_id=found.run_id or tags.get(RUN_ID, ""),
            data_set=data_set or (self._data_set(found.run_id) if found.run_id else ""),
            source=found.source or "",
            registered_by=found.user_id or "",
        )

    def _version(self, model: str, version: str) -> ModelVersion:
        question = {"name": model, "version": version}
        try:
            if not (version.isascii() and version.isdigit()):
                raise Missing
            found = self._client.get(
                f"{self._client.server.below}/model-versions/get", OneVersion, question
            ).model_version
        except (Missing, NotAccepted) as error:
            known = listed(self.versions(model))
            raise UnknownModel(f"Model {model} has no version {version!r}; it has {known}.") from error
        if found.status != _READY:
            raise UnknownModel(f"{model}:{version} is not ready in MLflow: it is {found.status}.")
        return found

    def _find(self, model: str, version: str) -> _Known:
        """Return what is known of a version and of its files. MLflow is asked if it is still the same one."""
        found = self._version(model, version)
        stamp = (str(found.creation_timestamp), found.source or "", found.run_id or "")
        with self._lock:
            known = self._known.get((model, version))
        if known is not None and known.stamp == stamp:
            return known
        known = _Known(stamp, self._locator.artifacts(model, version))
        self._remember(model, version, known)
        return known

    def _remember(self, model: str, version: str, known: _Known) -> None:
        with self._lock:
            _put(self._known, (model, version), known)

    def _data_set(self, run_id: str) -> str:
        """Return the name and digest of the first data set that a run has read."""
        with self._lock:
            if run_id in self._data_sets:
                return self._data_sets[run_id]
        try:
            run = self._client.get("mlflow/runs/get", OneRun, {"run_id": run_id}).run
        except (Missing, NotAccepted, NotAllowed):  # an account for models need not read experiments
            return ""
        first = next((each.dataset for each in run.inputs.dataset_inputs), None)
        name = "" if first is None else f"{first.name}@{first.digest}" if first.digest else first.name
        if run.info.status in _ENDED:
            with self._lock:
                _put(self._data_sets, run_id, name)
        return name


def _text(artifacts: Artifacts, name: str) -> str:
    content = bytearray()
    for piece in artifacts.read(MANIFEST):
        content += piece
        if len(content) > _MAX_TEXT_BYTES:
            raise ModelRefused(f"{name} is larger than {_MAX_TEXT_BYTES} bytes.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ModelRefused(f"{name} is not text: {error}.") from error


def _put(known: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _MOST_REMEMBERED:
        known.popitem(last=False)
