"""The files of a version, behind MLflow's own proxy of artifacts or in S3.

What a server says is not believed: names must lead to files below the version's folder, and their number is limited.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from registry_sync.errors import RegistryUnavailable, UnknownModel
from registry_sync.registries.mlflow.answers import Listing
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.errors import Missing, NotAccepted, NotThere
from registry_sync.registries.s3 import Place, S3Registry
from runtimes.errors import ModelRefused
from runtimes.manifest import is_below

PROXY = "mlflow-artifacts/artifacts"

MAX_FILE_BYTES = 4 * 1024**3
_MOST_FILES = 10_000
_MOST_FOLDERS = 1000


class Artifacts(Protocol):
    """The files below one folder."""

    def sizes(self) -> Mapping[str, int]:
        """Return the size of every file by its path. 0 means that it is empty, or that MLflow does not know its size.

        Raises:
            RegistryUnavailable: they cannot be listed.
            ModelRefused: there are too many, or one has a name that leads elsewhere.
        """

    def has(self, file: str) -> bool:
        """Return True if the folder itself has this file. Raises like `sizes`."""

    def read(self, file: str) -> Iterator[bytes]:
        """Read a file piece by piece.

        Raises:
            UnknownModel: it is missing.
            RegistryUnavailable: it cannot be read, or breaks off.
        """


class ProxiedArtifacts:
    """Files that the MLflow server passes on, wherever they are kept."""

    def __init__(self, client: MlflowClient, folder: str) -> None:
        self._client = client
        self._folder = folder

    def sizes(self) -> Mapping[str, int]:
        """See `Artifacts.sizes`."""
        found: dict[str, int] = {}
        folders = [""]
        for count, folder in enumerate(folders, 1):  # it grows on the way
            if count > _MOST_FOLDERS:
                raise ModelRefused(f"{self._folder} has more than {_MOST_FOLDERS} folders; a version is one model.")
            for name, size in self._list(folder).items():
                if size is None:
                    folders.append(f"{folder}{name}/")
                else:
                    found[f"{folder}{name}"] = size
            _check_number(len(found), self._folder)
        return found

    def has(self, file: str) -> bool:
        """See `Artifacts.has`."""
        return self._list("").get(file) is not None

    def read(self, file: str) -> Iterator[bytes]:
        """See `Artifacts.read`."""
        try:
            yield from self._client.read(f"{PROXY}/{self._folder}/{file}", MAX_FILE_BYTES)
        except (Missing, NotAccepted, NotThere) as error:
            raise UnknownModel(f"The artifact {self._folder}/{file} is missing: {error}") from error

    def _list(self, below: str) -> Mapping[str, int | None]:
        """Return the size of each file of a folder, and None for each folder. Hidden ones are left out."""
        path = f"{self._folder}/{below}".rstrip("/")
        try:
            listed = self._client.get(PROXY, Listing, {"path": path}).files
        except Missing:
            return {}
        found: dict[str, int | None] = {}
        for each in listed:
            if each.path.startswith(".") and is_below(each.path[1:]) and "/" not in each.path:
                continue
            if not is_below(each.path) or "/" in each.path:
                raise ModelRefused(f"MLflow lists a file {each.path!r} in {path}; its name leads elsewhere.")
            found[each.path] = None if each.is_dir else each.file_size or 0
        return found


class S3Artifacts:
    """Files in a bucket that this machine reads itself."""

    def __init__(self, place: Place, client: Callable[[], Any]) -> None:
        """Take what returns a client whose credentials are valid now."""
        self._place = place
        self._client = client
        self._name = f"s3://{place.bucket}/{place.prefix}"

    def sizes(self) -> Mapping[str, int]:
        """See `Artifacts.sizes`."""
        listed = self._objects().sizes("", PaginationConfig={"MaxItems": _MOST_FILES + 1})
        _check_number(len(listed), self._name)
        found = {}
        for file, size in listed.items():
            if file.endswith("/") or any(part.startswith(".") and part[1:2] != "." for part in file.split("/")):
                continue  # a folder that a console has made, or a hidden file
            if not is_below(file):
                raise ModelRefused(f"{self._name} has a file {file!r}; its name leads elsewhere.")
            found[file] = size
        return found

    def has(self, file: str) -> bool:
        """See `Artifacts.has`."""
        return "" in self._objects().sizes(file, PaginationConfig={"MaxItems": 1})  # the key itself sorts first

    def read(self, file: str) -> Iterator[bytes]:
        """See `Artifacts.read`."""
        return self._objects().pieces(file)

    def _objects(self) -> S3Registry:
        return S3Registry(self._place, self._client())


def counted(pieces: Iterator[bytes], size: int, name: str) -> Iterator[bytes]:
    """Pass on the pieces of a file, and notice if it is not as long as its listing says.

    Raises:
        RegistryUnavailable: it is not.
    """
    count = 0
    for piece in pieces:
        count += len(piece)
        yield piece
    if count != size:
        raise RegistryUnavailable(f"{name} has {count} bytes; its listing says {size}. It was cut off or changed.")


def _check_number(count: int, name: str) -> None:
    if count > _MOST_FILES:
        raise ModelRefused(f"{name} has more than {_MOST_FILES} files; a version is one model.")
