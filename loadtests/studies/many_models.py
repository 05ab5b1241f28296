"""A registry of small models for the study of many routes: each answers what it gets."""

from pathlib import Path

import yaml
from onnx import TensorProto, helper

from loadtests.onnx_version import write_onnx_version
from registry_sync.registries.directory import ALIASES
from runtimes.manifest import TensorSpec

_VERSIONS = 3
_COLUMNS = tuple(f"column-{number}" for number in range(2))
_OPSET = 17
_IR_VERSION = 8


def publish(root: Path, count: int) -> list[str]:
    """Write the models, of three versions each and with aliases, and return their names.

    All have the same artifact. So it is tried once, and the study need not wait for a trial of each version.
    """
    content = _identity()
    names = [f"model-{number:04}" for number in range(count)]
    for name in names:
        for version in range(1, _VERSIONS + 1):
            write_onnx_version(
                root / name / str(version),
                content,
                inputs=(TensorSpec("X", "FP32", (-1, len(_COLUMNS)), _COLUMNS),),
                outputs=(TensorSpec("Y", "FP32", (-1, len(_COLUMNS))),),
                description="answers what it gets; made to measure many routes",
            )
        move_aliases(root, name, champion="1", challenger="2")
    return names


def move_aliases(root: Path, name: str, **aliases: str) -> None:
    """Replace the aliases of a model, all at the same time."""
    fresh = root / name / f"{ALIASES}.new"
    fresh.write_text(yaml.safe_dump(aliases))
    fresh.replace(root / name / ALIASES)


def _identity() -> bytes:
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, len(_COLUMNS)]) for name in ("X", "Y")]
    graph = helper.make_graph([helper.make_node("Identity", ["X"], ["Y"])], "identity", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    content: bytes = model.SerializeToString()
    return content
