"""Tells an ONNX file by its bytes: the fields of a ModelProto, which are walked without reading what they hold."""

_NUMBERS = frozenset({1, 5})
"""ir_version and model_version, which are integers (onnx.proto, ModelProto)."""
_BLOCKS = frozenset({2, 3, 4, 6, 7, 8, 14, 20, 25, 26})
"""The other fields, which have a length."""
_GRAPH = 7
_MOST_FIELDS = 10_000
_LONGEST_VARINT = 10


def is_onnx(content: bytes) -> bool:
    """Return True if these are the fields of an ONNX model, with a graph, and nothing else."""
    at = 0
    seen: set[int] = set()
    for _ in range(_MOST_FIELDS):
        if at == len(content):
            return {1, _GRAPH} <= seen
        key, at = _varint(content, at)
        field, wire_type = key >> 3, key & 7
        if wire_type == 0 and field in _NUMBERS:
            _, at = _varint(content, at)
        elif wire_type == 2 and field in _BLOCKS:  # a length and so many bytes
            length, at = _varint(content, at)
            at += max(length, 0)
        else:
            return False
        if not 0 <= at <= len(content):
            return False
        seen.add(field)
    return False


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends; -1 for the end if it does not end in time."""
    value = 0
    for position, byte in enumerate(content[at : at + _LONGEST_VARINT] if at >= 0 else b""):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value, at + position + 1
    return 0, -1
