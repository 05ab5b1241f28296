"""What is sent between a command and the process that checks a version for it: JSON, a line for each message."""

from typing import Any

import msgspec

from registry_sync.publish.steps import Began, Step
from runtimes.load_options import LoadOptions


class ToCheck(msgspec.Struct, frozen=True):
    """What the process has to do. `source` is a file or a folder.

    With `adds`, the manifest is made from what is read and from `said`, and golden requests are made or taken from the
    file `golden`. Otherwise the folder is a version, and its model.yaml stands.
    """

    source: str
    options: LoadOptions
    adds: bool = False
    said: dict[str, Any] = {}
    golden: str = ""


class Result(msgspec.Struct, frozen=True, tag="result"):
    """The version that was checked: the text of its manifest, the files that were made, and remarks for a person."""

    manifest: str
    made: dict[str, bytes] = {}
    remarks: tuple[str, ...] = ()


Message = Began | Step | Result

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Message).decode
decode_task = msgspec.json.Decoder(ToCheck).decode
