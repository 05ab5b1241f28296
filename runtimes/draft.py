"""What an artifact says about itself: the part of `model.yaml` that can be read out of it.

Each kind of model has a function that makes a draft (`runtimes.kinds.drafter_of`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from runtimes.datatypes import Tensor
from runtimes.manifest import RuntimeName, TensorSpec


class Draft(NamedTuple):
    """What was understood of an artifact, for a manifest that a person may still correct.

    `remarks` are sentences for that person: what was read, what was guessed, and what was left out. `more` has further
    keys of `model.yaml`. `examples` are inputs that came with the artifact, for a golden request.
    """

    runtime: RuntimeName
    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    remarks: tuple[str, ...] = ()
    more: Mapping[str, Any] = MappingProxyType({})
    examples: Mapping[str, Tensor] = MappingProxyType({})
