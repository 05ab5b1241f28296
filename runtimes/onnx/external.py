"""External data: weights of a model that lie in files beside it.

Rules. Only files that the manifest pins are used, so that nobody can change a weight under the same digest. They are
given to ONNX Runtime from memory: it never opens a path, which it would look for in the working directory.

ONNX Runtime takes files from memory for the initializers of the main graph alone. It opens paths for those of
subgraphs and for the attributes of nodes in functions, whatever it was given. So these tensors, which are few and
small, are written into the graph itself.
"""

import posixpath
from collections.abc import Mapping
from typing import Any

from runtimes.errors import ModelRefused
from runtimes.manifest import is_below
from runtimes.onnx.graph import inner_tensors

_IN_MEMORY_TAG = "_ORT_MEM_ADDR_"
"""With it in a location, ONNX Runtime takes the offset for an address in its own memory."""

_EXTERNAL = 1  # TensorProto.EXTERNAL


class SelfContained:
    """A model for a session that opens no files: its bytes, and the content of the files that they refer to.

    `model` is what was parsed from `content`; it is not kept, for its weights are a second copy of them.

    Raises:
        ModelRefused: a location is not one of `files`, or a file is too short.
    """

    def __init__(self, content: bytes, model: Any, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._locations: dict[str, bytes] = {}
        is_changed = False
        for tensor in model.graph.initializer:
            if is_external(tensor):
                self._locations[_entries(tensor)["location"]], _, _ = self._part(tensor)
        for tensor in inner_tensors(model):
            if is_external(tensor):
                self._inline(tensor)
                is_changed = True
        self.content = model.SerializeToString() if is_changed else content

    def give_to(self, options: Any) -> None:
        """Pass the files to the options of a session."""
        if self._locations:
            buffers = list(self._locations.values())
            options.add_external_initializers_from_files_in_memory(list(self._locations), buffers, [*map(len, buffers)])

    def _inline(self, tensor: Any) -> None:
        weights, offset, length = self._part(tensor)
        tensor.raw_data = weights[offset : offset + length]
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")

    def _part(self, tensor: Any) -> tuple[bytes, int, int]:
        """Return the content of a tensor's file, where in it the tensor begins, and how long it is."""
        entries = _entries(tensor)
        location = entries.get("location", "")
        file = posixpath.normpath(location) if location else ""
        if not is_below(file) or posixpath.isabs(location) or _IN_MEMORY_TAG in location:
            raise ModelRefused(
                f"The weights {tensor.name} are said to be in {location!r}, which is not a file in the version's "
                "folder. Save the model again, with its weights in a file beside it."
            )
        content = self._files.get(file)
        if content is None:
            raise ModelRefused(
                f"The weights {tensor.name} are in the file {file}, which model.yaml does not pin. Put it beside the "
                f"model, and write under `files` in model.yaml: `- {{file: {file}, sha256: ...}}`."
            )
        offset, length = _number(tensor, entries, "offset", 0), _number(tensor, entries, "length", len(content))
        if "length" not in entries:
            length -= offset
        if length < 0 or offset + length > len(content):
            raise ModelRefused(
                f"The weights {tensor.name} are at bytes {offset} to {offset + length} of {file}, which has "
                f"{len(content)} bytes: the file is not all there, or is of another model."
            )
        return content, offset, length


def is_external(tensor: Any) -> bool:
    """Return True if the content of a tensor is in another file."""
    return bool(tensor.data_location == _EXTERNAL or tensor.external_data)


def external_files(model: Any) -> list[str]:
    """Return the files that a model's tensors are said to be in, below its folder or not, sorted."""
    tensors = (*model.graph.initializer, *inner_tensors(model))
    locations = (_entries(tensor).get("location", "") for tensor in tensors if is_external(tensor))
    return sorted({posixpath.normpath(location) for location in locations if location})


def _entries(tensor: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _number(tensor: Any, entries: Mapping[str, str], key: str, default: int) -> int:
    text = entries.get(key, str(default))
    if not text.isascii() or not text.isdigit():
        raise ModelRefused(f"The weights {tensor.name} have the {key} {text!r}, which is not a number.")
    return int(text)
