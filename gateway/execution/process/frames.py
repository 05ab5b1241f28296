"""The messages between a replica and the process of a model, as bytes.

A frame has three parts. The prefix holds two lengths: of the head, and of head and tensors together. The head is a
message and the description of its tensors, in msgpack. Then come the bytes of the tensors as they lie in memory.

Head and tensors begin at multiples of 16 bytes, so that a tensor can be used where it was received. Nothing is pickled:
neither side executes what the other sends.
"""

import struct
from collections.abc import Sequence
from itertools import islice

import msgspec
import numpy as np

from gateway.protocols.tensor_binary import decode_tensor, encode_tensor
from runtimes.batching import RequestResult
from runtimes.datatypes import NAME_OF, Tensor
from runtimes.errors import InputRefused, ModelFailed
from runtimes.load_options import LoadOptions
from runtimes.manifest import Example, Signature

_prefix = struct.Struct("<IQ")
PREFIX_BYTES = _prefix.size

_ALIGNMENT_BYTES = 16
_OK = ""
_ERRORS = {error.__name__: error for error in (ModelFailed, InputRefused)}

ByteArray = np.ndarray[tuple[int], np.dtype[np.uint8]]
Part = bytes | memoryview


class ModelToLoad(msgspec.Struct, frozen=True):
    """What a process has to load. It reads this from its standard input, in JSON.

    `key` is model, version and digest.
    `seen` is the signature behind which it runs, if that is not its own.
    `unbatched_because` is what a trial has found, if there was one.
    """

    registry: str
    key: tuple[str, str, str]
    options: LoadOptions
    seen: Signature | None = None
    unbatched_because: str | None = None


class ModelLoaded(msgspec.Struct, frozen=True, tag=0):
    """The model is loaded. The process sends this once.

    It says why requests are never merged, or an empty text. `examples` are inputs that the runtime has found itself,
    where zeros and empty strings are none.
    """

    unbatched_because: str = ""
    examples: dict[str, Example] = {}


class ModelNotLoaded(msgspec.Struct, frozen=True, tag=1):
    """The model cannot be loaded. The process sends this once and then ends."""

    sentence: str


class RunBatch(msgspec.Struct, frozen=True, tag=2):
    """Merged requests: the number of instances of each, and the names of the inputs in the order of the tensors."""

    rows: tuple[int, ...]
    names: tuple[str, ...]


class BatchResult(msgspec.Struct, frozen=True, tag=3):
    """One outcome per request: the name and sentence of an error, or how many of the tensors are its outputs."""

    outcomes: tuple[tuple[str, str, int], ...]
    duration_s: float


FrameMessage = ModelLoaded | ModelNotLoaded | RunBatch | BatchResult

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[FrameMessage, tuple[tuple[str, tuple[int, ...], int], ...]]).decode


def frame(message: FrameMessage, tensors: Sequence[Tensor] = ()) -> list[Part]:
    """Return a message as parts to be sent one after the other. They may be views of the tensors."""
    heads: list[tuple[str, tuple[int, ...], int]] = []
    parts: list[Part] = []
    size = 0
    for tensor in tensors:
        content = encode_tensor(tensor)
        heads.append((NAME_OF[tensor.dtype], tensor.shape, len(content)))
        parts += (content, _padding(len(content)))
        size += len(content) + len(parts[-1])
    head = _encode((message, heads))
    padding = _padding(len(head))
    return [_prefix.pack(len(head), len(head) + len(padding) + size) + head + padding, *parts]


def measure(prefix: ByteArray) -> tuple[int, int]:
    """Return the length of the head, and of everything that follows the prefix."""
    head_bytes, total_bytes = _prefix.unpack(prefix.data)
    return head_bytes, total_bytes


def read(content: ByteArray, head_bytes: int) -> tuple[FrameMessage, list[Tensor]]:
    """Read the message and the tensors that follow the prefix. The tensors are views of `content`.

    Raises:
        msgspec.MsgspecError, BadRequest: this is not a frame.
    """
    message, heads = _decode(content[:head_bytes].data)
    tensors, at = [], head_bytes + len(_padding(head_bytes))
    for datatype, shape, size in heads:
        tensors.append(decode_tensor("", datatype, shape, content[at : at + size].data))
        at += size + len(_padding(size))
    return message, tensors


def result_frame(outcomes: Sequence[RequestResult], duration_s: float) -> list[Part]:
    """Return the frame with the outcomes of a batch."""
    kinds: list[tuple[str, str, int]] = []
    tensors: list[Tensor] = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            kinds.append((type(outcome).__name__, str(outcome), 0))
        else:
            kinds.append((_OK, "", len(outcome)))
            tensors += outcome
    return frame(BatchResult(tuple(kinds), duration_s), tensors)


def outcomes_of(message: BatchResult, tensors: Sequence[Tensor]) -> list[RequestResult]:
    """Return the outcomes of a batch, in the order of its requests. This is the inverse of `result_frame`."""
    rest = iter(tensors)
    return [
        list(islice(rest, count)) if kind == _OK else _ERRORS[kind](sentence)
        for kind, sentence, count in message.outcomes
    ]


def _padding(size: int) -> bytes:
    return bytes(-size % _ALIGNMENT_BYTES)
