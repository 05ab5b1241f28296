"""Writes versions into a registry in a bucket.

The files are written first, and `model.yaml` last. Each is written on the condition that there is none of its name
(`If-None-Match`). So a version is there as a whole or not at all, nothing is ever replaced, and of two publishers of
one version with different content, one wins or neither does.
"""

import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from registry_sync.errors import AlreadyPublished, RegistryUnavailable, UnknownModel
from registry_sync.registries import Contents
from registry_sync.registries.named import require_names
from registry_sync.registries.regular_file import NotRegular, read_regular_file
from registry_sync.registries.s3 import ALIASES, Place, S3Registry
from registry_sync.registries.s3_answers import why
from registry_sync.registries.same_version import is_same
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Manifest, PinnedFile
from runtimes.manifest_text import manifest_to_yaml

_MAX_FILE_BYTES = 4 * 1024**3
_LOST = frozenset({"412", "PreconditionFailed"})
_TO_BE_TRIED_AGAIN = frozenset({"409", "ConditionalRequestConflict"})
_TRIES = 20
_PAUSE_S = 0.1


class S3Publisher:
    """See `registry_sync.registries.Publisher`."""

    def __init__(self, place: Place, client: Any) -> None:
        self._place = place
        self._client = client
        self._registry = S3Registry(place, client)

    def publish(self, model: str, version: str, manifest: Manifest, contents: Contents) -> bool:
        """See `Publisher.publish`."""
        require_names(model=model, version=version)
        if self._is_there(model, version, manifest):
            return False
        for file, digest in manifest.pinned.items():
            if file == manifest.golden != manifest.file:
                continue
            content = _content(file, contents[file], digest)
            if not self._put(f"{model}/{version}/{file}", content, IfNoneMatch="*"):
                self._require_same(model, version, file, digest)
            del content
        manifest = self._with_golden(model, version, manifest, contents)
        text = manifest_to_yaml(manifest).encode()
        if self._put(f"{model}/{version}/{MANIFEST}", text, IfNoneMatch="*"):
            return True
        if self._is_there(model, version, manifest):
            return False
        raise RegistryUnavailable(f"{model}/{version}/{MANIFEST} was neither written nor found; try again.")

    def set_alias(self, model: str, alias: str, version: str) -> str | None:
        """See `Publisher.set_alias`. Of publishers at the same time, each reads what the one before it has written."""
        require_names(model=model, alias=alias, version=version)
        key = f"{model}/{ALIASES}"
        for _ in range(_TRIES):
            aliases, condition = self._aliases(model)
            before = aliases.get(alias)
            text = yaml.safe_dump({**aliases, alias: version}, sort_keys=False).encode()
            if before == version or self._put(key, text, **condition):
                return before
        raise RegistryUnavailable(f"{key} is changed by other publishers all the time; try again.")

    def _with_golden(self, model: str, version: str, manifest: Manifest, contents: Contents) -> Manifest:
        """Write the golden requests. If a publisher that was ended has left others, return a manifest that pins those.

        They are of the same artifact, which another machine may have rounded otherwise.
        """
        golden = manifest.golden
        if not golden or golden == manifest.file:
            return manifest
        key = f"{model}/{version}/{golden}"
        if self._put(key, _content(golden, contents[golden], manifest.pinned[golden]), IfNoneMatch="*"):
            return manifest
        there = PinnedFile(golden, sha256(self._registry.file(key)).hexdigest())
        files = tuple(there if each.file == golden else each for each in manifest.files)
        return msgspec.structs.replace(manifest, files=files)

    def _aliases(self, model: str) -> tuple[Mapping[str, str], dict[str, str]]:
        """Return the aliases, and the condition under which they are still these."""
        try:
            etag = self._client.head_object(Bucket=self._place.bucket, Key=f"{self._place.prefix}{model}/{ALIASES}")[
                "ETag"
            ]
        except ClientError as error:
            if str(error.response.get("Error", {}).get("Code")) not in ("404", "NoSuchKey"):
                raise RegistryUnavailable(f"{model}/{ALIASES} cannot be read: {why(error)}.") from error
            return {}, {"IfNoneMatch": "*"}
        except BotoCoreError as error:
            raise RegistryUnavailable(f"{model}/{ALIASES} cannot be read: {why(error)}.") from error
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
        place = {"Bucket": self._place.bucket, "Key": self._place.prefix + key}
        for tries in range(1, _TRIES + 1):
            try:
                self._client.put_object(**place, Body=content, **condition)
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code"))
                if code in _LOST:
                    return False
                if code not in _TO_BE_TRIED_AGAIN or tries == _TRIES:
                    raise RegistryUnavailable(f"{key} cannot be written: {why(error)}.") from error
                time.sleep(_PAUSE_S)  # another request with a condition is under way (409)
            except BotoCoreError as error:
                raise RegistryUnavailable(f"{key} cannot be written: {why(error)}.") from error
            else:
                return True
        return False


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
