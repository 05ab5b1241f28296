"""Writes versions into MLflow: a logged model with the files and `model.yaml`, and then a version that names it.

The files are written first, and the version is registered last, so it appears whole or not at all. MLflow numbers the
versions of a model itself. So the version that is to be published must have the next number; another one is refused.
If two publishers want the same number, MLflow gives it to one of them. The other version is deleted again at once.
"""

from collections.abc import Mapping
from hashlib import sha256

from registry_sync.errors import AlreadyPublished, NoManifest, RegistryUnavailable, UnknownModel
from registry_sync.registries import Contents
from registry_sync.registries.mlflow.answers import (
    Experiment,
    LoggedModel,
    OneExperiment,
    OneLoggedModel,
    OneModel,
    OneVersion,
    Refusal,
)
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.errors import Missing, NotAccepted
from registry_sync.registries.mlflow.locate import Locator
from registry_sync.registries.mlflow.registry import MlflowRegistry
from registry_sync.registries.mlflow.uploads import open_upload, write_file
from registry_sync.registries.named import require_names
from registry_sync.registries.same_version import is_same
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Manifest
from runtimes.manifest_text import manifest_to_yaml

_EXPERIMENT, _EXPERIMENT_VARIABLE = "pointsman", "MLFLOW_EXPERIMENT_NAME"
_IS_THERE = "RESOURCE_ALREADY_EXISTS"
_READY = "LOGGED_MODEL_READY"
_FOLLOWING = "pointsman.following"
"""The tag of a model that says which number follows one that was used up: MLflow does not tell of deleted versions."""


class MlflowPublisher:
    """See `registry_sync.registries.Publisher`."""

    def __init__(self, client: MlflowClient, environ: Mapping[str, str]) -> None:
        if client.server.is_unity_catalog:
            raise RegistryUnavailable(
                "Versions are not written into Unity Catalog from here. Register them with MLflow."
            )
        self._client = client
        self._registry = MlflowRegistry(client)
        self._locator = Locator(client)
        self._experiment = environ.get(_EXPERIMENT_VARIABLE) or _EXPERIMENT

    def publish(self, model: str, version: str, manifest: Manifest, contents: Contents) -> bool:
        """See `Publisher.publish`.

        Raises:
            AlreadyPublished: also if `version` is not the next number of the model.
        """
        require_names(model=model, version=version)
        if self._is_there(model, version, manifest):
            return False
        logged = self._log(model, manifest, contents)
        self._make_model(model)
        self._register(model, version, manifest, logged)
        return True

    def set_alias(self, model: str, alias: str, version: str) -> str | None:
        """See `Publisher.set_alias`."""
        require_names(model=model, alias=alias, version=version)
        before = self._registry.aliases(model).get(alias)
        if before != version:
            body = {"name": model, "alias": alias, "version": version}
            try:
                self._client.post("mlflow/registered-models/alias", Refusal, body)
            except Missing as error:
                raise UnknownModel(f"Alias {alias} cannot name {model}:{version}: {error}.") from error
        return before

    def _is_there(self, model: str, version: str, manifest: Manifest) -> bool:
        """Return True if this version is there already.

        Raises:
            AlreadyPublished: there is another one, or the version is not the next number.
        """
        try:
            versions = self._registry.versions(model)
        except UnknownModel:
            versions = ()
        if version not in versions:
            following = max(max(map(int, versions), default=0) + 1, self._following(model))
            if version != str(following):
                raise AlreadyPublished(_wrong_number(model, version, following))
            return False
        try:
            there = self._registry.manifest(model, version)
        except (NoManifest, ModelRefused) as error:
            raise AlreadyPublished(f"{model}:{version} is there already: {error} Choose the next number.") from error
        if is_same(there, manifest):
            return True
        raise AlreadyPublished(
            f"{model}:{version} is there already, with other content. A version never changes; choose the next number."
        )

    def _following(self, model: str) -> int:
        """Return the number that follows one that was used up here, or 0."""
        try:
            found = self._client.get("mlflow/registered-models/get", OneModel, {"name": model}).registered_model
        except Missing:
            return 0
        following = next((each.value for each in found.tags if each.key == _FOLLOWING), "")
        return int(following) if following.isascii() and following.isdigit() else 0

    def _log(self, model: str, manifest: Manifest, contents: Contents) -> LoggedModel:
        """Write the files as a logged model."""
        experiment = self._experiment_id()
        tags = [{"key": "mlflow.user", "value": "pointsman"}]
        body = {"experiment_id": experiment, "name": model.replace(".", "_"), "model_type": "pointsman", "tags": tags}
        logged = self._client.post("mlflow/logged-models", OneLoggedModel, body).model
        target = open_upload(logged.info.artifact_uri, self._client, self._locator)
        for file, digest in manifest.pinned.items():
            if file not in contents:
                raise ModelRefused(f"{file} was removed while it was being published.")
            write_file(target, file, contents[file], digest)
        text = manifest_to_yaml(manifest).encode()
        write_file(target, MANIFEST, text, sha256(text).hexdigest())
        path = f"mlflow/logged-models/{logged.info.model_id}"
        self._client.post(path, OneLoggedModel, {"model_id": logged.info.model_id, "status": _READY}, "PATCH")
        return logged

    def _experiment_id(self) -> str:
        """Return the experiment that holds the logged models. It is made if there is none."""
        name = {"experiment_name": self._experiment}
        try:
            return self._client.get("mlflow/experiments/get-by-name", OneExperiment, name).experiment.experiment_id
        except Missing:
            pass
        try:
            return self._client.post("mlflow/experiments/create", Experiment, {"name": self._experiment}).experiment_id
        except NotAccepted as error:
            if error.code != _IS_THERE:
                raise
        return self._client.get("mlflow/experiments/get-by-name", OneExperiment, name).experiment.experiment_id

    def _make_model(self, model: str) -> None:
        try:
            self._client.post("mlflow/registered-models/create", OneModel, {"name": model})
        except NotAccepted as error:
            if error.code != _IS_THERE:
                raise

    def _register(self, model: str, version: str, manifest: Manifest, logged: LoggedModel) -> None:
        """Make the version, with the tags of its manifest.

        Raises:
            AlreadyPublished: MLflow has given it another number, so it was deleted again.
        """
        tags = {key: value for key, _, value in (tag.partition("=") for tag in manifest.tags)}
        body = {
            "name": model,
            "source": f"models:/{logged.info.model_id}",
            "model_id": logged.info.model_id,
            "description": manifest.description,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        made = str(self._client.post("mlflow/model-versions/create", OneVersion, body).model_version.version)
        if made != version:
            self._client.post("mlflow/model-versions/delete", Refusal, {"name": model, "version": made}, "DELETE")
            self._note_following(model, int(made) + 1)
            raise AlreadyPublished(
                f"{model}:{version} was not published: MLflow gave it the number {made}, since another publisher was "
                f"faster or {version} was deleted before. {_wrong_number(model, version, int(made) + 1)}"
            )

    def _note_following(self, model: str, number: int) -> None:
        noted = {"name": model, "key": _FOLLOWING, "value": str(number)}
        try:
            self._client.post("mlflow/registered-models/set-tag", Refusal, noted)
        except NotAccepted:  # of two that set a new tag at the same moment, MLflow's database refuses one
            self._client.post("mlflow/registered-models/set-tag", Refusal, noted)


def _wrong_number(model: str, version: str, following: int) -> str:
    return (
        f"MLflow numbers the versions of a model itself, and the next one of {model} is {following}, not {version}. "
        f"Write {model}:{following}."
    )
