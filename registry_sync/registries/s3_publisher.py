"""Writes versions into a registry in a bucket.

The files are written first, and `model.yaml` last. Each is written on the condition that there is none of its name
(`If-None-Match`). So a version is there as a whole or not at all, nothing is ever replaced, and of two publishers of
one version with different content, one wins or neither does.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from registry_sync.errors import AlreadyPublished, RegistryUnavailable, UnknownModel
from registry_sync.registries import Contents
from registry_sync.registries.regular_file import NotRegular, read_regular_file
from registry_sync.registries.s3 import ALIASES, Place, S3Registry
from registry_sync.registries.same_version import is_same
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Manifest
from runtimes.manifest_text import manifest_to_yaml

_MAX_FILE_BYTES = 4 * 1024**3
_LOST = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})
_TRIES = 20


class S3Publisher:
    """See `registry_sync.registries.Publisher`."""

    def __init__(self, place: Place, client: Any) -> None:
        self._place = place
        self._client = client
        self._registry = S3Registry(place, client)

    def publish(self, model: str, version: str, manifest: Manifest, contents: Contents) -> bool:
        """See `Publisher.publish`."""
        if self._is_there(model, version, manifest):
            return False
        for file, digest in manifest.pinned.items():
            content = _content(file, contents[file], digest)
            if not self._put(f"{model}/{version}/{file}", content, IfNoneMatch="*"):
                self._require_same(model, version, file, digest)
            del content
        text = manifest_to_yaml(manifest).encode()
        return self._put(f"{model}/{version}/{MANIFEST}", text, IfNoneMatch="*") or not self._is_there(
            model, version, manifest
        )

    def set_alias(self, model: str, alias: str, version: str) -> str | None:
        """See `Publisher.set_alias`. Of publishers at the same time, each reads what the one before it has written."""
        key = f"{model}/{ALIASES}"
        for _ in range(_TRIES):
            aliases, condition = self._aliases(model)
            before = aliases.get(alias)
            text = yaml.safe_dump({**aliases, alias: version}, sort_keys=False).encode()
            if before == version or self._put(key, text, **condition):
                return before
        raise RegistryUnavailable(f"{key} is changed by other publishers all the time; try again.")

    def _aliases(self, model: str) -> tuple[Mapping[str, str], dict[str, str]]:
        """Return the aliases, and the condition under which they are still these."""
        try:
            etag = self._client.head_object(Bucket=self._place.bucket, Key=f"{self._place.prefix}{model}/{ALIASES}")[
                "ETag"
            ]
        except ClientError as error:
            if str(error.response.get("Error", {}).get("Code")) not in ("404", "NoSuchKey"):
                raise RegistryUnavailable(f"{model}/{ALIASES} cannot be read: {error}.") from error
            return {}, {"IfNoneMatch": "*"}
        except BotoCoreError as error:
            raise RegistryUnavailable(f"{model}/{ALIASES} cannot be read: {error}.") from error
        # If the file is replaced between these two requests, the condition fails, and the caller tries again.
        return self._registry.aliases(model), {"IfMatch": etag}

    def _is_there(self, model: str, version: str, manifest: Manifest) -> bool:
        """Return True if this version is there already.

        Raises:
            AlreadyPublished: there is another one.
        """
        try:
            there = self._registry.manifest(model, version)
        except UnknownModel:
            return False
        except ModelRefused as error:
            raise AlreadyPublished(
                f"{model}:{version} is there already, and cannot be read: {error} Choose another version."
            ) from error
        if is_same(there, manifest):
            return True
        raise AlreadyPublished(
            f"{model}:{version} is there already, with other content. A version never changes; choose another one."
        )

    def _require_same(self, model: str, version: str, file: str, digest: str) -> None:
        """Return if the file that is there is the one that is to be published: another publisher was faster."""
        found = self._registry.file(f"{model}/{version}/{file}")
        if sha256(found).hexdigest() != digest:
            raise AlreadyPublished(
                f"{model}:{version} has another {file} already, of a version that is being published or was left half "
                "way. Choose another version."
            )

    def _put(self, key: str, content: bytes, **condition: str) -> bool:
        """Write an object. Return False if the condition does not hold."""
        try:
            self._client.put_object(Bucket=self._place.bucket, Key=self._place.prefix + key, Body=content, **condition)
        except ClientError as error:
            if str(error.response.get("Error", {}).get("Code")) in _LOST:
                return False
            raise RegistryUnavailable(f"{key} cannot be written: {error}.") from error
        except BotoCoreError as error:
            raise RegistryUnavailable(f"{key} cannot be written: {error}.") from error
        return True


def _content(file: str, content: Path | bytes, digest: str) -> bytes:
    """Return a file of a version, and check that it is the one that was checked before."""
    if isinstance(content, Path):
        try:
            content = read_regular_file(content, _MAX_FILE_BYTES, follows_link=False)
        except NotRegular as error:
            raise ModelRefused(f"{file} {error}.") from error
    if sha256(content).hexdigest() != digest:
        raise ModelRefused(f"{file} was changed while it was being published.")
    return content
