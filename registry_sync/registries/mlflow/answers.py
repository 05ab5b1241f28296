"""The parts of MLflow's answers that are read. Everything else in them is ignored.

The names are those of MLflow's REST API, version 2.0. Protobuf leaves out what is empty, so every field has a default.
"""

from typing import Any

import msgspec


class Tag(msgspec.Struct, frozen=True):
    """A tag of a version or of a run."""

    key: str = ""
    value: str = ""


class Alias(msgspec.Struct, frozen=True):
    """An alias of a registered model."""

    alias: str = ""
    version: str | int = ""


class RegisteredModel(msgspec.Struct, frozen=True):
    """A model with its aliases."""

    name: str = ""
    aliases: tuple[Alias, ...] = ()
    tags: tuple[Tag, ...] = ()

    @property
    def by_alias(self) -> dict[str, str]:
        """The version of each alias."""
        return {each.alias: str(each.version) for each in self.aliases}


class ModelVersion(msgspec.Struct, frozen=True):
    """A version of a registered model."""

    name: str = ""
    version: str | int = ""
    creation_timestamp: str | int = 0
    user_id: str | None = None
    source: str | None = None
    run_id: str | None = None
    status: str = "READY"
    tags: tuple[Tag, ...] = ()


class Models(msgspec.Struct, frozen=True):
    """A page of registered models."""

    registered_models: tuple[RegisteredModel, ...] = ()
    next_page_token: str | None = None


class Versions(msgspec.Struct, frozen=True):
    """A page of versions."""

    model_versions: tuple[ModelVersion, ...] = ()
    next_page_token: str | None = None


class OneModel(msgspec.Struct, frozen=True):
    """A registered model."""

    registered_model: RegisteredModel = RegisteredModel()


class OneVersion(msgspec.Struct, frozen=True):
    """A version."""

    model_version: ModelVersion = ModelVersion()


class DownloadUri(msgspec.Struct, frozen=True):
    """Where the files of a version are."""

    artifact_uri: str = ""


class File(msgspec.Struct, frozen=True):
    """A file or folder. `path` is relative to what was listed. Without a size it is empty, or its size is unknown."""

    path: str = ""
    is_dir: bool = False
    file_size: int | None = None


class Listing(msgspec.Struct, frozen=True):
    """The files and folders of one folder."""

    files: tuple[File, ...] = ()


class DataSet(msgspec.Struct, frozen=True):
    """A data set that a run has read."""

    name: str = ""
    digest: str = ""


class DataSetInput(msgspec.Struct, frozen=True):
    """A data set with its tags."""

    dataset: DataSet = DataSet()


class Inputs(msgspec.Struct, frozen=True):
    """What a run has read."""

    dataset_inputs: tuple[DataSetInput, ...] = ()


class RunInfo(msgspec.Struct, frozen=True):
    """What is known of a run itself."""

    status: str = ""
    artifact_uri: str = ""


class Run(msgspec.Struct, frozen=True):
    """A run."""

    info: RunInfo = RunInfo()
    inputs: Inputs = Inputs()


class OneRun(msgspec.Struct, frozen=True):
    """A run."""

    run: Run = Run()


class LoggedModelInfo(msgspec.Struct, frozen=True):
    """What is known of a logged model itself."""

    model_id: str = ""
    artifact_uri: str = ""


class LoggedModel(msgspec.Struct, frozen=True):
    """A logged model: the files of a model, as a run or a publisher has written them."""

    info: LoggedModelInfo = LoggedModelInfo()


class OneLoggedModel(msgspec.Struct, frozen=True):
    """A logged model."""

    model: LoggedModel = LoggedModel()


class Experiment(msgspec.Struct, frozen=True):
    """An experiment. `create` answers with its id alone."""

    experiment_id: str = ""


class OneExperiment(msgspec.Struct, frozen=True):
    """An experiment."""

    experiment: Experiment = Experiment()


class AwsCredentials(msgspec.Struct, frozen=True):
    """Credentials for S3 that last for about an hour."""

    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""


class TemporaryCredentials(msgspec.Struct, frozen=True):
    """What Unity Catalog lends for the files of one version, until so many milliseconds after the epoch."""

    aws_temp_credentials: AwsCredentials | None = None
    expiration_time: int = 0


class OneTemporaryCredentials(msgspec.Struct, frozen=True):
    """Credentials."""

    credentials: TemporaryCredentials = TemporaryCredentials()


class Refusal(msgspec.Struct, frozen=True):
    """What MLflow says when it refuses a request. Its proxy of artifacts says `detail`."""

    error_code: str = ""
    message: Any = ""
    detail: Any = ""


# msgspec notes the types of the fields now: two threads that do so at once end the process.
for _answer in (
    Models, Versions, OneModel, OneVersion, DownloadUri, Listing, OneRun, OneLoggedModel, OneExperiment,
    OneTemporaryCredentials, Refusal,
):  # fmt: skip
    msgspec.json.Decoder(_answer)
