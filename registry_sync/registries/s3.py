"""A registry in a bucket of S3, or of a store that speaks its protocol.

Layout, as in a directory: `<prefix>/<model>/<version>/model.yaml` with the files beside it, and
`<prefix>/<model>/aliases.yaml`. A version is there once its `model.yaml` is, which is written last.

Region, credentials and endpoint come from the environment, as boto3 finds them. What is read every few seconds is read
only if its ETag has changed.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from registry_sync.errors import NotAllowed, RegistryUnavailable, UnknownModel, Unreadable
from registry_sync.listed import listed
from registry_sync.registries import Details
from registry_sync.registries.details import details_of
from registry_sync.registries.one_by_one import one_by_one
from registry_sync.registries.s3_answers import BROKEN, require_object, whole_listing, why
from registry_sync.registries.s3_limit import limited
from registry_sync.registries.texts import parse_aliases, read_manifest
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Files, Manifest, is_below

ALIASES = "aliases.yaml"

_MAX_TEXT_BYTES = 1024 * 1024
_MAX_FILE_BYTES = 4 * 1024**3
_PIECE_BYTES = 1024 * 1024
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_NOT_ALLOWED = frozenset({"403", "AccessDenied"})
_UNCHANGED = frozenset({"304", "NotModified"})
_CONFIG = Config(
    connect_timeout=5.0,
    read_timeout=10.0,
    retries={"mode": "standard", "total_max_attempts": 2},
    s3={"addressing_style": "path"},
)


class Place(NamedTuple):
    """A bucket, and a prefix that is empty or ends with a slash."""

    bucket: str
    prefix: str


class _Text(NamedTuple):
    etag: str
    content: str


def parse_place(url: str) -> Place:
    """Return the place that `s3://BUCKET[/PREFIX]` names.

    Raises:
        RegistryUnavailable: it names none.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not bucket:
        raise RegistryUnavailable(f"{url} names no bucket; write s3://BUCKET/PREFIX.")
    return Place(bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else "")


def s3_client(**given: str) -> Any:
    """Return a client for several threads. `given` goes before what boto3 finds in the environment."""
    return limited(boto3.session.Session().client("s3", config=_CONFIG, **given))


