"""ONNX Runtime's names of types, and the protocol's datatypes that they are.

A type is a tensor, or a sequence or map of what can be put into one: see `runtimes.onnx.flatten`.
"""

import re
from typing import Literal, NamedTuple

_DATATYPE_OF = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float": "FP32",
    "double": "FP64",
    "bfloat16": "BF16",
    "string": "BYTES",
}

Kind = Literal["tensor", "sequence of maps", "map", "sequence of tensors"]

_PATTERNS: dict[Kind, re.Pattern[str]] = {
    "tensor": re.compile(r"tensor\((\w+)\)"),
    "sequence of maps": re.compile(r"seq\(map\(\w+,tensor\((\w+)\)\)\)"),
    "map": re.compile(r"map\(\w+,tensor\((\w+)\)\)"),
    "sequence of tensors": re.compile(r"seq\(tensor\((\w+)\)\)"),
}


class NodeType(NamedTuple):
    """What an input or output holds, and the datatype of its elements."""

    kind: Kind
    datatype: str


def node_type(name: str) -> NodeType | None:
    """Return what ONNX Runtime's name of a type means, or None if it can be no tensor of the protocol."""
    for kind, pattern in _PATTERNS.items():
        found = pattern.fullmatch(name)
        if found and found[1] in _DATATYPE_OF:
            return NodeType(kind, _DATATYPE_OF[found[1]])
    return None
