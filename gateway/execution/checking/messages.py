"""What is sent to and from the process that checks a version: JSON, a line for each message."""

from typing import Any

import msgspec

from gateway.execution.checking.steps import Began, Step
from runtimes.load_options import LoadOptions


class NewVersion(msgspec.Struct, frozen=True, kw_only=True, tag="new"):
    """Files without a manifest, or with a partial one: the file or folder `source`, or what `files` says.

    `files` has the place of each file by its path in the version. The manifest is made from what is read and from
    `said`. Golden requests are made, or taken from the file `golden`.
    """

    source: str
    files: dict[str, str] = {}
    said: dict[str, Any] = {}
    golden: str = ""


class VersionFolder(msgspec.Struct, frozen=True, tag="folder"):
    """A folder that is a version. Its model.yaml stands."""

    source: str


class RegistryVersion(msgspec.Struct, frozen=True, tag="version"):
    """A version of a registry that can be read without network and credentials."""

    registry: str
    model: str
    version: str

    @property
    def source(self) -> str:
        """The name of the version."""
        return f"{self.model}:{self.version}"


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """The logged requests that a version is asked again: at most `requests` of a route, from between two times.

    Predictions agree if they differ by at most `tolerance`. If the share of answers that differ is above `above`, the
    version fails. Times are seconds since the epoch. Requests that a version of `without_digest` has answered are left
    out.

    `log` is the folder of the log, or s3://BUCKET/PREFIX. The process that asks has no network: of a log in S3 it gets
    a folder with a part of its files (`is_partial`), or a sentence why there is none (`unreadable`).
    """

    log: str
    route: str
    since_s: float
    until_s: float
    requests: int
    tolerance: float = 0.0
    above: float | None = None
    without_digest: str = ""
    is_partial: bool = False
    unreadable: str = ""


class ToCheck(msgspec.Struct, frozen=True):
    """What the process has to do. With `is_tried`, the version has passed a check and is only asked logged requests."""

    what: NewVersion | VersionFolder | RegistryVersion
    options: LoadOptions
    logged: Logged | None = None
    is_tried: bool = False


class Result(msgspec.Struct, frozen=True, tag="result"):
    """The version that was checked: the text of its manifest, the files that were made, and remarks for a person.

    It takes `memory_bytes` inside a process that is there, and `process_bytes` in a process of its own; 0 if it was
    not loaded. It is sent before the last step, which a version may fail and be served all the same.
    """

    manifest: str
    made: dict[str, bytes] = {}
    remarks: tuple[str, ...] = ()
    memory_bytes: int = 0
    process_bytes: int = 0


class Replayed(msgspec.Struct, frozen=True, kw_only=True, tag="replayed"):
    """What came of logged requests that a version was asked again.

    Of `found` requests, `sampled` were drawn. Of these, `asked` were asked again, and others left out, by reason.
    `differ` is the share of those asked whose answers differ, `mean_difference` that of predictions, over instances.
    `unanswered` requests failed, and count as different. With `is_partial`, not all of the log was read.
    """

    found: int
    sampled: int
    asked: int
    differ: float
    mean_difference: float | None
    unanswered: int
    first_failure: str
    left_out: dict[str, int]
    unread_files: int
    is_partial: bool


class RowsTried(msgspec.Struct, frozen=True, tag="rows"):
    """Why requests are never merged, or an empty text. This is what the last step has found out."""

    unbatched_because: str


Message = Began | Step | Result | Replayed | RowsTried

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Message).decode
decode_task = msgspec.json.Decoder(ToCheck).decode