class S3Registry:
    """See `registry_sync.registries.Registry`."""

    def __init__(self, place: Place, client: Any) -> None:
        self._place = place
        self._client = client
        self._texts: dict[str, _Text] = {}
        self._lock = threading.Lock()

    def models(self) -> Sequence[str]:
        """See `Registry.models`."""
        return sorted(self._folders(""))

    def versions(self, model: str) -> Sequence[str]:
        """See `Registry.versions`."""
        self._require(model)
        found = {
            parts[0]
            for key in self._keys(f"{model}/")
            if len(parts := key.removeprefix(f"{model}/").split("/")) == 2 and parts[1] == MANIFEST
        }
        return sorted(found, key=lambda version: (len(version), version))

    def aliases(self, model: str) -> Mapping[str, str]:
        """See `Registry.aliases`."""
        try:
            text = self._text(f"{model}/{ALIASES}")
        except KeyError:
            self._require(model)
            return {}
        except ModelRefused as error:
            raise Unreadable(str(error)) from error
        return parse_aliases(text, f"{model}/{ALIASES}")

    def manifest(self, model: str, version: str) -> Manifest:
        """See `Registry.manifest`."""
        try:
            text = self._text(f"{model}/{version}/{MANIFEST}")
        except KeyError:
            known = listed(self.versions(model))
            raise UnknownModel(f"Model {model} has no version {version!r}; it has {known}.") from None
        return read_manifest(text)

    def fetch(self, model: str, version: str, manifest: Manifest) -> Files:
        """See `Registry.fetch`."""
        return {file: self.file(f"{model}/{version}/{file}") for file in manifest.pinned}

    def details(self, model: str, version: str) -> Details:
        """See `Registry.details`."""
        return details_of(self.manifest(model, version))

    def all_aliases(self, models: Collection[str]) -> Mapping[str, Mapping[str, str] | str]:
        """See `RemoteRegistry.all_aliases`. S3 has no question for several objects: each is read if it has changed."""
        if not models:
            self._list("", PaginationConfig={"MaxItems": 1, "PageSize": 1})
        return one_by_one(models, self.aliases)

    def files(self, model: str, version: str) -> Mapping[str, int]:
        """See `RemoteRegistry.files`."""
        if found := self.sizes(f"{model}/{version}/"):
            return found
        raise UnknownModel(f"The registry has no files of {model}:{version}.")

    def read(self, model: str, version: str, file: str) -> Iterator[bytes]:
        """See `RemoteRegistry.read`."""
        if not is_below(file):
            raise UnknownModel(f"The artifact {file!r} is not below {model}/{version}.")
        return self.pieces(f"{model}/{version}/{file}")

    def sizes(self, below: str, **more: Any) -> dict[str, int]:
        """Return the size of each object whose key begins so, by the rest of its key. `more` limits the list."""
        start, pages = len(self._place.prefix + below), self._list(below, **more)
        return {each["Key"][start:]: int(each["Size"]) for page in pages for each in page.get("Contents", ())}

    def pieces(self, key: str) -> Iterator[bytes]:
        """Read an object piece by piece. Raises like `read`."""
        answer = self._open(key)
        try:
            yield from answer["Body"].iter_chunks(_PIECE_BYTES)
        except (BotoCoreError, OSError) as error:
            raise RegistryUnavailable(f"{self._name(key)} cannot be read: {why(error)}.") from error
        finally:
            answer["Body"].close()

    def file(self, key: str) -> bytes:
        """Return the content of an object. Raises like `fetch`."""
        return self._read(key, self._open(key))

    def _open(self, key: str) -> Mapping[str, Any]:
        try:
            answer = self._call("get_object", key)
        except KeyError:
            raise UnknownModel(f"The artifact {key} is missing.") from None
        if answer["ContentLength"] > _MAX_FILE_BYTES:
            answer["Body"].close()
            raise ModelRefused(f"{key} is larger than {_MAX_FILE_BYTES} bytes.")
        return answer

    def _text(self, key: str) -> str:
        """Return the content of a small object. Read it only if it has changed since the last call.

        Raises:
            KeyError: there is no such object.
        """
        if any(part in ("", ".", "..") for part in key.split("/")):
            raise KeyError(key)
        known = self._texts.get(key)
        try:
            answer = self._call("get_object", key, **({"IfNoneMatch": known.etag} if known else {}))
        except _Unchanged:
            assert known is not None  # noqa: S101  # for the type checker: only then was a condition sent
            return known.content
        if answer["ContentLength"] > _MAX_TEXT_BYTES:
            answer["Body"].close()
            raise ModelRefused(f"{key} is larger than {_MAX_TEXT_BYTES} bytes.")
        try:
            text = self._read(key, answer).decode()
        except UnicodeDecodeError as error:
            raise ModelRefused(f"{key} is not text: {error}.") from error
        with self._lock:
            self._texts[key] = _Text(answer["ETag"], text)
        return text

    def _read(self, key: str, answer: Mapping[str, Any]) -> bytes:
        try:
            content: bytes = answer["Body"].read()
        except (BotoCoreError, OSError) as error:
            raise RegistryUnavailable(f"{self._name(key)} cannot be read: {why(error)}.") from error
        return content

    def _require(self, model: str) -> None:
        """Raise `UnknownModel`, with the names of the models there are, if there is no such model."""
        models = self.models()
        if model not in models:
            raise UnknownModel(f"The registry has no model {model!r}; it has {listed(models)}.")

    def _folders(self, below: str) -> set[str]:
        pages = self._list(below, Delimiter="/")
        start = len(self._place.prefix + below)
        return {each["Prefix"][start:].rstrip("/") for page in pages for each in page.get("CommonPrefixes", ())}

    def _keys(self, below: str) -> list[str]:
        return [below + each for each in self.sizes(below)]

    def _list(self, below: str, **more: Any) -> list[Mapping[str, Any]]:
        place, question = self._name(below), {"Bucket": self._place.bucket, "Prefix": self._place.prefix + below}
        try:
            return whole_listing(self._client.get_paginator("list_objects_v2").paginate(**question, **more), place)
        except (*BROKEN, ClientError) as error:
            raise RegistryUnavailable(f"{place} cannot be listed: {why(error)}.") from error

    def _call(self, operation: str, key: str, **more: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = getattr(self._client, operation)(
                Bucket=self._place.bucket, Key=self._place.prefix + key, **more
            )
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            if code in _UNCHANGED:
                raise _Unchanged from None
            if code in _MISSING:
                raise KeyError(key) from None
            kind = NotAllowed if code in _NOT_ALLOWED else RegistryUnavailable
            raise kind(f"{self._name(key)} cannot be read: {why(error)}.") from error
        except BROKEN as error:
            raise RegistryUnavailable(f"{self._name(key)} cannot be read: {why(error)}.") from error
        require_object(answer, self._name(key))
        return answer

    def _name(self, key: str) -> str:
        return f"s3://{self._place.bucket}/{self._place.prefix}{key}"


class _Unchanged(Exception):
    """The object has the ETag that is known."""
