"""What the content of requests and responses costs: the time to encode it, and the memory that it takes."""

from collections.abc import Iterable, Sequence

from runtimes.datatypes import BYTES, Tensor, total_bytes

_BYTES_PER_NUMBER = 16
"""A number takes 5 to 20 bytes as JSON, and zlib a millisecond for 20 to 50 kB of them."""
_COPY_FACTOR = 64
"""A byte is copied in a sixty-fourth of the time in which it is written as a part of JSON, or less."""
_ENOUGH = 64 * 1024
"""What is longer is not measured any further: to look at millions of strings takes long."""
_OBJECT_BYTES = 48
"""What Python takes for a short string of bytes, beside its characters: the object, and the reference to it."""


def bytes_to_write(tensors: Sequence[Tensor]) -> int:
    """Return how many bytes the tensors take, about, if their numbers are written as text."""
    count = sum([tensor.size for tensor in tensors]) * _BYTES_PER_NUMBER
    for tensor in tensors:
        if tensor.dtype == BYTES and count <= _ENOUGH:
            count += total_bytes((tensor,))
    return count


def bytes_to_copy(tensors: Sequence[Tensor]) -> int:
    """Return how many bytes of text take as long to write as it takes to copy the tensors' bytes."""
    return sum(
        [bytes_to_write((tensor,)) if tensor.dtype == BYTES else tensor.nbytes // _COPY_FACTOR for tensor in tensors]
    )


def decoded_bytes(tensors: Iterable[Tensor]) -> int:
    """Return how much memory tensors take, about. The characters of BYTES are left out: their body counts for them."""
    return sum([tensor.size * _OBJECT_BYTES if tensor.dtype == BYTES else tensor.nbytes for tensor in tensors])
