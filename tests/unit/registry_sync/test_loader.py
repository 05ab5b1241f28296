"""What a replica does again that a version's trial has done."""

import hashlib
import json

import pytest
from onnx import helper

from registry_sync.loader import Loader
from registry_sync.memory_budget import MemoryBudget
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.version import Tried, VersionKey
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import PinnedFile, TensorSpec
from tests.support.models import onnx_content, write_version

SPEC = {"datatype": "FP32", "shape": [1]}


@pytest.fixture
def registry(tmp_path):
    """Return a registry with a version that does not answer its golden request as it must."""
    inputs, outputs = (TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),)
    content = onnx_content([helper.make_node("Identity", ["x"], ["y"])], inputs, outputs)
    wrong = [{"inputs": [{"name": "x", "data": [1], **SPEC}], "outputs": [{"name": "y", "data": [2], **SPEC}]}]
    golden = json.dumps(wrong).encode()
    files = (PinnedFile("g.json", hashlib.sha256(golden).hexdigest()),)
    write_version(tmp_path, "m", "1", content, inputs=inputs, outputs=outputs, golden="g.json", files=files)
    (tmp_path / "m" / "1" / "g.json").write_bytes(golden)
    return DirectoryRegistry(tmp_path)


def test_golden_requests_are_replayed_where_no_trial_has_done_so(registry):
    manifest = registry.manifest("m", "1")
    key = VersionKey("m", "1", manifest.digest)
    tried = Loader(registry, LoadOptions(), lambda *_: Tried("", 0, 0), MemoryBudget())
    assert tried.load(key, manifest, retry=False)[0].signature.inputs == manifest.inputs
    untried = Loader(registry, LoadOptions(), lambda *_: None, MemoryBudget())
    with pytest.raises(ModelRefused, match="Golden request 0"):
        untried.load(key, manifest, retry=False)
